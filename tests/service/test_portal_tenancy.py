"""Every route of the portal, walked by everybody who may not go there. What is let through is reckoned from `needs`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

import portal_house
from portal_examples import example_of, furnish
from portal_house import PEOPLE, PortalHouse
from vonal.domain.users import MAY, ROLES
from vonal.portal.app import ROUTES
from vonal.portal.cookies import COOKIE
from vonal.portal.route import Route
from vonal.store import tables
from vonal.store.database import Database
from vonal.users.sessions import csrf_token

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTS = [one for one in ROUTES if one.method == "POST"]
NOT_ASKED = {"audit", "guessing", "idempotency"}  # deeds and their refusals are written there
# What could be read of acme where it does not belong; a form's samples speak of other numbers and hosts.
MARKS = ("@acme.example", "Kovács Anna", "Nagy Béla", "3612345679")
Row = tuple[Any, ...]


class Walk:
    """Asks for examples as somebody: `token` is his cookie."""

    def __init__(self, house: PortalHouse) -> None:
        self.house = house
        self.client = httpx.Client(base_url=house.url, timeout=20)

    def token(self, who: str, **session: Any) -> str:
        """A new session's."""
        return "" if who == "nobody" else self.house.begin(who, **session)

    def ask(self, route: Route, token: str, *, csrf: str | None = None, **headers: str) -> httpx.Response:
        """The answer to the route's example; `csrf`: another form's token than that of the session."""
        example = example_of(route)
        sent = {**headers, **({"cookie": f"{COOKIE}={token}"} if token else {})}
        if example.endless:
            return self._beginning(example.address, sent)
        if route.method == "GET":
            return self.client.get(example.address, headers=sent)
        fields = {"csrf": csrf_token(token) if csrf is None else csrf, **example.form}
        return self.client.post(example.address, headers=sent, data=fields)

    def _beginning(self, address: str, headers: dict[str, str]) -> httpx.Response:
        with self.client.stream("GET", address, headers=headers) as answer:
            text = answer.read() if answer.status_code >= 300 else next(answer.iter_bytes(), b"")
        return httpx.Response(
            answer.status_code, headers={"location": answer.headers.get("location", "")}, content=text
        )


@pytest.fixture
def walk(database: Database) -> Iterator[Walk]:
    with portal_house.running(database) as house:
        furnish(database)
        yield Walk(house)


def allowed(route: Route, who: str, passed: str = "all", *, acting: bool = False) -> bool:
    """Whether `needs` lets this one of PEOPLE in, who looks at his own tenant, or acts as the owner of one."""
    if route.needs == "anybody" or who == "nobody":
        return route.needs == "anybody"
    if passed != "all":
        return (route.needs, passed) in (("factor", "password"), ("enrolment", "enrol"))
    if route.needs in ("factor", "enrolment", "user"):
        return route.needs != "factor"
    if route.needs == "operator":
        return PEOPLE[who].operator
    roles = ["owner"] if acting else [one.role for one in PEOPLE[who].memberships]
    return any(route.needs == "member" or route.needs in MAY[role] for role in roles)


def is_refused(answer: httpx.Response) -> bool:
    """Whether the gate has sent him away. A page of one's own that says so is none."""
    return (
        answer.status_code == 403
        or (answer.status_code == 303 and answer.headers["location"] in _ELSEWHERE)
        or (answer.headers.get("location", "").startswith("/sign-in?"))
    )


_ELSEWHERE = ("/operator", "/sign-in", "/sign-in/factor", "/account/app")


def acmes(db: Database) -> dict[str, set[Row]]:
    """All that is acme's: rows of the tenant, and of its people."""
    own = [one.id for one in PEOPLE.values() if one.in_tenant("acme")] + ["usr_colleague"]
    found: dict[str, set[Row]] = {}
    with db.engine.connect() as tx:
        for name, table in tables.metadata.tables.items():
            query = select(*[column for column in table.c if column.name not in ("seen_at", "used_at")])
            if name in NOT_ASKED or name == "setting":
                continue
            if "user_id" in table.c:
                query = query.where(table.c.user_id.in_(own))
            elif "tenant_id" in table.c:
                query = query.where(table.c.tenant_id == "acme")
            elif name in ("user", "tenant"):
                query = query.where(table.c.id.in_([*own, "acme"]))
            found[name] = {tuple(row) for row in tx.execute(query)}
    return found


def changed(before: dict[str, set[Row]], after: dict[str, set[Row]]) -> list[str]:
    return [name for name in before if before[name] != after[name]]


VISITORS: list[tuple[str, dict[str, str]]] = [
    ("owner", {}),  # first: he still sees everything that others' deeds may remove
    ("nobody", {}),
    *[(role, {}) for role in ROLES[1:]],
    ("operator", {}),
    ("operator", {"tenant_id": "acme"}),
    ("owner", {"passed": "password"}),
    ("owner", {"passed": "enrol"}),
    ("operator", {"passed": "password"}),
]


def test_each_is_let_in_where_his_role_says_and_nowhere_else(walk: Walk) -> None:
    wrong = []
    for route in sorted(ROUTES, key=lambda one: one.method):  # pages first, before deeds remove what they show
        for who, session in VISITORS:
            may = allowed(route, who, session.get("passed", "all"), acting="tenant_id" in session)
            answer = walk.ask(route, walk.token(who, **session))
            if is_refused(answer) == may and not _leads_on(route, answer):
                wrong.append(f"{route.name} {who} {session}: {answer.status_code} {answer.headers.get('location', '')}")
            example = route.method == "GET" and (who, {}) == (example_of(route).who, session)
            if example and answer.status_code >= 400 and not example_of(route).refuses:
                wrong.append(f"{route.name}: its example is answered with {answer.status_code}")
    assert wrong == []


def _leads_on(route: Route, answer: httpx.Response) -> bool:
    """Whether this is the form to sign in, which sends on who is signed in by halves, or a page that was left."""
    signs = route.path in ("/sign-in", "/sign-out", "/sign-in/factor", "/account/app") or "{token}" in route.path
    return signs and answer.status_code == 303


def test_nothing_of_acme_is_shown_to_the_owner_of_another_tenant_or_changed_by_him(walk: Walk) -> None:
    before, wrong = acmes(walk.house.db), []
    for route in ROUTES:
        if route.needs in ("anybody", "factor"):
            continue
        answer = walk.ask(route, walk.token("stranger"))
        names_acmes = ("{" in route.path or "?" in example_of(route).address) and not example_of(route).anybodys
        if names_acmes and answer.status_code not in (403, 404):
            wrong.append(f"{route.name}: {answer.status_code}")
        if shown := [one for one in MARKS if one in answer.text and one not in str(example_of(route).form)]:
            wrong.append(f"{route.name}: shows {shown}")
        if touched := changed(before, acmes(walk.house.db)):
            wrong.append(f"{route.name}: changes {touched}")
            before = acmes(walk.house.db)
    assert wrong == []


def test_nobody_touches_what_is_another_persons_own(walk: Walk) -> None:
    own = [one for one in ROUTES if one.needs in ("user", "enrolment") and "{" in one.path]
    own = [one for one in own if not example_of(one).anybodys]
    wrong = [one.name for one in own if walk.ask(one, walk.token("administrator")).status_code != 404]
    assert wrong == []


def test_to_look_changes_nothing(walk: Walk) -> None:
    token = walk.token("owner")
    before = acmes(walk.house.db)
    for route in ROUTES:
        if route.method == "GET":
            walk.ask(route, token)
    assert changed(before, acmes(walk.house.db)) == []


FOREIGN = ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"})


def test_a_form_of_another_site_does_nothing(walk: Walk) -> None:
    tokens = {who: walk.token(who) for who in ("nobody", "owner", "operator")}
    before = acmes(walk.house.db)
    wrong = [
        f"{one.name} {who} {headers}"
        for one in POSTS
        for who, token in tokens.items()
        for headers in FOREIGN
        if walk.ask(one, token, **headers).status_code != 403
    ]
    assert wrong == []
    assert changed(before, acmes(walk.house.db)) == []


@pytest.mark.parametrize("whose", ["nobodys", "another sessions"])
def test_a_form_without_this_sessions_token_does_nothing(walk: Walk, whose: str) -> None:
    token = walk.token("owner")
    csrf = "" if whose == "nobodys" else csrf_token(walk.token("owner"))
    before = acmes(walk.house.db)
    checked = [one for one in POSTS if one.needs not in ("anybody", "factor", "operator")]
    answers = {one.name: walk.ask(one, token, csrf=csrf).status_code for one in checked}
    assert {name: status for name, status in answers.items() if status != 400} == {}
    operator = walk.token("operator")
    operators = [one for one in POSTS if one.needs == "operator"]
    assert [one.name for one in operators if walk.ask(one, operator, csrf=csrf).status_code != 400] == []
    assert changed(before, acmes(walk.house.db)) == []


def test_the_walk_would_find_what_stands_open(walk: Walk) -> None:
    """The two things that the walks compare do differ: who is refused, and what is acme's."""
    route = next(one for one in ROUTES if one.path == "/")
    assert is_refused(walk.ask(route, ""))
    assert not is_refused(walk.ask(route, walk.token("owner")))
    assert not allowed(replace(route, needs="change_users"), "agent")
    before = acmes(walk.house.db)
    walk.token("owner")
    assert changed(before, acmes(walk.house.db)) == ["session"]

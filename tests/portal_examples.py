"""One example of every route of the portal: an address of acme's own data, and what a form sent there holds.

Whoever adds a route adds its example here; the tenancy test fails for one that has none. What the ids stand for is
stored by `furnish`. The test of the roles, the one of the tenants and the browser's walk all use this table.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from api_house import in_talk
from sample_calls import answered_call
from vonal.domain.call import Agent
from vonal.domain.users import Membership, User
from vonal.portal.route import Route
from vonal.store import calls, sessions, tables, user_links, users
from vonal.store.database import Database
from vonal.store.sessions import Session
from vonal.store.user_links import UserLink
from vonal.users.links import token_hash

INVITATION, RESET = "an-invitation", "a-reset"  # tokens of links
PERIOD = {"from": "2026-11-01T00:00", "until": "2026-11-02T00:00"}
CALL = "call_example"
SESSION = "ses_example"  # another browser of the owner's
DELIVERY = "dlv_example"
Fields = Mapping[str, str | list[str]]
GUIDE: Fields = {  # the guided form of acme's webhook; nobody listens there
    "stored": "log",
    "id": "log",
    "enabled": "1",
    "url": "https://127.0.0.1:1/calls",
    "events": ["call.completed", "call.ringing"],
    "security_type": "none",
    "fields": "standard",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """`address` is a route's path with real ids in it; `form` what a POST sends beside the CSRF token.

    `who` looks at it in the browser's walk: one of `portal_house.PEOPLE`, "nobody", or "half": the owner, with his
    second factor owed. `anybodys`: what stands in the place of the path's parts is nothing of acme's own, such as a
    file's format. `refuses`: what it needs is not set up here, or has not begun: there is no page to look at.
    `endless`: it is a stream, of which only the beginning is asked for.
    """

    address: str
    anybodys: bool = False
    refuses: bool = False
    endless: bool = False
    form: Fields = field(default_factory=dict)
    who: str = "owner"


def show(path: str, address: str = "", *, who: str = "owner", **more: bool) -> tuple[str, Example]:
    """The example of a page; `address` only where `path` names parts, `more` as in `Example`."""
    return f"GET {path}", Example(address=address or path, who=who, **more)


def do(path: str, address: str = "", *, who: str = "owner", **form: str | list[str]) -> tuple[str, Example]:
    """The example of a deed: what follows `who` is the form."""
    return f"POST {path}", Example(address=address or path, who=who, form=form)


# By area, in the order of the menu; one line for each route.
FRAME = (
    show("/"),
    do("/language", who="nobody", language="hu", back="/"),
)
CALLS = (
    show("/calls"),
    show("/calls.csv"),
    show("/calls/{id}", f"/calls/{CALL}"),
    show("/calls/{id}/hang-up", f"/calls/{CALL}/hang-up"),
    do("/calls/{id}/hang-up-now", f"/calls/{CALL}/hang-up-now"),
    do("/calls/{id}/call-back", f"/calls/{CALL}/call-back"),
    show("/recordings/{id}/sound", "/recordings/rec_unknown/sound", refuses=True),
    show("/live"),
    show("/live/stream", endless=True),
)
WEBHOOKS = (
    show("/webhooks"),
    show("/webhooks/{id}", "/webhooks/log"),
    do("/webhooks/{id}/pause", "/webhooks/log/pause"),
    do("/webhooks/{id}/resume", "/webhooks/log/resume"),
    show("/webhooks/{id}/remove", "/webhooks/log/remove"),
    do("/webhooks/{id}/remove-now", "/webhooks/log/remove-now"),
    do("/webhooks/{id}/rotate-key", "/webhooks/log/rotate-key"),
    do("/webhooks/{id}/finish-rotation", "/webhooks/log/finish-rotation"),
    show("/webhooks/new"),
    show("/webhooks/{id}/edit", "/webhooks/log/edit"),
    show("/webhooks/{id}/done", "/webhooks/log/done"),
    do("/webhook-form/step", step="where", go="next", **GUIDE),
    do("/webhook-form/preview", step="fields", call=CALL, **GUIDE),
    do("/webhook-form/address", url="https://crm.example/other"),
    do("/webhook-form/test", step="test", go="test", **GUIDE),
    do("/webhook-form/save", step="test", go="save", **GUIDE),
    show("/webhooks/{id}/replay", "/webhooks/log/replay"),
    do("/webhooks/{id}/replay-now", "/webhooks/log/replay-now", **PERIOD),
    show("/webhooks/{id}/replay-progress", "/webhooks/log/replay-progress"),
    show("/deliveries"),
    show("/deliveries/{id}", f"/deliveries/{DELIVERY}"),
    do("/deliveries/{id}/replay", f"/deliveries/{DELIVERY}/replay"),
)
SIGN_IN = (
    show("/sign-in", who="nobody"),
    do("/sign-in", who="nobody", email="owner@acme.example", password="a wrong password"),
    do("/sign-out"),
    show("/sign-in/factor", who="half"),
    do("/sign-in/factor", who="half", code="000000"),
    do("/sign-in/passkey/options", who="nobody"),
    do("/sign-in/passkey", who="nobody", credential="{}"),
    show("/sign-in/oidc", who="nobody", refuses=True),
    show("/sign-in/oidc/back", who="nobody", refuses=True),
    show("/forgotten", who="nobody"),
    do("/forgotten", who="nobody", email="owner@acme.example"),
    show("/welcome/{token}", f"/welcome/{INVITATION}", who="nobody"),
    do("/welcome/{token}", f"/welcome/{INVITATION}", who="nobody", password="", again=""),
    show("/reset/{token}", f"/reset/{RESET}", who="nobody"),
    do("/reset/{token}", f"/reset/{RESET}", who="nobody", password="", again=""),
)
DIRECTORY = (
    show("/extensions"),
    show("/extensions/new"),
    do("/extensions/add", number="104", name="Tóth Éva"),
    show("/extensions/{number}", "/extensions/102"),
    do("/extensions/{number}/save", "/extensions/102/save", name="Nagy Béla"),
    show("/extensions/{number}/new-secret", "/extensions/102/new-secret"),
    do("/extensions/{number}/renew", "/extensions/102/renew"),
    show("/extensions/{number}/remove", "/extensions/103/remove"),
    do("/extensions/{number}/remove-now", "/extensions/103/remove-now"),
    show("/phone", "/phone?code=unknown", who="nobody", refuses=True),
    show("/numbers"),
    show("/numbers/{number}", "/numbers/3612345678"),
    do("/numbers/{number}/arrange", "/numbers/3612345678/arrange", ring="101"),
    do("/numbers/{number}/save", "/numbers/3612345678/save", ring="101", strategy="all", timeout="30"),
    show("/recordings"),
    do("/recordings/save"),
    show("/settings"),
    do("/settings/save"),
    show("/access"),
    show("/access/new"),
    do("/access/add", kind="key", name="another", scopes="read"),
    show("/access/one", "/access/one?kind=key&name=reader"),
    do("/access/save", kind="key", name="reader", scopes="read"),
    show("/access/remove", "/access/remove?kind=key&name=reader"),
    do("/access/remove-now", kind="key", name="reader"),
    do("/undo/{name}", "/undo/unknown"),
)
OPERATOR = (
    show("/operator", who="operator"),
    show("/operator/nodes", who="operator"),
    show("/operator/tenants", who="operator"),
    show("/operator/new-tenant", who="operator"),
    do("/operator/new-tenant/add", who="operator", id="third", country="HU"),
    show("/operator/tenants/{id}", "/operator/tenants/acme", who="operator"),
    do("/operator/tenants/{id}/save", "/operator/tenants/acme/save", who="operator"),
    do("/operator/tenants/{id}/add-number", "/operator/tenants/acme/add-number", who="operator"),
    do("/operator/tenants/{id}/act", "/operator/tenants/acme/act", who="operator"),
    do("/operator/end-acting", who="operator"),
    show(
        "/operator/tenants/{id}/numbers/{number}/remove",
        "/operator/tenants/acme/numbers/3612345678/remove",
        who="operator",
    ),
    do(
        "/operator/tenants/{id}/numbers/{number}/remove-now",
        "/operator/tenants/acme/numbers/3612345678/remove-now",
        who="operator",
    ),
    show("/operator/tenants/{id}/remove", "/operator/tenants/acme/remove", who="operator"),
    do("/operator/tenants/{id}/remove-now", "/operator/tenants/acme/remove-now", who="operator"),
    show("/operator/trunks", who="operator"),
    show("/operator/new-trunk", who="operator"),
    do("/operator/new-trunk/add", who="operator"),
    show("/operator/trunks/{id}", "/operator/trunks/carrier", who="operator"),
    do("/operator/trunks/{id}/save", "/operator/trunks/carrier/save", who="operator"),
    show("/operator/trunks/{id}/remove", "/operator/trunks/carrier/remove", who="operator"),
    do("/operator/trunks/{id}/remove-now", "/operator/trunks/carrier/remove-now", who="operator"),
)
ACCOUNT = (
    show("/account"),
    do("/account/profile", name="Another Name", language="en"),
    show("/account/prove"),
    do("/account/prove", password="a wrong password"),
    show("/account/password"),
    do("/account/password", password="short", again="short"),
    show("/account/app"),
    do("/account/app", code="000000"),
    do("/account/app/remove"),
    do("/account/recovery"),
    do("/account/prove/passkey", credential="{}"),
    do("/account/passkeys/options"),
    do("/account/passkeys", credential="{}", name="My laptop"),
    do("/account/passkeys/{id}/remove", "/account/passkeys/unknown/remove"),
    do("/account/sessions/{id}/end", f"/account/sessions/{SESSION}/end"),
    do("/account/sessions/end-others"),
    do("/switch", tenant="acme"),
)
PEOPLE_PAGES = (
    show("/people"),
    show("/people/invite"),
    do("/people/invite", name="Uj Ember", email="new@example.com", role="agent", extension="103", language="hu"),
    do("/people/second-factor", required=""),
    show("/people/{id}", "/people/usr_colleague"),
    do("/people/{id}/change", "/people/usr_colleague/change", role="agent", extension="101"),
    do("/people/{id}/link", "/people/usr_colleague/link"),
    do("/people/{id}/remove-factors", "/people/usr_colleague/remove-factors"),
    do("/people/{id}/remove", "/people/usr_colleague/remove"),
)
AUDIT = (
    show("/audit"),
    show("/operator/audit", who="operator"),
)
EXAMPLES: dict[str, Example] = dict(
    (*FRAME, *CALLS, *WEBHOOKS, *SIGN_IN, *ACCOUNT, *PEOPLE_PAGES, *AUDIT, *DIRECTORY, *OPERATOR)
)


def example_of(route: Route) -> Example:
    """The route's example. Raises KeyError, which names the route."""
    return EXAMPLES[f"{route.method} {route.path}"]


def _colleague(db: Database) -> None:
    """Somebody at acme beside PEOPLE, for what is done to others."""
    place = Membership(tenant_id="acme", role="agent", extension="102")
    person = User(id="usr_colleague", email="colleague@acme.example", name="Nagy Béla", memberships=(place,))
    db.submit(partial(users.any_tenant_add, person=person, at=0)).result()


def _links(db: Database) -> None:
    """Links for the colleague, and for somebody who has none of the other kind."""
    for token, kind, user_id in ((INVITATION, "invitation", "usr_colleague"), (RESET, "reset", "usr_acme_agent")):
        link = UserLink(kind=kind, user_id=user_id, created_at=0, expires_at=4_000_000_000_000)
        db.submit(partial(user_links.any_tenant_replace, link=link, token_hash=token_hash(token))).result()


def _session(db: Database) -> None:
    """Another browser in which the owner is signed in."""
    session = Session(
        id=SESSION,
        user_id="usr_acme_owner",
        tenant_id="acme",
        passed="all",
        proved_at=0,
        created_at=0,
        seen_at=time.time_ns() // 1_000_000,
        expires_at=4_000_000_000_000,
        address="192.0.2.7",
        browser="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    )
    db.submit(partial(sessions.any_tenant_add, session=session, token_hash="another")).result()


def _call(db: Database) -> None:
    """A call in conversation, of the colleague."""
    call = in_talk(answered_call(id=CALL, agent=Agent(extension="102", name="Nagy Béla")))
    db.submit(lambda tx: calls.save("acme", tx, call)).result()


def _delivery(db: Database) -> None:
    """An event, and its delivery to acme's webhook, done."""
    event = {
        "id": "evt_example",
        "tenant_id": "acme",
        "call_id": None,
        "sequence": 1,
        "type": "call.completed",
        "at": 0,
        "data": b"{}",
    }
    delivery = {
        "id": DELIVERY,
        "tenant_id": "acme",
        "webhook_id": "log",
        "event_id": "evt_example",
        "type": "call.completed",
        "state": 1,
        "created_at": 0,
        "due_at": 0,
        "done_at": 0,
    }
    db.submit(lambda tx: tx.execute(tables.event.insert().values(event))).result()
    db.submit(lambda tx: tx.execute(tables.delivery.insert().values(delivery))).result()


# Each stores what some of the examples speak of, at acme.
FURNITURE: tuple[Callable[[Database], None], ...] = (_colleague, _call, _links, _session, _delivery)


def furnish(db: Database) -> None:
    """Stores everything that the examples speak of, at acme; PEOPLE are there already."""
    for store in FURNITURE:
        store(db)

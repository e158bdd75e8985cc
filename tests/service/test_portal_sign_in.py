"""Signing in by password, and choosing one by a link."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from sqlalchemy import select

import portal_house
from portal_house import PEOPLE, PortalHouse
from vonal.domain.passwords import hash_password
from vonal.portal.cookies import COOKIE
from vonal.store import audit, tables, user_secrets
from vonal.store.database import Database
from vonal.store.user_secrets import UserSecrets
from vonal.users.links import any_tenant_new

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "four words in a row"
HASH = hash_password(PASSWORD)
NOW = 2**50


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        give_password(opened, "owner")
        yield opened


def give_password(house: PortalHouse, who: str) -> None:
    change = partial(user_secrets.any_tenant_change, user_id=PEOPLE[who].id)
    house.db.submit(partial(change, change=lambda _: UserSecrets(password_hash=HASH))).result()


def link(house: PortalHouse, kind: str, who: str = "agent", now: int = NOW) -> str:
    return house.db.submit(partial(any_tenant_new, user_id=PEOPLE[who].id, kind=kind, now=now)).result()


def sign_in(browser: httpx.Client, password: str = PASSWORD, email: str = "owner@acme.example") -> httpx.Response:
    return browser.post("/sign-in", data={"email": email, "password": password})


def actions(house: PortalHouse, tenant_id: str = "acme") -> list[str]:
    return [one.action for one in house.db.read_now(partial(audit.listing, tenant_id, kind="user"))[0]]


def test_the_right_password_signs_in_and_the_log_says_so(house: PortalHouse) -> None:
    browser = house.browser()
    answer = sign_in(browser, email=" Owner@Acme.example ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert browser.get("/").status_code == 200
    assert actions(house) == ["sign_in"]


def test_wrong_password_unknown_address_and_no_password_yet_are_one_answer(house: PortalHouse) -> None:
    answers = [
        sign_in(house.browser(), "a wrong password"),
        sign_in(house.browser(), email="nobody@acme.example"),
        sign_in(house.browser(), email="agent@acme.example"),
        sign_in(house.browser(), email="\x00"),
        sign_in(house.browser(), password="x" * 5000),
    ]
    assert {one.status_code for one in answers} == {401}
    assert len({one.text.replace(one.request.content.decode(), "") for one in answers[:1]}) == 1
    assert all("set-cookie" not in one.headers for one in answers)
    assert actions(house) == ["sign_in_failed", "sign_in_failed"]


def test_the_page_that_was_asked_for_is_shown_afterwards_and_no_other_site(house: PortalHouse) -> None:
    browser = house.browser()
    assert browser.get("/webhooks?x=1").headers["location"] == "/sign-in?then=/webhooks%3Fx%3D1"
    form = {"email": "owner@acme.example", "password": PASSWORD}
    assert (
        house.browser().post("/sign-in", data={**form, "then": "/webhooks?x=1"}).headers["location"] == "/webhooks?x=1"
    )
    for evil in (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
    ):
        assert house.browser().post("/sign-in", data={**form, "then": evil}).headers["location"] == "/", evil


def test_a_session_ends_when_its_browser_signs_out(house: PortalHouse) -> None:
    browser = house.browser()
    sign_in(browser)
    token = browser.cookies[COOKIE]
    browser.post("/sign-out")
    assert COOKIE not in browser.cookies
    assert httpx.get(f"{house.url}/", cookies={COOKIE: token}).headers["location"] == "/sign-in"


def test_who_guesses_is_held_up_then_locked_out_and_the_owner_is_let_in_where_he_is_at_home(house: PortalHouse) -> None:
    assert [sign_in(house.browser(), f"wrong {n}").status_code for n in range(5)] == [401, 401, 401, 401, 429]
    answer = sign_in(house.browser())
    assert answer.status_code == 429  # nor is the right one looked at
    unknown = [sign_in(house.browser(), f"wrong {n}", email="x@acme.example").status_code for n in range(5)]
    assert unknown == [401, 401, 401, 401, 429]


def test_an_invitation_leads_to_a_password_and_in_and_is_good_once(house: PortalHouse) -> None:
    address = f"/welcome/{link(house, 'invitation')}"
    browser = house.browser()
    assert "agent@acme.example" in browser.get(address).text
    answer = browser.post(address, data={"password": PASSWORD, "again": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/").status_code == 200
    assert house.browser().get(address).status_code == 404
    assert house.browser().post(address, data={"password": PASSWORD, "again": PASSWORD}).status_code == 404
    assert sign_in(house.browser(), email="agent@acme.example").status_code == 303


@pytest.mark.parametrize(
    ("password", "again", "says"),
    [
        ("short", "short", "Too short"),
        ("x" * 300, "x" * 300, "Too long"),
        ("password1234", "password1234", "among the first"),
        ("agent-acme-agent", "agent-acme-agent", "your own name"),
        (PASSWORD, "another one of mine", "not the same"),
    ],
)
def test_a_password_that_will_not_do_is_refused_and_the_link_stays_good(
    house: PortalHouse, password: str, again: str, says: str
) -> None:
    address = f"/welcome/{link(house, 'invitation')}"
    answer = house.browser().post(address, data={"password": password, "again": again})
    assert answer.status_code == 422
    assert says in answer.text
    assert house.browser().get(address).status_code == 200


def test_a_new_password_by_link_ends_all_sessions_and_a_link_of_another_kind_opens_nothing(house: PortalHouse) -> None:
    before = house.signed_in("owner")
    token = link(house, "reset", "owner")
    assert house.browser().get(f"/welcome/{token}").status_code == 404
    other = "another four words"
    assert house.browser().post(f"/reset/{token}", data={"password": other, "again": other}).status_code == 303
    assert before.get("/").headers["location"] == "/sign-in"
    assert sign_in(house.browser()).status_code == 401
    assert sign_in(house.browser(), other).status_code == 303


def test_a_link_whose_time_is_over_opens_nothing(house: PortalHouse) -> None:
    assert house.browser().get(f"/welcome/{link(house, 'invitation', now=0)}").status_code == 404
    assert house.browser().get(f"/reset/{link(house, 'reset', now=0)}").status_code == 404


def test_a_disabled_person_is_out_at_once(house: PortalHouse) -> None:
    browser = house.signed_in("owner")
    values = tables.user.update().values(disabled_at=1).where(tables.user.c.id == PEOPLE["owner"].id)
    house.db.submit(lambda tx: tx.execute(values)).result()
    assert browser.get("/").headers["location"] == "/sign-in"
    assert sign_in(house.browser()).status_code == 401


def test_no_password_token_or_hash_stands_in_the_log(house: PortalHouse) -> None:
    sign_in(house.browser())
    sign_in(house.browser(), "a wrong password")
    with house.db.engine.connect() as tx:
        text = str(tx.execute(select(tables.audit)).all())
    assert PASSWORD not in text
    assert "argon2" not in text

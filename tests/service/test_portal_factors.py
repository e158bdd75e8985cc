"""Second factors, the page about oneself, and showing again that it is oneself who sits there."""

import html
import re
import time
from collections.abc import Iterator
from functools import partial

import httpx
import pyotp
import pytest

import portal_house
from portal_house import PEOPLE, Browser, PortalHouse
from vonal.domain.passwords import hash_password
from vonal.portal.cookies import COOKIE
from vonal.store import sessions, user_rules, user_secrets
from vonal.store.database import Database
from vonal.store.user_secrets import UserSecrets

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "four words in a row"
HASH = hash_password(PASSWORD)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def give(house: PortalHouse, **secrets: object) -> None:
    change = partial(user_secrets.any_tenant_change, user_id=PEOPLE["owner"].id)
    house.db.submit(partial(change, change=lambda _: UserSecrets(password_hash=HASH, **secrets))).result()


def stored(house: PortalHouse) -> UserSecrets:
    return house.db.read_now(partial(user_secrets.any_tenant_of, user_id=PEOPLE["owner"].id))


def signing_in(house: PortalHouse) -> Browser:
    """A browser in which the password was right."""
    answer = house.browser().post("/sign-in", data={"email": "owner@acme.example", "password": PASSWORD})
    browser = Browser(house.url, answer.cookies[COOKIE])
    browser.lead = answer.headers["location"]
    return browser


def code(at: float = 0, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).at(time.time() + at)


def cookie(answer: httpx.Response) -> str:
    return answer.cookies[COOKIE]


def test_after_the_password_a_code_is_asked_for_and_the_session_gets_another_token(house: PortalHouse) -> None:
    give(house, totp=SECRET)
    browser = signing_in(house)
    assert browser.lead == "/sign-in/factor"
    assert browser.get("/").headers["location"] == "/sign-in/factor"
    assert browser.send_form("/sign-in/factor", code="000000" if code() != "000000" else "000001").status_code == 422
    answer = browser.send_form("/sign-in/factor", code=code())
    assert answer.headers["location"] == "/"
    assert cookie(answer) != browser.token
    assert Browser(house.url, cookie(answer)).get("/").status_code == 200
    assert Browser(house.url, browser.token).get("/").headers["location"] == "/sign-in"


def test_a_code_is_good_once_and_one_step_late_but_not_two(house: PortalHouse) -> None:
    give(house, totp=SECRET)
    assert signing_in(house).send_form("/sign-in/factor", code=code(-90)).status_code == 422
    used = code()
    assert signing_in(house).send_form("/sign-in/factor", code=used).status_code == 303
    assert signing_in(house).send_form("/sign-in/factor", code=used).status_code == 422


def test_a_recovery_code_is_good_once(house: PortalHouse) -> None:
    owner = house.signed_in()
    give(house)
    codes = enrol(owner)
    assert len(codes) == 10
    assert not set(codes) & set(stored(house).recovery)
    assert signing_in(house).send_form("/sign-in/factor", code=codes[0].upper()).status_code == 303
    assert signing_in(house).send_form("/sign-in/factor", code=codes[0]).status_code == 422
    assert len(stored(house).recovery) == 9


def enrol(browser: Browser) -> list[str]:
    """Sets the app up; the recovery codes."""
    shown = browser.get("/account/app").text
    secret = re.search(r'id="app-secret">([A-Z2-7 ]+)<', shown)[1].replace(" ", "")
    answer = browser.send_form("/account/app", code=code(secret=secret))
    assert answer.status_code == 200, answer.text
    if COOKIE in answer.cookies:
        browser.token = cookie(answer)
    return re.findall(r'<code class="fs-3">([a-z0-9-]+)</code>', answer.text)


def test_codes_cannot_be_tried_for_long(house: PortalHouse) -> None:
    give(house, totp=SECRET)
    browser = signing_in(house)
    wrong = "000000" if code() != "000000" else "111111"
    answers = [browser.send_form("/sign-in/factor", code=wrong).status_code for _ in range(5)]
    assert answers == [422, 422, 422, 429, 429]
    assert browser.send_form("/sign-in/factor", code=code()).status_code == 429


def test_who_needs_a_factor_and_has_none_sets_one_up_before_anything_else(house: PortalHouse) -> None:
    give(house)
    house.db.submit(partial(user_rules.require_second_factor, "acme", required=True)).result()
    browser = signing_in(house)
    assert browser.lead == "/account/app"
    assert browser.get("/people").headers["location"] == "/account/app"
    assert enrol(browser)
    assert Browser(house.url, browser.token).get("/people").status_code == 200
    assert Browser(house.url, browser.token).send_form("/account/app/remove").status_code == 400


def test_changes_of_factors_and_password_ask_for_a_proof_and_end_the_other_sessions(house: PortalHouse) -> None:
    give(house)
    browser, other = house.signed_in(), house.signed_in()
    for one in house.db.read_now(partial(sessions.any_tenant_of_user, user_id=PEOPLE["owner"].id, now=0)):
        house.db.submit(partial(sessions.any_tenant_change, session_id=one.id, proved_at=0)).result()
    for path in ("/account/password", "/account/app"):
        assert browser.get(path).headers["location"] == f"/account/prove?then={path}"
    new = {"password": "another four words", "again": "another four words"}
    assert browser.send_form("/account/password", **new).headers["location"].startswith("/account/prove")
    assert browser.send_form("/account/prove", password="a wrong password").status_code == 422
    answer = browser.send_form("/account/prove", password=PASSWORD, then="/account/password")
    assert answer.headers["location"] == "/account/password"
    assert browser.send_form("/account/password", **new).headers["location"] == "/account"
    assert browser.get("/account").status_code == 200
    assert other.get("/account").headers["location"].startswith("/sign-in")


def test_other_browsers_are_listed_and_signed_out_one_by_one_or_all_at_once(house: PortalHouse) -> None:
    browser, *others = [house.signed_in() for _ in range(4)]
    ends = re.findall(r'action="(/account/sessions/ses_\w+/end)"', html.unescape(browser.get("/account").text))
    assert len(ends) == 3
    assert browser.send_form(ends[0]).headers["location"] == "/account"
    assert sum(one.get("/account").status_code == 200 for one in others) == 2
    assert browser.send_form("/account/sessions/end-others").status_code == 303
    assert sum(one.get("/account").status_code == 200 for one in [browser, *others]) == 1

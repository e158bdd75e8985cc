"""API users and keys made in the portal work against the API, and no page shows a secret twice."""

import html
import re
import shlex
import subprocess
from collections.abc import Iterator

import httpx
import pytest

import portal_house
from api_house import KEY, PASSWORD, USER
from portal_forms import field_fault, hidden, log, secret_of
from portal_house import PortalHouse
from vonal.domain.principal import Credential
from vonal.portal import curl
from vonal.store import directory as store
from vonal.store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def credentials(house: PortalHouse) -> dict[tuple[str, str], Credential]:
    found = house.db.read_now(lambda tx: store.credentials("acme", tx))
    return {(one.kind, one.name): one for one in found}


def status(house: PortalHouse, **proof: object) -> int:
    return httpx.get(f"{house.url}/api/v1/calls", **proof).status_code


def lines_of(page: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'<code id="line-\w+">(.*?)</code>', page, re.DOTALL)]


def test_a_key_made_in_the_portal_works_at_once_and_is_shown_once(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = owner.send_form("/access/add", kind="key", name="CRM of sales", scopes=["read", "call"], networks="")
    key = secret_of(shown)
    assert status(house, headers={"X-API-Key": key}) == 200
    made = credentials(house)["key", "CRM of sales"]
    assert (made.scopes, made.ends, made.by_command) == (("call", "read"), key[-4:], True)
    page = owner.get("/access").text
    assert (key in page, f"…{key[-4:]}" in page, "owner@acme.example" in page) == (False, True, True)
    (entry,) = log(house)
    assert (entry.action, entry.kind, entry.after["scopes"]) == ("add", "api_key", ["call", "read"])
    assert (key in repr(entry), made.secret_hash in repr(entry)) == (False, False)


def test_a_user_made_in_the_portal_works_at_once(house: PortalHouse) -> None:
    shown = house.signed_in().send_form("/access/add", kind="user", name="kézi", scopes="read", networks="127.0.0.0/8")
    assert status(house, params={"user": "kézi", "password": secret_of(shown)}) == 200
    assert status(house, params={"user": "kézi", "password": "wrong"}) == 401


@pytest.mark.parametrize("kind", ["key", "user"])
def test_the_lines_beside_a_new_secret_run_as_they_stand(house: PortalHouse, kind: str) -> None:
    owner = house.signed_in()
    shown = owner.send_form("/access/add", kind=kind, name='o\'clock "CRM"', scopes=["read", "call"], networks="")
    call, read, _ = lines_of(shown.text)
    assert run(call)["status"] == "ringing_agent"
    assert run(read)["items"][0]["to"]["number"] == "+3612345678"
    assert house.api.telephony.rings[0].extension == "101"


@pytest.mark.parametrize("form", curl.FORMS)
def test_each_form_of_a_credential_has_lines_that_run(house: PortalHouse, form: str) -> None:
    page = house.signed_in().get("/access", params={"form": form}, headers={"HX-Request": "true"}).text
    line = lines_of(page)[1]
    for stands_for, real in ((curl.YOUR_KEY, KEY), (curl.YOUR_USER, USER), (curl.YOUR_PASSWORD, PASSWORD)):
        line = line.replace(stands_for, real)
    assert run(line) == {"items": [], "next_cursor": None}


def run(line: str) -> dict[str, object]:
    done = subprocess.run([*shlex.split(line), "--silent"], capture_output=True, timeout=30, check=True)
    return httpx.Response(200, content=done.stdout).json()


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"name": "crm"}, "name", "This is taken already; choose another."),
        ({"name": ""}, "name", "This must be given."),
        ({"name": "x" * 10_000}, "name", "At most 128 characters."),
        ({"name": "a\nb"}, "name", "It contains a character that cannot be seen; type it anew."),
        ({"scopes": []}, "scopes", "Choose at least one."),
        ({"scopes": ["read", "root"]}, "scopes", "Choose one of those that are offered."),
        ({"networks": "10.0.0.0/8 <b>"}, "networks", "<b> is no network."),
    ],
)
def test_a_fault_stands_beside_its_field(house: PortalHouse, typed: dict[str, object], field: str, told: str) -> None:
    before = credentials(house)
    sent = {"kind": "key", "name": "desk", "scopes": ["read"], "networks": "192.0.2.1", **typed}
    assert field_fault(house.signed_in().send_form("/access/add", **sent), field).startswith(told)
    assert credentials(house) == before


def test_rights_are_changed_and_hold_at_once(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = hidden(owner, "/access/one?kind=key&name=crm")
    sent = {"kind": "key", "name": "crm", "scopes": "recording", "networks": "", "shown": shown}
    assert owner.send_form("/access/save", **sent).status_code == 303
    assert status(house, headers={"X-API-Key": KEY}) == 403
    assert owner.send_form("/access/save", **{**sent, "scopes": "read"}).status_code == 409
    assert credentials(house)["key", "crm"].scopes == ("recording",)


def test_a_deleted_key_is_refused_at_once_and_works_again_when_that_is_undone(house: PortalHouse) -> None:
    owner, before = house.signed_in(), credentials(house)
    assert "is refused from now on" in owner.get("/access/remove?kind=key&name=crm").text
    owner.send_form("/access/remove-now", kind="key", name="crm")
    assert status(house, headers={"X-API-Key": KEY}) == 401
    assert credentials(house).keys() == before.keys() - {("key", "crm")}
    undo = re.search(r'action="(/undo/[^"]+)"', owner.get("/access").text)
    assert undo
    owner.send_form(undo[1])
    assert status(house, headers={"X-API-Key": KEY}) == 200
    assert credentials(house) == before


def test_a_name_may_hold_anything_that_can_be_seen(house: PortalHouse) -> None:
    owner, name = house.signed_in(), "a/b?c&d=<i>%20 +📞"
    owner.send_form("/access/add", kind="key", name=name, scopes="read", networks="")
    link = re.search(r'href="(/access/one\?[^"]*a%2Fb[^"]*)"', owner.get("/access").text)
    assert link
    assert html.escape(name) in owner.get(html.unescape(link[1])).text
    assert owner.send_form("/access/remove-now", kind="key", name=name).status_code == 303
    assert ("key", name) not in credentials(house)


def test_without_any_the_page_says_what_they_are_good_for(house: PortalHouse) -> None:
    stranger = house.signed_in("stranger")
    stranger.send_form("/access/remove-now", kind="key", name="crm")
    assert "Make the first key" in stranger.get("/access").text


@pytest.mark.parametrize("who", ["supervisor", "agent"])
def test_only_administrators_see_and_change_them(house: PortalHouse, who: str) -> None:
    browser, before = house.signed_in(who), credentials(house)
    pages = ("/access", "/access/new", "/access/one?kind=key&name=crm", "/access/remove?kind=key&name=crm")
    assert {browser.get(path).status_code for path in pages} == {403}
    for path in ("/access/add", "/access/save", "/access/remove-now"):
        assert browser.send_form(path, kind="key", name="crm", scopes="read").status_code == 403
    assert credentials(house) == before


def test_another_companys_keys_are_not_there(house: PortalHouse) -> None:
    stranger = house.signed_in("stranger")
    assert "reader" not in stranger.get("/access").text
    assert stranger.get("/access/one?kind=key&name=reader").status_code == 404
    assert stranger.send_form("/access/remove-now", kind="key", name="reader").status_code == 404

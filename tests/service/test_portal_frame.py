"""What every page has: files that are kept, languages, what was just said, pages for faults, headers."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
import structlog

import portal_house
from portal_house import PortalHouse
from vonal.domain.users import User
from vonal.portal.said import Said, cookie
from vonal.store import users
from vonal.store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BROWSER = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def test_scripts_and_styles_are_named_by_their_content_packed_and_kept_for_a_year(house: PortalHouse) -> None:
    browser = house.browser()
    paths = re.findall(r'(?:src|href)="(/static/[^"]+)"', browser.get("/sign-in").text)
    assert len(paths) >= 4
    for path in paths:
        answer = browser.get(path, headers={"accept-encoding": "gzip"})
        assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip"), path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.content == browser.get(path, headers={"accept-encoding": "identity"}).content
        assert answer.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "image/svg+xml")


@pytest.mark.parametrize("name", ["manifest.json", "icons.json", "stamp", "..%2fapp.py", "part-..%2f..%2fapp.js"])
def test_nothing_but_what_was_built_for_browsers_is_served(house: PortalHouse, name: str) -> None:
    assert house.browser().get(f"/static/{name}").status_code == 404


def test_a_page_is_packed_and_told_in_the_language_asked_for(house: PortalHouse) -> None:
    browser = house.browser()
    answer = browser.get("/sign-in", headers={"accept-language": "de, en;q=0.4, hu-HU;q=0.9"})
    assert answer.headers["content-encoding"] == "gzip"
    assert '<html lang="hu"' in answer.text
    assert '<html lang="en"' in browser.get("/sign-in", headers={"accept-language": "hu;q=0, fr"}).text


def test_a_chosen_language_stays_in_the_browser_and_with_the_person(house: PortalHouse) -> None:
    nobody = house.browser()
    answer = nobody.post("/language", data={"language": "hu", "back": "/sign-in"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert '<html lang="hu"' in nobody.get("/sign-in", headers={"accept-language": "en"}).text

    owner = house.signed_in()
    assert owner.send_form("/language", language="hu", back="/").status_code == 303
    assert '<html lang="hu"' in owner.get("/").text
    stored = house.db.read_now(lambda tx: users.any_tenant_find(tx, "usr_acme_owner"))
    assert isinstance(stored, User)
    assert (stored.language, stored.name) == ("hu", "Owner")
    assert owner.send_form("/language", language="xx").status_code == 400


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/\\evil.example", ""])
def test_the_switch_of_languages_leads_to_no_other_site(house: PortalHouse, back: str) -> None:
    assert house.browser().post("/language", data={"language": "hu", "back": back}).headers["location"] == "/"


def test_what_was_done_is_told_once(house: PortalHouse) -> None:
    owner = house.signed_in()
    told = cookie(Said(text="Saved <b>", undo="/undo"), secure=False)
    owner.cookies.set(told.key, str(told.value), domain="127.0.0.1")
    shown = owner.get("/").text
    assert "Saved &lt;b&gt;" in shown
    assert 'action="/undo"' in shown
    assert "Saved" not in owner.get("/").text


def test_a_token_in_a_header_does_for_scripts_what_the_field_does_in_forms(house: PortalHouse) -> None:
    owner = house.signed_in()
    found = re.search(r'<meta name="csrf" content="([^"]+)">', owner.get("/").text)
    assert found is not None
    sent = {"language": "hu"}
    # The switch of languages asks for none, so that a session's end locks nobody out; any other deed does.
    assert owner.post("/webhooks/log/pause", data=sent).status_code == 400
    assert owner.post("/webhooks/log/pause", headers={"x-csrf-token": found[1]}).status_code == 303


def _title(answer: httpx.Response) -> str:
    found = re.search(r"<title>(.*?)</title>", answer.text)
    return found[1] if found else ""


def test_faults_are_pages_for_people_and_problems_for_programs(house: PortalHouse) -> None:
    browser = house.browser()
    page = browser.get("/nowhere", headers={**BROWSER, "accept-language": "hu"})
    assert (page.status_code, _title(page)) == (404, "Nincs ilyen oldal · Vonal")
    for path, accept in (("/nowhere", "*/*"), ("/api/v1/nowhere", BROWSER["accept"])):
        answer = browser.get(path, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_faults_inside_a_page_keep_the_navigation_and_speak_plainly_to_scripts(house: PortalHouse) -> None:
    owner = house.signed_in()
    page = owner.get("/webhooks/unknown")
    assert page.status_code == 404
    assert 'href="/webhooks"' in page.text
    part = owner.get("/webhooks/unknown", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert "<" not in part.text


def test_a_form_that_cannot_be_read_or_is_too_large_is_answered_with_a_page(house: PortalHouse) -> None:
    owner = house.signed_in()
    form = {**BROWSER, "content-type": "application/x-www-form-urlencoded"}
    answers = [owner.post("/language", content=content, headers=form) for content in (b"a=\xff", b"a=" + b"x" * 70_000)]
    assert [one.status_code for one in answers] == [400, 413]
    assert all("<h1" in one.text for one in answers)


def test_every_page_forbids_what_it_does_not_need(house: PortalHouse) -> None:
    for answer in (house.signed_in().get("/"), house.browser().get("/nowhere", headers=BROWSER)):
        headers = answer.headers
        assert "'unsafe" not in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in headers  # the house is reached by plain http


@pytest.fixture
def secured(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[PortalHouse]:
    """The same, behind something that speaks https."""
    of = portal_house.portal_of
    monkeypatch.setattr(portal_house, "portal_of", lambda *args, **more: replace(of(*args, **more), secure=True))
    with portal_house.running(database) as opened:
        yield opened


def test_behind_https_the_browser_is_told_to_stay_there_and_keeps_cookies_to_it(secured: PortalHouse) -> None:
    answer = secured.browser().post("/language", data={"language": "hu", "back": "/sign-in"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "; Secure" in answer.headers["set-cookie"]


def test_a_page_that_breaks_says_which_number_helps_to_find_out_why(
    house: PortalHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vonal.portal.language.language_of", lambda _text: 1 / 0)
    answer = house.browser().post("/language", data={"language": "hu"}, headers=BROWSER)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "ZeroDivisionError" not in answer.text


@pytest.mark.parametrize("path", ["/welcome", "/reset"])
def test_the_token_of_a_link_stands_in_no_log(house: PortalHouse, path: str) -> None:
    with structlog.testing.capture_logs() as lines:
        house.browser().get(f"{path}/s3cret-token")
        until = time.monotonic() + 20
        while not any(one["event"] == "request" for one in lines):  # it is written when the answer is out
            assert time.monotonic() < until
            time.sleep(0.01)
    assert [one["path"] for one in lines if one["event"] == "request"] == [f"{path}/{{token}}"]
    assert "s3cret" not in str(lines)

"""The guided form of a webhook in a real browser, by keyboard: what is ticked is seen in the request beside it."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from documents import ROOT
from portal_house import COOKIE, PEOPLE, PortalHouse
from portal_visits import chromium, house_in, token_of
from receiver import Answer, Receiver, receiving_aside
from sample_calls import INBOUND, answered_call, event
from vonal.portal import words
from vonal.store import calls, directory, events, users

Say = Callable[[str], str]


@pytest.fixture(scope="module")
def crm() -> Iterator[Receiver]:
    with receiving_aside() as opened:
        yield opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalHouse]:
    """With one call, of which webhooks would have been told."""
    with house_in(tmp_path_factory.mktemp("portal")) as opened:
        call = answered_call(at=datetime.now(UTC) - timedelta(seconds=300))
        told = [event(type_, call) for type_ in INBOUND]

        def store(tx: Any) -> None:
            calls.save("acme", tx, call)
            events.any_tenant_add(tx, told)

        opened.db.submit(store).result()
        yield opened


@pytest.fixture(scope="module")
def window(house: PortalHouse) -> Iterator[BrowserContext]:
    with chromium() as browser:
        opened = browser.new_context(viewport={"width": 1300, "height": 900})
        opened.add_cookies([{"name": COOKIE, "value": token_of(house, "owner"), "url": house.url}])
        yield opened


@pytest.fixture(params=["hu", "en"])
def language(request: pytest.FixtureRequest, house: PortalHouse) -> str:
    """The owner's."""
    chosen: Any = request.param
    owner = PEOPLE["owner"]
    speaks = partial(users.any_tenant_set_profile, user_id=owner.id, name=owner.name, language=chosen)
    house.db.submit(speaks).result()
    return str(chosen)


@pytest.fixture
def say(language: str) -> Say:
    chosen: Any = language
    return partial(words.gettext, chosen)


@pytest.fixture
def page(window: BrowserContext) -> Iterator[Page]:
    """No script may fail in it, and nothing may come from elsewhere."""
    faults: list[str] = []
    opened = window.new_page()
    opened.on("pageerror", lambda fault: faults.append(str(fault)))
    opened.on("console", lambda one: faults.append(one.text) if "Content Security Policy" in one.text else None)
    yield opened
    opened.close()
    assert faults == []


def press(page: Page, control: Locator, key: str) -> None:
    control.focus()
    page.keyboard.press(key)


def choose(page: Page, control: Locator) -> None:
    """A box, or one of several, by keyboard; the page shows what depends on it."""
    press(page, control, "Space")
    expect(control).to_be_checked()


def typed(page: Page, field: Locator, text: str) -> None:
    field.focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)


def goes_on(page: Page, step: str) -> None:
    press(page, page.locator("#go-next"), "Enter")
    expect(page.locator("#webhook-form")).to_have_attribute("data-step", step)


def test_a_webhook_is_made_by_keyboard_with_its_request_beside_it(
    page: Page, house: PortalHouse, crm: Receiver, say: Say, language: str
) -> None:
    crm.requests.clear()
    page.goto(f"{house.url}/webhooks/new?start=call_log")
    request = page.locator("#preview")
    expect(page.locator("h1")).to_have_text(say("New webhook"))
    expect(request).to_contain_text("+36 30 555 0123")
    typed(page, page.get_by_role("textbox", name=say("Name")), f"made-{language}")
    live = page.get_by_role("checkbox", name="call.ringing")
    choose(page, live)
    expect(page.locator("#preview-event")).to_be_visible()
    goes_on(page, "where")

    address = page.get_by_label(say("Address of the receiver"))
    expect(address).to_be_focused()
    page.keyboard.type("https://10.1.2.3/calls")
    page.keyboard.press("Tab")
    expect(page.locator("#fault-url")).to_have_text(
        say("The address %(what)s is in a network that may not be reached.") % {"what": "10.1.2.3"}
    )
    typed(page, address, crm.url)
    expect(request.locator("[data-address]")).to_have_text(crm.url)
    goes_on(page, "how")

    choose(page, page.get_by_role("radio", name="GET"))
    expect(request.locator("[data-method]")).to_have_text("GET")
    expect(request.locator("[data-url], table")).to_contain_text("caller")
    choose(page, page.get_by_role("radio", name="POST"))
    expect(request.locator("[data-method]")).to_have_text("POST")
    typed(page, page.locator("#f-param-name-1"), "who")
    page.locator("#f-param-value-1").focus()
    press(page, page.locator("summary", has_text=say("What may stand in a value")), "Enter")
    press(page, page.get_by_role("button", name="{{ caller }}"), "Enter")
    expect(page.locator("#f-param-value-1")).to_have_value("{{ caller }}")
    expect(request).to_contain_text('"who": "+36305550123"')
    goes_on(page, "security")
    _prove_and_choose(page, say)
    _try_out(page, crm, say)
    press(page, page.locator("#go-save"), "Enter")
    page.wait_for_url(f"**/webhooks/made-{language}/done")
    hooks = {one.id: one for one in house.db.read_now(partial(directory.webhooks, "acme"))}
    made = hooks[f"made-{language}"]
    assert (made.url, made.fields, made.mask) == (crm.url, ["from.number"], {"from.number": "last4"})
    assert made.params == {"who": "{{ caller }}"}


def _prove_and_choose(page: Page, say: Say) -> None:
    request = page.locator("#preview")
    expect(page.get_by_label(say("Signing key"))).to_have_value(re.compile("^whsec_.{40}"))
    expect(request).to_contain_text("webhook-signature: v1,")
    goes_on(page, "fields")

    choose(page, page.get_by_role("radio", name=say("I tick them myself")))
    expect(request).not_to_contain_text('"started_at"')
    choose(page, page.get_by_role("checkbox", name="from.number"))
    expect(request).to_contain_text('"number": "+36305550123"')
    page.get_by_label(say("Masking of %(path)s") % {"path": "from.number"}).select_option("last4")
    expect(request).not_to_contain_text('"number": "+36305550123"')
    goes_on(page, "test")


def _try_out(page: Page, crm: Receiver, say: Say) -> None:
    crm.answer(Answer(status=404))
    press(page, page.locator("#go-test"), "Enter")
    expect(page.locator("#trial")).to_contain_text(say("There is nothing at this address."))
    crm.answer(Answer(status=204))
    press(page, page.locator("#go-test"), "Enter")
    expect(page.locator("#trial")).to_contain_text(say("It works."))
    assert [one.json["type"] for one in crm.requests] == ["webhook.test"] * 2


def test_it_works_without_any_script(house: PortalHouse, window: BrowserContext, crm: Receiver, language: str) -> None:
    assert window.browser
    plain = window.browser.new_context(java_script_enabled=False, storage_state=window.storage_state())
    page = plain.new_page()
    page.goto(f"{house.url}/webhooks/new?start=both")
    page.locator("#f-id").fill(f"plain-{language}")
    for step in ("where", "how", "security", "fields", "test"):
        page.locator("#go-next").click()
        expect(page.locator("#webhook-form")).to_have_attribute("data-step", step)
        if step == "where":
            page.locator("#f-url").fill("no address")
            page.keyboard.press("Enter")
            expect(page.locator("#f-url")).to_have_attribute("aria-invalid", "true")
            expect(page.locator("#f-url")).to_have_value("no address")
            page.locator("#f-url").fill(crm.url)
    page.locator("#go-save").click()
    expect(page).to_have_url(f"{house.url}/webhooks/plain-{language}/done")
    plain.close()


AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def test_every_step_can_be_used_by_everybody_on_a_telephone_too(page: Page, house: PortalHouse) -> None:
    found = {}
    with house.api.client() as api:
        for step, changes in (
            ("what", {}),
            ("where", {}),
            ("how", {"method": "GET", "params": {"who": "{{ caller }}"}}),
            ("security", {"security": {"type": "hmac", "key": "k" * 32}}),
            ("security", {"security": {"type": "basic", "user": "crm", "password": "sesame-open"}}),
            ("fields", {"fields": ["call.id", "custom.deal"], "mask": {"from.number": "last4"}}),
            ("test", {}),
        ):
            assert api.patch("/api/v1/webhooks/log", json=changes).status_code == 200
            page.goto(f"{house.url}/webhooks/log/edit?step={step}")
            page.set_viewport_size({"width": 390, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, step
            page.set_viewport_size({"width": 1300, "height": 900})
            if faults := _faults(page):
                found[f"{step} {changes}"] = faults
        page.goto(f"{house.url}/webhooks/new")
        page.locator("#f-id").fill("two words")
        page.locator("#go-next").click()
        expect(page.locator("#fault-id")).to_be_visible()
        if faults := _faults(page):
            found["a fault"] = faults
    assert found == {}


def _faults(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    run = "tags => axe.run({runOnly: {type: 'tag', values: tags}, resultTypes: ['violations'], preload: false})"
    violations = page.evaluate(run, RULES)["violations"]
    return [f"{one['id']}: {node['target']}: {node['failureSummary']}" for one in violations for node in one["nodes"]]

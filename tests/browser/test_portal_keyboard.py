"""The portal without a mouse: everything is reached, dialogs hold the focus, and what was chosen stays."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from portal_house import PortalHouse
from portal_visits import NARROW, WIDE, Visitors, chromium, house_in
from vonal.portal.page import _environment

PARTS = """
{% from "macros/dialog.html" import confirm with context %}
{% import "macros/show.html" as show %}
{% call confirm("sure", "/webhooks/log/pause", button="Pause it", title="Sure?", deed="Yes") %}It waits.{% endcall %}
{{ show.code("line", "curl https://pbx.example") }}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalHouse]:
    with house_in(tmp_path_factory.mktemp("portal")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(house: PortalHouse) -> Iterator[Page]:
    with chromium() as browser:
        yield Visitors(browser, house).window("owner").new_page()


@pytest.fixture
def parts(page: Page, house: PortalHouse) -> Page:
    """A page of the portal with a dialog and lines to copy in it."""
    page.goto(f"{house.url}/webhooks")
    token = page.locator("meta[name=csrf]").get_attribute("content")
    html = _environment("en").from_string(PARTS).render(csrf=lambda: token)
    page.evaluate("html => document.querySelector('.page-body').insertAdjacentHTML('afterbegin', html)", html)
    return page


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.textContent.trim()")


def test_the_first_thing_reached_leads_past_the_navigation(page: Page, house: PortalHouse) -> None:
    page.goto(f"{house.url}/webhooks")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    expect(page.locator(".skip-link")).to_be_in_viewport()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_dialog_holds_the_focus_and_gives_it_back(parts: Page) -> None:
    opener = parts.get_by_role("button", name="Pause it")
    opener.focus()
    parts.keyboard.press("Space")
    dialog = parts.get_by_role("dialog", name="Sure?")
    expect(dialog).to_be_visible()
    seen = set()
    for _ in range(6):
        parts.keyboard.press("Tab")
        seen.add(focused(parts) if parts.evaluate("document.activeElement !== document.body") else "")
    assert seen - {""} == {"Cancel", "Yes"}
    parts.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_dialog_does_what_it_says(parts: Page, house: PortalHouse) -> None:
    parts.get_by_role("button", name="Pause it").click()
    parts.get_by_role("button", name="Yes").click()
    parts.wait_for_url(f"{house.url}/webhooks/log")
    expect(parts.locator("#health")).to_contain_text("paused")


def test_what_is_copied_is_said(parts: Page, house: PortalHouse) -> None:
    parts.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=house.url)
    parts.get_by_role("button", name="Copy").click()
    expect(parts.get_by_role("button", name="Copied")).to_be_visible()
    assert parts.evaluate("navigator.clipboard.readText()") == "curl https://pbx.example"


def test_the_colours_that_were_chosen_stay_from_page_to_page(page: Page, house: PortalHouse) -> None:
    page.goto(f"{house.url}/webhooks")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto(f"{house.url}/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="As the system").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")


def test_on_a_telephone_the_navigation_opens_and_closes(page: Page, house: PortalHouse) -> None:
    page.set_viewport_size(NARROW)
    page.goto(f"{house.url}/webhooks")
    entry = page.get_by_role("link", name="Overview")
    expect(entry).to_be_hidden()
    button = page.get_by_role("button", name="Menu")
    button.click()
    expect(entry).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(entry).to_be_hidden()
    page.set_viewport_size(WIDE)


def test_what_a_script_asked_for_in_vain_is_told(parts: Page) -> None:
    parts.evaluate(
        """() => {
            const button = document.createElement("button");
            button.setAttribute("hx-get", "/webhooks/unknown");
            button.textContent = "Ask";
            document.querySelector(".page-body").prepend(button);
            htmx.process(button);
        }"""
    )
    parts.get_by_role("button", name="Ask").click()
    toast = parts.locator("#toasts .toast")
    expect(toast).to_contain_text("No such webhook")
    toast.get_by_role("button", name="Close").click()
    expect(toast).to_have_count(0)

"""A passkey in a real browser, with Chromium's own virtual device: added, then used alone."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from portal_house import PortalHouse
from portal_visits import Visitors, chromium, house_in

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalHouse]:
    # Passkeys belong to a name; an address has none.
    with house_in(tmp_path_factory.mktemp("portal"), host="localhost") as opened:
        yield opened


@pytest.fixture(scope="module")
def window(house: PortalHouse) -> Iterator[BrowserContext]:
    with chromium() as browser:
        yield Visitors(browser, house).window("owner")


@pytest.fixture(scope="module")
def page(window: BrowserContext) -> Page:
    return window.new_page()


@pytest.fixture(scope="module")
def knows_its_owner(window: BrowserContext, page: Page) -> Callable[[bool], None]:
    """Whether the device recognises who touches it."""
    devices = window.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})["authenticatorId"]
    return lambda known: devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": known})


def test_a_passkey_signs_its_owner_in_and_nobody_else(
    page: Page, window: BrowserContext, house: PortalHouse, knows_its_owner: Callable[[bool], None]
) -> None:
    page.goto(f"{house.url}/account")
    page.get_by_label("Name of the passkey").fill("My laptop")
    page.locator("[data-passkey=add] button").click()
    expect(page.get_by_text("Passkey: My laptop")).to_be_visible()
    window.clear_cookies()
    page.goto(f"{house.url}/calls")
    knows_its_owner(False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("The passkey did not work.")).to_be_visible(timeout=20_000)
    knows_its_owner(True)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Calls")

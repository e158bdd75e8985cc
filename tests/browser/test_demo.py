"""The demo as a visitor meets it: a real browser at the CRM's page, real calls behind it."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

from chromium import CHROMIUM, FLAGS
from demo_house import demo_in
from vonal.cli.demo import cast, month
from vonal.cli.demo.stage import Demo
from vonal.telephony.simulator_call import answer, ring

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
KISS, HORVATH, BUSY, SILENT = "Kiss Anna", "Horváth Éva", "Tóth Gábor", "Varga Katalin"
SECOND = 1000  # Playwright counts milliseconds
pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """A running demo with a data folder and ports of its own."""
    async with demo_in(tmp_path_factory.mktemp("demo")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's own Chromium, without a window."""
    async with async_playwright() as driver:
        opened = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _in_time() -> AsyncIterator[None]:
    """No test takes longer."""
    async with asyncio.timeout(90):
        yield


@pytest_asyncio.fixture(loop_scope="module")
async def page(demo: Demo, browser: Browser) -> AsyncIterator[Page]:
    """The CRM's page, agents free, everybody quick; no script may fail on it, and nothing may come from elsewhere."""
    for extension in cast.SIMULATED:
        demo.outside.phone(f"demo-{extension}").behaviour = answer(440, after=0.5)
        demo.outside.phone(f"demo-{extension}").forget()
    carrier = demo.outside.carrier("carrier")
    for number in carrier.by_number:
        carrier.by_number[number] = answer(880, after=0.5, talk=3.0)
    opened = await browser.new_page(viewport={"width": 1240, "height": 940})
    faults: list[str] = []
    strangers: list[str] = []
    opened.on("pageerror", lambda fault: faults.append(str(fault)))
    opened.on("request", lambda one: strangers.append(one.url) if not one.url.startswith(demo.url) else None)
    await opened.goto(demo.url)
    await expect(opened.locator("#phone-state")).to_have_text("phone is ready", timeout=10 * SECOND)
    yield opened
    calls = demo.outside.calls
    await asyncio.gather(*(call.hang_up() for call in calls))
    await asyncio.gather(*(call.ended.wait() for call in calls))
    assert (faults, strangers) == ([], [])
    await opened.close()


def customer(page: Page, name: str) -> Locator:
    return page.locator(".customer", has_text=name)


async def call_of(page: Page, name: str) -> str:
    """Waits for the card of a call; the call's id."""
    card = page.locator(".card", has_text=name)
    await expect(card).to_be_visible(timeout=10 * SECOND)
    call_id = await card.get_attribute("data-call")
    assert call_id is not None
    return call_id


async def logged(page: Page, call_id: str) -> Locator:
    """Waits until the call has written itself into the log."""
    row = page.locator(f"#log [data-call={call_id}]")
    await expect(row).to_be_visible(timeout=30 * SECOND)
    await expect(page.locator(f"#now [data-call={call_id}]")).to_have_count(0)
    return row


async def test_a_clicked_number_is_called_answered_logged_and_can_be_heard(page: Page, demo: Demo):
    phone = demo.outside.phone("demo-101")
    phone.behaviour = ring()
    await customer(page, KISS).locator(".number").click()
    call_id = await call_of(page, KISS)
    card = page.locator(f"#now [data-call={call_id}]")
    await expect(card.locator(".state")).to_have_text("Kovács Anna's phone is ringing")
    await (await phone.rung()).answer()
    await expect(card.locator(".state")).to_have_text("Talking with Kovács Anna", timeout=20 * SECOND)

    row = await logged(page, call_id)
    await expect(row.locator(".outcome")).to_have_text("answered")
    await expect(row.locator(".player")).to_be_visible(timeout=30 * SECOND)
    await row.locator(".play").click()
    await expect(row.locator(".play")).to_have_attribute("aria-label", "Pause")
    while float(await row.locator(".at").input_value()) < 0.1:
        await asyncio.sleep(0.05)
    await expect(row.locator(".length")).to_have_text(re.compile(r"0:0[1-9]"))
    await expect(row.locator(".play")).to_have_attribute("aria-label", "Play the recording", timeout=20 * SECOND)


async def test_the_card_of_a_caller_pops_up_before_anybody_answers(page: Page, demo: Demo):
    for extension in cast.SIMULATED:
        demo.outside.phone(f"demo-{extension}").behaviour = ring()
    await customer(page, HORVATH).locator(".call-me").click()
    call_id = await call_of(page, HORVATH)
    card = page.locator(f"#now [data-call={call_id}]")
    await expect(card).to_have_attribute("data-phase", "ringing")
    await expect(card.locator(".state")).to_have_text("Incoming call")
    await expect(card.locator(".note")).to_have_text("Likes to be called before nine.")

    await (await demo.outside.phone("demo-102").rung()).answer()
    await expect(card).to_have_attribute("data-phase", "talking", timeout=20 * SECOND)
    await card.locator(".hang-up").click()
    row = await logged(page, call_id)
    await expect(row.locator(".outcome")).to_have_text("answered")


async def test_a_busy_customer_is_logged_as_busy(page: Page):
    await customer(page, BUSY).locator(".number").click()
    row = await logged(page, await call_of(page, BUSY))
    await expect(row.locator(".outcome")).to_have_text("busy")
    await expect(row.locator(".player")).to_be_hidden()


async def test_hanging_up_ends_a_call_that_nobody_answers(page: Page):
    await customer(page, SILENT).locator(".number").click()
    call_id = await call_of(page, SILENT)
    card = page.locator(f"#now [data-call={call_id}]")
    await expect(card.locator(".state")).to_have_text("Ringing", timeout=20 * SECOND)
    await card.locator(".hang-up").click()
    await expect((await logged(page, call_id)).locator(".outcome")).to_have_text("cancelled")


async def test_a_number_that_may_not_be_called_is_refused_in_words(page: Page):
    await page.locator("#number").fill("+1 900 555 0199")
    await page.locator("#dial button").click()
    await expect(page.locator("#trouble")).to_be_visible()
    await expect(page.locator("#trouble")).not_to_have_text("undefined")


async def test_a_hostile_callers_name_is_only_text(page: Page, demo: Demo):
    call = await demo.outside.carrier("carrier").call_in(
        cast.SWITCHBOARD, from_number="06209998877", from_name=HOSTILE, talk=1.0
    )
    card = page.locator(".card", has_text="onerror")
    await expect(card).to_be_visible(timeout=10 * SECOND)
    await call.ended.wait()
    await expect(page.locator("#log .row", has_text="onerror")).to_be_visible(timeout=30 * SECOND)
    assert await page.locator("#log img, #now img").count() == 0
    assert await page.title() == "Demo CRM"


async def test_the_log_survives_a_reload_and_the_page_fits_a_telephone(page: Page, demo: Demo, tmp_path: Path):
    await demo.outside.carrier("carrier").call_in(cast.SWITCHBOARD, from_number="06305550123", talk=1.0)
    row = await logged(page, await call_of(page, KISS))
    await expect(row.locator(".player")).to_be_visible(timeout=30 * SECOND)
    rows = page.locator("#log .row")
    before = await rows.count()
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.reload()
    await expect(rows).to_have_count(before)
    overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0
    picture = tmp_path / "telephone.png"
    await page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 10_000


async def test_the_page_says_how_a_real_phone_registers(page: Page, demo: Demo):
    await page.locator("#softphone summary").click()
    _, port = demo.settings.sip_listen
    account = page.locator("#account")
    await expect(account).to_contain_text(f"127.0.0.1:{port}")
    await expect(account).to_contain_text("demo-103")


async def test_a_webhook_that_is_not_signed_changes_nothing(demo: Demo):
    import aiohttp

    async with aiohttp.ClientSession() as http:
        forged = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
        async with http.post(f"{demo.url}/hooks/vonal", json={}, headers=forged) as answer:
            assert answer.status == 401
        async with http.post(f"{demo.url}/call", data="{}", headers={"Content-Type": "text/plain"}) as answer:
            assert answer.status == 415
    await asyncio.sleep(0)


async def test_the_portal_opens_for_the_owner_with_a_month_of_calls(demo: Demo, browser: Browser):
    opened = await browser.new_page()
    await opened.goto(demo.api)
    await opened.locator("input[name=email]").fill(cast.OWNER)
    await opened.locator("input[name=password]").fill(cast.OWNER_PASSWORD)
    await opened.keyboard.press("Enter")
    await expect(opened.locator("[data-figure=today]")).to_be_visible()
    await opened.goto(f"{demo.api}/calls?recorded=1")
    rows = opened.locator("[data-call]")
    assert await rows.count() >= month.WITH_SOUND
    await rows.last.locator("a").first.click()
    await opened.locator("[data-player] [data-toggle]").click()
    await expect(opened.locator("[data-player]")).to_have_attribute("data-drawn", "2")
    await opened.close()

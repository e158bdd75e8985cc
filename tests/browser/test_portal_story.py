"""The whole story, with a real Asterisk: invited, with a second factor, a webhook made and tested, a call, its delivery
seen and sent again, its recording heard; in each language.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial
from typing import cast as is_a

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from chromium import CHROMIUM, FLAGS
from demo_house import demo_in
from receiver import Receiver, receiving
from vonal.cli.demo import cast
from vonal.cli.demo.stage import Demo
from vonal.domain.users import Language
from vonal.portal import words
from vonal.store.opening import open_database
from vonal.telephony.simulator_call import answer
from vonal.users import by_command

SECOND = 1000  # Playwright counts milliseconds
PASSWORD = "a horse that reads batteries"
CALLER = "06305550123"
LOCALES: dict[Language, str] = {"hu": "hu-HU", "en": "en-GB"}
Say = Callable[[str], str]
pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """A running demo with a data folder and ports of its own; agents pick up at once."""
    async with demo_in(tmp_path_factory.mktemp("demo")) as opened:
        for extension in cast.SIMULATED:
            opened.outside.phone(f"demo-{extension}").behaviour = answer(440, after=0.5)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crm() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        opened = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@pytest.fixture(params=["hu", "en"])
def language(request: pytest.FixtureRequest) -> Language:
    return is_a("Language", request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, demo: Demo, language: Language) -> AsyncIterator[Page]:
    """No script may fail on it, and nothing may come from elsewhere."""
    window = await browser.new_context(viewport={"width": 1300, "height": 900}, locale=LOCALES[language])
    opened = await window.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda fault: wrong.append(str(fault)))
    opened.on(
        "request", lambda one: None if one.url.startswith((demo.api, "data:", "blob:")) else wrong.append(one.url)
    )
    async with asyncio.timeout(120):
        yield opened
    await window.close()
    assert wrong == []


async def test_from_the_invitation_to_the_recording(
    page: Page, browser: Browser, demo: Demo, crm: Receiver, language: Language
) -> None:
    say = partial(words.gettext, language)
    crm.requests.clear()
    link = await invited(browser, demo, language, say)
    await accepted(page, link, say)
    await with_second_factor(page, demo, f"{language}@demo.example", say)
    name = f"history-{language}"
    await webhook_made_and_tested(page, demo, name, crm, say)

    call = await demo.outside.carrier("carrier").call_in(cast.SWITCHBOARD, from_number=CALLER, talk=2.0)
    await call.ended.wait()
    await page.goto(f"{demo.api}/webhooks/{name}")
    row = page.locator("[data-delivery]", has_text=say("Record of a finished call")).first
    await expect(row).to_contain_text(say("delivered"), timeout=60 * SECOND)
    await row.get_by_role("link").first.click()
    await expect(page.locator("[data-request]")).to_contain_text("+36305550123")
    told = [one for one in crm.requests if one.path.endswith(name) and one.json["type"] == "call.completed"]
    assert len(told) == 1

    await page.get_by_role("button", name=say("Send again")).click()
    await expect(page.locator("#state")).to_contain_text(say("delivered"), timeout=30 * SECOND)
    again = (told[0].path, told[0].event_id)
    await crm.until(lambda all_: [(one.path, one.event_id) for one in all_].count(again) == 2)
    await heard(page, say)


async def invited(browser: Browser, demo: Demo, language: Language, say: Say) -> str:
    """The owner, whom the operator has added by command, invites an administrator; the link."""

    def add() -> str | None:
        with closing(open_database(demo.settings)) as db:
            return by_command.add(
                db,
                email=f"owner-{language}@demo.example",
                name="Owner",
                language=language,
                operator=False,
                place=(cast.TENANT, "owner", None),
                now=int(time.time() * 1000),
            )

    window = await browser.new_context(locale=LOCALES[language])
    page = await window.new_page()
    await accepted(page, f"{demo.api}/welcome/{await asyncio.to_thread(add)}", say)
    await page.goto(f"{demo.api}/people/invite")
    await page.locator("#name").fill("Szabó Dóra")
    await page.locator("#email").fill(f"{language}@demo.example")
    await page.locator("[name=role][value=administrator]").check()
    await page.locator("#language").select_option(language)
    await page.get_by_role("button", name=say("Invite"), exact=True).click()
    link = await page.locator("#link").inner_text()
    await window.close()
    return link.strip()


async def accepted(page: Page, link: str, say: Say) -> None:
    """Chooses a password, and is signed in."""
    await page.goto(link)
    await page.locator("#password").fill(PASSWORD)
    await page.locator("#again").fill(PASSWORD)
    await page.locator("form button[type=submit]").click()
    await expect(page.get_by_role("button", name=say("Sign out"))).to_be_visible(timeout=20 * SECOND)


async def with_second_factor(page: Page, demo: Demo, email: str, say: Say) -> None:
    """Sets up an app, signs out, and signs in again with a password and a code."""
    await page.goto(f"{demo.api}/account/app")
    app = pyotp.TOTP((await page.locator("#app-secret").inner_text()).replace(" ", ""))
    await page.locator("#code").fill(app.now())
    await page.get_by_role("button", name=say("Turn on")).click()
    await expect(page.locator("#recovery-codes code").first).to_be_visible()
    recovery = await page.locator("#recovery-codes code").first.inner_text()
    await page.get_by_role("link", name=say("I have kept them")).click()
    await page.get_by_role("button", name=say("Sign out")).click()
    await page.goto(f"{demo.api}/sign-in")
    await page.locator("#email").fill(email)
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name=say("Sign in"), exact=True).click()
    await page.wait_for_url("**/sign-in/factor*")
    await page.locator("#code").fill("000000")
    await page.get_by_role("button", name=say("Sign in"), exact=True).click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.locator("#code").fill(recovery)  # the app's code is good once, and the next comes in half a minute
    await page.get_by_role("button", name=say("Sign in"), exact=True).click()
    await expect(page.get_by_role("button", name=say("Sign out"))).to_be_visible()


async def webhook_made_and_tested(page: Page, demo: Demo, name: str, crm: Receiver, say: Say) -> None:
    """By the guided form; it is on when this returns."""
    await page.goto(f"{demo.api}/webhooks")
    await page.get_by_role("link", name=say("New webhook")).click()
    await page.locator("#f-id").fill(name)
    for step in ("where", "how", "security", "fields", "test"):
        await page.locator("#go-next").click()
        await expect(page.locator("#webhook-form")).to_have_attribute("data-step", step)
        if step == "where":
            await page.locator("#f-url").fill(f"{crm.url}/{name}")
            await expect(page.locator("#preview [data-address]")).to_have_text(f"{crm.url}/{name}")
    await page.locator("#go-test").click()
    await expect(page.locator("#trial")).to_contain_text(say("It works."))
    assert [one.json["type"] for one in crm.requests] == ["webhook.test"]
    await page.locator("#go-save").click()
    await page.wait_for_url(f"**/webhooks/{name}/done")


async def heard(page: Page, say: Say) -> None:
    """The call's page plays its recording."""
    await page.get_by_role("link", name=say("Open the call")).click()
    player = page.locator("[data-player]")
    await expect(player).to_be_visible(timeout=40 * SECOND)
    await player.get_by_role("button", name=say("Play")).click()
    await expect(player.locator("[data-at]")).to_have_text(re.compile("0:0[1-9]"), timeout=20 * SECOND)

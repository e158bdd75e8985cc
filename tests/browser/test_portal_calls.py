"""Calls in a real browser: the player plays and is drawn, live calls come and go, what is open stays open."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import tones
from api_house import in_talk, sound_file
from portal_house import PortalHouse
from portal_visits import Visitors, chromium, house_in
from sample_calls import answered_call, event, recording
from vonal.calls import sound
from vonal.domain.call import Call
from vonal.store import audit, calls, events, recordings

SECONDS = 4.0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalHouse]:
    with house_in(tmp_path_factory.mktemp("portal")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(house: PortalHouse) -> Iterator[Page]:
    """No script may fail, and no policy be broken, on any of these pages."""
    with chromium() as browser:
        opened = Visitors(browser, house).window("owner").new_page()
        faults: list[str] = []
        opened.on("pageerror", lambda fault: faults.append(str(fault)))
        opened.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        yield opened
        assert faults == []


@pytest.fixture(scope="module")
def recorded(house: PortalHouse, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """A finished call with its events, and with the agent's tone on the left and the customer's on the right."""
    file = io.BytesIO()
    sound.encode(iter([tones.stereo(440, 880, SECONDS)]), file, "mp3")
    call = answered_call(state="completed", recordings=[recording("processing", duration_s=SECONDS)])
    house.db.submit(partial(recordings.any_tenant_keep, calls=[call], formats={})).result()
    call.recordings[0].state = "ready"
    path = tmp_path_factory.mktemp("sound") / "call.mp3"
    house.api.sounds["acme", call.recordings[0].id] = sound_file(path, file.getvalue())
    house.db.submit(partial(events.any_tenant_add, events=[event("call.incoming", call)])).result()
    return save(house, call)


def save(house: PortalHouse, call: Call) -> Call:
    house.db.submit(lambda tx: calls.save(call.tenant_id, tx, call)).result()
    return call


def ring(house: PortalHouse) -> None:
    assert house.api.loop
    house.api.loop.call_soon_threadsafe(house.api.broadcast.ring, ["acme"])


def listened(house: PortalHouse) -> list[str]:
    found, _ = house.db.read_now(partial(audit.listing, "acme", kind="recording"))
    return [one.action for one in found]


def test_a_recording_is_drawn_played_faster_and_by_keys(page: Page, house: PortalHouse, recorded: Call) -> None:
    page.goto(f"{house.url}/calls/{recorded.id}")
    player = page.locator("[data-player]")
    expect(player.locator(".player-who")).to_contain_text("Nagy Béla")
    assert listened(house) == []  # nothing is fetched before somebody wants to listen

    player.get_by_role("button", name="Play").click()
    expect(player).to_have_attribute("data-drawn", "2")
    expect(player.get_by_role("button", name="Pause")).to_be_visible()
    at, seek = player.locator("[data-at]"), player.get_by_label("Place in the recording")
    expect(at).not_to_have_text("0:00")
    player.get_by_label("Speed").select_option("2")
    assert page.evaluate("document.querySelector('audio').playbackRate") == 2
    seek.focus()
    page.keyboard.press("k")
    expect(player.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("Home")
    expect(seek).to_have_value("0")
    page.keyboard.press("l")
    expect(at).to_have_text("0:04")  # as far as it goes
    assert listened(house) == ["listen"]


def test_a_recording_can_be_saved(page: Page, house: PortalHouse, recorded: Call) -> None:
    page.goto(f"{house.url}/calls/{recorded.id}")
    with page.expect_download() as saved:
        page.locator("[data-player]").get_by_role("link", name="Download").click()
    assert Path(saved.value.suggested_filename).suffix == ".mp3"


def test_a_live_call_comes_ticks_and_goes_without_loading_the_page(page: Page, house: PortalHouse) -> None:
    page.goto(f"{house.url}/live")
    expect(page.get_by_text("Nobody is on the phone")).to_be_visible()
    page.evaluate("window.loaded = 1")
    call = save(house, in_talk(answered_call(ended_at=None)))
    ring(house)
    row = page.locator(f"[data-call={call.id}]")
    expect(row).to_contain_text("Talking")
    first = row.locator("time").inner_text()
    expect(row.locator("time")).not_to_have_text(first)
    expect(row.locator("time")).to_have_text(re.compile(r"^\d+:\d\d$"))
    row.get_by_role("link", name="Hang up").click()
    house.api.telephony.up = {call.linkedid: None, "17.2": None}
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator(f"[data-call={call.id}]")).to_be_visible()
    page.evaluate("window.loaded = 2")
    call.state, call.ended_at = "completed", datetime.now(UTC)
    save(house, call)
    ring(house)
    expect(page.get_by_text("Nobody is on the phone")).to_be_visible()
    assert page.evaluate("window.loaded") == 2
    assert house.api.telephony.up == {}


def test_the_log_finds_a_call_by_the_end_of_its_number(page: Page, house: PortalHouse, recorded: Call) -> None:
    page.goto(f"{house.url}/calls")
    page.get_by_label("Number or name").fill("555 0123")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(f"[data-call={recorded.id}]")).to_be_visible()
    page.get_by_label("Number or name").fill("999999")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No such call")).to_be_visible()


def test_what_is_open_stays_open_while_the_figures_change(page: Page, house: PortalHouse) -> None:
    page.goto(f"{house.url}/")
    table = page.locator("#hours-table")
    table.locator("summary").click()
    was = page.locator("[data-figure=today]").inner_text()
    save(house, answered_call(state="completed", at=datetime.now(UTC) - timedelta(seconds=1)))
    expect(page.locator("[data-figure=today]")).not_to_have_text(was, timeout=15_000)
    expect(table).to_have_attribute("open", "")

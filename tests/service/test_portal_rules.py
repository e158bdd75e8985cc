"""Numbers, recordings' rules and settings in the portal: every change is `apply`'s, and no more than meant."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import select

import portal_house
from portal_forms import field_fault, hidden, log, stored
from portal_house import Browser, PortalHouse
from sample_calls import answered_call, recording
from vonal.domain.call import Call
from vonal.domain.sound import Outcome
from vonal.store import recordings
from vonal.store.database import Database
from vonal.store.sql import from_ms
from vonal.store.tables import recording as table

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def call_with_recording(*, days_ago: int, tenant_id: str = "acme") -> Call:
    at = datetime.now(UTC) - timedelta(days=days_ago)
    return answered_call(tenant_id, at=at, recordings=[recording()])


def keep(house: PortalHouse, call: Call) -> None:
    """Stores the call and its recording, which is kept for a year."""
    (sound,) = call.recordings
    unsettled = replace_call(call, state="processing")
    house.db.submit(lambda tx: recordings.any_tenant_keep(tx, [unsettled], {})).result()
    outcome = Outcome(tenant_id=call.tenant_id, call_id=call.id, recording=sound)
    until = call.started_at + timedelta(days=365)
    house.db.submit(partial(recordings.settle, call.tenant_id, outcome=outcome, delete_at=until)).result()
    house.api.keep(call)


def replace_call(call: Call, *, state: str) -> Call:
    unsettled = replace(call.recordings[0], state=state)
    return answered_call(call.tenant_id, at=call.started_at, id=call.id, recordings=[unsettled])


def due(house: PortalHouse) -> dict[str, int]:
    """In how many days the recordings are deleted, by call."""
    rows = house.db.read_now(lambda tx: tx.execute(select(table.c.call_id, table.c.delete_at)).all())
    return {row.call_id: round((from_ms(row.delete_at) - datetime.now(UTC)) / timedelta(days=1)) for row in rows}


# --- numbers --------------------------------------------------------------------------------------

NUMBER = "/numbers/3612345678"


def ringing(browser: Browser, **fields: object) -> httpx.Response:
    shown = hidden(browser, NUMBER)
    given = {"name": "Központ", "strategy": "all", "timeout": "25", "order": ["101", "102", "103"], "shown": shown}
    return browser.send_form(f"{NUMBER}/save", **{**given, **fields})


def test_a_number_rings_others_from_now_on(house: PortalHouse) -> None:
    answer = ringing(
        house.signed_in(), ring=["102", "101"], order=["102", "101", "103"], strategy="in_order", timeout="15"
    )
    assert answer.status_code == 303, answer.text
    number = next(one for one in stored(house).numbers if one.number == "+3612345678")
    assert (number.name, number.ring, number.strategy, number.timeout) == ("Központ", ["102", "101"], "in_order", 15)
    assert len(stored(house).numbers) == 2
    (entry,) = log(house)
    assert (entry.before["ring"], entry.after["ring"]) == (["101"], ["102", "101"])


def test_the_page_says_in_words_what_happens(house: PortalHouse) -> None:
    owner = house.signed_in()
    ringing(owner, ring=["101", "102"])
    words = " ".join(re.sub(r"<[^>]+>", "", owner.get("/numbers").text).split())
    assert "It rings 101 (Kovács Anna) and 102 (Nagy Béla) together for 25 seconds" in words
    assert "It rings 102 (Nagy Béla) for 25 seconds; if nobody answers" in words


def test_moving_an_extension_up_saves_nothing_and_keeps_what_was_typed(house: PortalHouse) -> None:
    fields = {"name": "Typed", "strategy": "in_order", "timeout": "9", "ring": ["101", "102"], "shown": "x"}
    moved = house.signed_in().send_form(f"{NUMBER}/arrange", order=["101", "102", "103"], up="102", **fields)
    assert re.findall(r'name="order" value="(\d+)"', moved.text) == ["102", "101", "103"]
    assert re.findall(r'name="ring" value="(\d+)" id="ring-\d+" checked', moved.text) == ["102", "101"]
    assert 'value="Typed"' in moved.text
    words = " ".join(re.sub(r"<[^>]+>", "", moved.text).split())
    assert "It rings 102 (Nagy Béla) for 9 seconds, then one after the other 101 (Kovács Anna)" in words
    assert log(house) == []


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({}, "ring", "Tick at least one extension: somebody must be rung."),
        ({"ring": ["909"]}, "ring", "There is no extension 909."),
        ({"ring": ["101"], "timeout": "4"}, "timeout", "From 5 to 300."),
        ({"ring": ["101"], "timeout": "soon"}, "timeout", "Give a whole number."),
        ({"ring": ["101"], "strategy": "random"}, "strategy", "Choose one of those that are offered."),
    ],
)
def test_a_faulty_number_is_refused_beside_the_field(
    house: PortalHouse, typed: dict[str, object], field: str, told: str
) -> None:
    answer = ringing(house.signed_in(), **typed)
    assert field_fault(answer, field) == told
    assert log(house) == []


def test_two_who_change_a_number_do_not_overwrite_each_other(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = hidden(owner, NUMBER)
    ringing(owner, ring=["102"])
    answer = ringing(owner, ring=["103"], shown=shown)
    assert answer.status_code == 409
    assert "Somebody else has changed this" in answer.text
    again = re.search(r'name="shown" value="([^"]*)"', answer.text)
    assert again
    assert ringing(owner, ring=["103"], shown=again[1]).status_code == 303


# --- recordings' rules, settings ------------------------------------------------------------------


def policy(browser: Browser, **fields: object) -> httpx.Response:
    given = {"mode": "all", "format": "mp3", "retention_days": "365", "shown": hidden(browser, "/recordings")}
    return browser.send_form("/recordings/save", **{**given, **fields})


def test_recording_rules_are_changed(house: PortalHouse) -> None:
    assert policy(house.signed_in(), format="ogg", retention_days="400").status_code == 303
    rules = stored(house).recording
    assert (rules.mode, rules.format, rules.retention_days) == ("all", "ogg", 400)
    assert [(one.kind, one.after["recording"]["mode"]) for one in log(house)] == [("tenant", "all")]


def test_a_shorter_time_is_asked_about_with_the_number_of_recordings(house: PortalHouse) -> None:
    old, new = call_with_recording(days_ago=100), call_with_recording(days_ago=10)
    foreign = call_with_recording(days_ago=100, tenant_id="other")
    for call in (old, new, foreign):
        keep(house, call)
    owner = house.signed_in()
    asked = policy(owner, retention_days="30")
    assert "1 recording is older than that." in asked.text
    assert log(house) == []
    assert policy(owner, retention_days="30", older="keep").status_code == 303
    assert due(house) == {old.id: 265, new.id: 355, foreign.id: 265}
    policy(owner, retention_days="20", older="delete")
    assert due(house) == {old.id: -80, new.id: 10, foreign.id: 265}
    assert log(house)[0].after == {"retention_days": 20, "recordings": 2}


@pytest.mark.parametrize(("days", "told"), [("0", "From 1 to 36500."), ("", "Give a whole number."), ("1e9", "Give a")])
def test_a_faulty_time_is_refused(house: PortalHouse, days: str, told: str) -> None:
    answer = policy(house.signed_in(), retention_days=days)
    assert field_fault(answer, "retention_days").startswith(told)


def settings(browser: Browser, **fields: object) -> httpx.Response:
    given = {"name": "Acme Kft.", "language": "hu", "timezone": "Europe/Budapest", "notify": ""}
    shown = hidden(browser, "/settings")
    return browser.send_form("/settings/save", **{**given, "caller_id": "+3612345679", "shown": shown, **fields})


def test_settings_are_changed_and_what_guards_against_fraud_is_not(house: PortalHouse) -> None:
    answer = settings(
        house.signed_in(), notify="it@acme.example\r\nops@acme.example", countries="US", max_calls="9999", trunk="x"
    )
    assert answer.status_code == 303, answer.text
    tenant = stored(house)
    assert (tenant.language, tenant.notify) == ("hu", ["it@acme.example", "ops@acme.example"])
    assert tenant.outbound == replace(portal_house.api_house.ACME.outbound, caller_id="+3612345679")


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"timezone": "Europe/Budapset"}, "timezone", "There is no time zone Europe/Budapset. Did you mean Europe/"),
        ({"notify": "nobody"}, "notify", "Give an e-mail address"),
        ({"notify": "a@b.example a@b.example"}, "notify", "a@b.example stands here twice."),
        ({"caller_id": "+3619999999"}, "caller_id", "+3619999999 is none of the company's numbers."),
        ({"name": "é" * 129}, "name", "At most 128 characters."),
        ({"language": "xx"}, "language", "Choose one of those that are offered."),
    ],
)
def test_faulty_settings_are_refused_beside_the_field(
    house: PortalHouse, typed: dict[str, str], field: str, told: str
) -> None:
    assert field_fault(settings(house.signed_in(), **typed), field).startswith(told)
    assert log(house) == []

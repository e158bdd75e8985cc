"""Calls in the portal: the log with its filters and file, a call's page and sound, live calls, the overview."""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest

import portal_house
from api_house import in_talk, sound_file
from portal_house import PEOPLE, PortalHouse
from sample_calls import answered_call, event, recording
from vonal.domain.call import Agent, Call, Leg, Party
from vonal.portal.overview import today
from vonal.store import audit, call_counts, calls, events, recordings, users
from vonal.store.database import Database
from vonal.users.sessions import Sessions

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HUNGARIAN = "hu"


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def keep(house: PortalHouse, call: Call) -> Call:
    house.db.submit(lambda tx: calls.save(call.tenant_id, tx, call)).result()
    return call


def leg(extension: str) -> Leg:
    now = datetime.now(UTC)
    return Leg(id="leg_2", channel="b", kind="extension", party="called", extension=extension, started_at=now)


def of_agent(**changes: object) -> Call:
    """A finished call of the agent's own extension."""
    return answered_call(
        state="completed", agent=Agent(extension="101", name="Kovács Anna"), legs=[leg("101")], **changes
    )


def of_others(**changes: object) -> Call:
    return answered_call(state="completed", **changes)


def deeds(house: PortalHouse) -> list[tuple[str, str, str]]:
    found, _ = house.db.read_now(partial(audit.listing, "acme"))
    return [(one.action, one.kind, one.actor.name) for one in found]


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "ab"),
        ("q=06+30+555+0123", "a"),
        ("q=%2B36305550123", "a"),
        ("q=5550123", "a"),
        ("q=30+555+0123", "a"),
        ("q=9999", ""),
        ("q=101", "b"),
        ("q=kovacs", "b"),
        ("q=nobody", ""),
        ("direction=outbound", "b"),
        ("disposition=busy", "b"),
        ("extension=102", "a"),
        ("recorded=1", "a"),
        ("from=2026-11-22&until=2026-11-22", "a"),
        ("until=2026-11-21", "b"),
        ("from=2026-11-23", ""),
    ],
)
def test_calls_are_found_by_what_is_typed(house: PortalHouse, query: str, found: str) -> None:
    names = {
        keep(house, of_others(recordings=[recording()])).id: "a",
        keep(
            house,
            of_agent(
                at=datetime(2026, 11, 21, 9, tzinfo=UTC),
                direction="outbound",
                disposition="busy",
                from_=Party(raw="101"),
                to=Party(number="+43123456"),
            ),
        ).id: "b",
    }
    keep(house, answered_call("other", state="completed"))
    text = house.signed_in().get(f"/calls?{query}").text
    assert "".join(sorted(name for call_id, name in names.items() if f"/calls/{call_id}" in text)) == found


def test_what_was_typed_stands_there_again_with_what_is_wrong_with_it(house: PortalHouse) -> None:
    text = house.signed_in().get("/calls?q=12&from=yesterday").text
    assert "Type at least four digits" in text
    assert "This is no date" in text
    assert 'value="yesterday"' in text
    assert text.count('aria-invalid="true"') == 2


def test_pages_follow_each_other_and_keep_the_filters(house: PortalHouse) -> None:
    stored = [of_others(at=datetime(2026, 11, 22, 9, n % 60, n // 60, tzinfo=UTC)) for n in range(60)]
    house.db.submit(partial(calls.any_tenant_save, calls=stored)).result()
    owner = house.signed_in()
    first = owner.get("/calls?direction=inbound").text
    address = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "direction=inbound" in address
    second = owner.get(address).text
    assert first.count("data-call=") == 50
    assert second.count("data-call=") == 10
    assert owner.get("/calls?after=nonsense").status_code == 400


def test_an_empty_log_teaches_what_comes(house: PortalHouse) -> None:
    assert "As soon as somebody calls" in house.signed_in().get("/calls").text
    assert "Nothing fits" in house.signed_in().get("/calls?direction=internal").text


def test_the_file_has_what_the_list_has_and_no_formula(house: PortalHouse) -> None:
    keep(house, of_others(from_=Party(number="+36305550123", name='=HYPERLINK("http://x")')))
    keep(house, of_agent(direction="internal"))
    answer = house.signed_in().get("/calls.csv?direction=inbound")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.headers["content-disposition"].startswith("attachment;")
    head, row = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    told = dict(zip(head, row, strict=True))
    assert told["From"] == "+36305550123"
    assert told["Caller's name"] == '\'=HYPERLINK("http://x")'
    assert told["Talk (s)"] == "240"
    assert ("export", "calls", "owner@acme.example") in deeds(house)


def test_the_file_is_written_as_excel_wants_it_in_hungary(house: PortalHouse) -> None:
    keep(house, of_others())
    owner = PEOPLE["owner"]
    house.db.submit(
        partial(users.any_tenant_set_profile, user_id=owner.id, name=owner.name, language=HUNGARIAN)
    ).result()
    head = house.signed_in().get("/calls.csv").content.decode("utf-8-sig").splitlines()[0]
    assert head.startswith("Kezdete;Irány;")


# --- what an agent sees ----------------------------------------------------------------------------------------------


def test_an_agent_sees_his_own_calls_only(house: PortalHouse, tmp_path: Path) -> None:
    mine, others = keep(house, of_agent()), keep(house, with_sound(house, of_others(), tmp_path))
    agent = house.signed_in("agent")
    for query in ("", "?extension=102", "?q=0123", "?direction=inbound"):
        text = agent.get(f"/calls{query}").text
        assert others.id not in text
    assert mine.id in agent.get("/calls").text
    assert agent.get(f"/calls/{mine.id}").status_code == 200
    assert agent.get(f"/calls/{others.id}").status_code == 404
    assert agent.get(f"/recordings/{others.recordings[0].id}/sound").status_code == 404
    assert agent.get("/calls.csv").status_code == 403
    assert agent.send_form(f"/calls/{others.id}/hang-up-now").status_code == 404
    assert agent.send_form(f"/calls/{others.id}/call-back").status_code == 404


def test_an_agents_overview_and_live_page_have_his_own_calls_only(house: PortalHouse) -> None:
    now = datetime.now(UTC)
    keep(house, of_others(at=now, disposition="no_answer", answered_at=None))
    theirs = keep(house, answered_call(state="live", at=now, ended_at=None))
    agent, owner = house.signed_in("agent"), house.signed_in()
    assert figure(owner.get("/").text, "today") == "1"
    assert figure(agent.get("/").text, "today") == "0"
    assert figure(owner.get("/").text, "live") == "1"
    assert figure(agent.get("/").text, "live") == "0"
    assert theirs.id in owner.get("/live").text
    assert theirs.id not in agent.get("/live").text


def test_nobody_sees_another_tenants_calls(house: PortalHouse) -> None:
    call = keep(house, of_others())
    stranger = house.signed_in("stranger")
    assert stranger.get(f"/calls/{call.id}").status_code == 404
    assert call.id not in stranger.get("/calls").text
    assert stranger.send_form(f"/calls/{call.id}/hang-up-now").status_code == 404


# --- a call ----------------------------------------------------------------------------------------------------------


def with_sound(house: PortalHouse, call: Call, folder: Path) -> Call:
    call.recordings = [recording("processing")]
    house.db.submit(partial(recordings.any_tenant_keep, calls=[call], formats={})).result()
    call.recordings[0].state = "ready"
    house.api.sounds["acme", call.recordings[0].id] = sound_file(folder / "x.mp3", b"sound" * 100)
    return call


def test_a_calls_page_tells_its_legs_events_and_sound(house: PortalHouse, tmp_path: Path) -> None:
    call = with_sound(house, of_others(), tmp_path)
    told = event("call.incoming", call)
    house.db.submit(partial(events.any_tenant_add, events=[told])).result()
    keep(house, call)
    text = house.signed_in().get(f"/calls/{call.id}").text
    assert "Nagy Béla" in text
    assert "call.incoming" in text
    assert f"/recordings/{call.recordings[0].id}/sound" in text
    assert "legs-ringing" in text
    assert "4:00" in text


@pytest.mark.parametrize(
    ("state", "says"), [("processing", "made ready"), ("deleted", "was deleted"), ("failed", "left no sound")]
)
def test_why_a_recording_cannot_be_heard_is_said(house: PortalHouse, state: str, says: str) -> None:
    call = keep(house, of_others(recordings=[recording(state)]))
    assert says in house.signed_in().get(f"/calls/{call.id}").text


def test_sound_is_sent_in_parts_and_listening_is_noted_once(house: PortalHouse, tmp_path: Path) -> None:
    call = keep(house, with_sound(house, of_others(), tmp_path))
    path = f"/recordings/{call.recordings[0].id}/sound"
    owner = house.signed_in()
    part = owner.get(path, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"sound", "bytes 5-9/500")
    assert owner.get(path, headers={"Range": "bytes=9000-"}).status_code == 416
    assert owner.get(path).headers["content-disposition"].startswith("inline")
    assert owner.get(f"{path}?save=1").headers["content-disposition"].startswith("attachment")
    assert [action for action, kind, _ in deeds(house) if kind == "recording"] == ["download", "listen"]
    assert house.signed_in("stranger").get(path).status_code == 404


def test_hanging_up_asks_first_and_is_noted(house: PortalHouse) -> None:
    call = keep(house, in_talk(answered_call(ended_at=None)))
    house.api.telephony.up = {call.linkedid: None, "17.2": None}
    owner = house.signed_in()
    assert "cut off at once" in owner.get(f"/calls/{call.id}/hang-up").text
    assert owner.send_form(f"/calls/{call.id}/hang-up-now").headers["location"] == f"/calls/{call.id}"
    assert house.api.telephony.up == {}
    assert ("hang_up", "call", "owner@acme.example") in deeds(house)


def test_an_agent_hangs_up_his_own_call(house: PortalHouse) -> None:
    call = keep(house, in_talk(answered_call(ended_at=None)))
    house.api.telephony.up = {call.linkedid: None, "17.2": None}
    assert house.signed_in("agent").send_form(f"/calls/{call.id}/hang-up-now").status_code == 303
    assert house.api.telephony.up == {}


def test_calling_back_rings_ones_own_phone(house: PortalHouse) -> None:
    call = keep(house, of_agent(disposition="no_answer"))
    answer = house.signed_in("agent").send_form(f"/calls/{call.id}/call-back")
    assert answer.headers["location"].startswith("/calls/call_")
    (order,) = house.api.telephony.rings
    assert (order.extension, order.number) == ("101", "+36305550123")
    assert house.signed_in("owner").send_form(f"/calls/{call.id}/call-back").status_code == 400


# --- live ------------------------------------------------------------------------------------------------------------


class Watching:
    """A browser at the live page's stream."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()

    def until(self, word: str) -> str:
        """Reads until an event has this word."""
        text = ""
        for line in self._lines:
            text += line + "\n"
            if not line:
                if word in text:
                    return text
                text = ""
        raise AssertionError(f"the stream ended without {word}")


def ring(house: PortalHouse) -> None:
    assert house.api.loop
    house.api.loop.call_soon_threadsafe(house.api.broadcast.ring, ["acme"])


def test_calls_come_and_go_by_themselves(house: PortalHouse) -> None:
    owner = house.signed_in()
    with owner.stream("GET", "/live/stream") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        watching = Watching(answer)
        watching.until("Nobody is on the phone")
        call = keep(house, in_talk(answered_call(ended_at=None)))
        ring(house)
        assert "Talking" in watching.until(call.id)
        call.state = "completed"
        keep(house, call)
        ring(house)
        watching.until("Nobody is on the phone")
        assert house.api.broadcast.listeners("acme") == 0  # people take no program's place


def test_a_stream_shows_an_agent_his_own_calls_and_ends_with_the_service(house: PortalHouse) -> None:
    agent = house.signed_in("agent")
    with agent.stream("GET", "/live/stream") as answer:
        watching = Watching(answer)
        watching.until("Nobody is on the phone")
        theirs = keep(house, answered_call(state="live", ended_at=None))
        mine = keep(house, in_talk(answered_call(ended_at=None)))
        ring(house)
        assert theirs.id not in watching.until(mine.id)
        house.api.draining = True
        watching.until("event: over")


def test_a_stream_ends_with_its_session(house: PortalHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vonal.portal.live.SESSION_SECONDS", 0)
    owner = house.signed_in()
    with owner.stream("GET", "/live/stream") as answer:
        watching = Watching(answer)
        watching.until("Nobody is on the phone")
        found = asyncio.run(Sessions(house.db).find(owner.token))
        assert found
        asyncio.run(Sessions(house.db).end(found.session))
        watching.until("event: over")


# --- overview --------------------------------------------------------------------------------------------------------


def figure(text: str, name: str) -> str:
    return text.split(f'data-figure="{name}">')[1].split("<", maxsplit=1)[0].strip()


def test_the_overview_counts_today_and_lists_who_was_missed(house: PortalHouse) -> None:
    now = datetime.now(UTC)
    stored = [of_others(at=now), of_others(at=now - timedelta(days=2)), of_others(at=now, disposition="no_answer")]
    stored.append(answered_call("other", state="completed", at=now))
    house.db.submit(partial(calls.any_tenant_save, calls=stored)).result()
    text = house.signed_in().get("/").text
    assert (figure(text, "today"), figure(text, "answered"), figure(text, "missed")) == ("2", "1", "1")
    assert f'data-call="{stored[2].id}"' in text
    assert "2 / 3" in text
    assert "Webhooks that work" in text


def test_an_empty_company_is_told_how_to_begin(house: PortalHouse) -> None:
    assert "Make your first webhook" in house.signed_in().get("/").text
    assert "Make your first webhook" not in house.signed_in("agent").get("/").text


def test_a_day_has_the_hours_that_the_clocks_have(house: PortalHouse) -> None:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Budapest")
    assert today(datetime(2026, 10, 25, 12, tzinfo=UTC), zone)[1] == 25
    assert today(datetime(2026, 3, 29, 12, tzinfo=UTC), zone)[1] == 23
    start, hours = today(datetime(2026, 11, 24, 22, 59, tzinfo=UTC), zone)
    assert (start, hours) == (datetime(2026, 11, 23, 23, tzinfo=UTC), 24)
    call = keep(house, of_others(at=start + timedelta(hours=9, minutes=59)))
    counted = house.db.read_now(
        partial(call_counts.by_hour, "acme", since=start, until=start + timedelta(hours=hours), own="102")
    )
    assert [(one.hour, one.direction, one.calls) for one in counted] == [(9, call.direction, 1)]

"""The feed over real HTTP: however it is cut, slowed down or stopped, what arrives is every event once, in order."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vonal.api.event_stream as stream_module
from api_house import FAR_KEY, KEY, OTHER_KEY, PASSWORD, USER, House
from sample_calls import START, answered_call, event, events_of_call, recording
from vonal.domain.events import CallEvent
from vonal.store import events

PATH = "/api/v1/events"
STREAM = {"Accept": "text/event-stream", "X-API-Key": KEY}
JSON = {"Accept": "application/json", "X-API-Key": KEY}


def tell(house: House, *told: CallEvent, ring: bool = True) -> list[str]:
    """The events happen; their ids."""
    house.db.submit(lambda tx: events.any_tenant_add(tx, list(told))).result()
    if ring and house.loop:
        house.loop.call_soon_threadsafe(house.broadcast.ring, {one.tenant_id for one in told})
    return [one.id for one in told]


def some(house: House, calls: int = 1, **members: Any) -> list[str]:
    return [one for _ in range(calls) for one in tell(house, *events_of_call(**members))]


@contextmanager
def opened(house: House, *, headers: dict[str, str] | None = None, **params: str) -> Iterator["Reading"]:
    wanted = {**STREAM, **(headers or {})}
    with house.client(headers=wanted) as client, client.stream("GET", PATH, params=params) as answer:
        assert answer.status_code == 200, answer.read()
        yield Reading(answer)


class Reading:
    """A stream as a reader takes it: `block()` is the next block's fields, `take(n)` the next n events' ids."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.last_id = ""
        self._lines = answer.iter_lines()

    def block(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self._lines:
            if not line:
                self.last_id = found.get("id", self.last_id)
                return found
            name, _, value = line.partition(":")
            found[name] = value.removeprefix(" ")
        raise EOFError

    def take(self, number: int) -> list[str]:
        taken: list[str] = []
        while len(taken) < number:
            block = self.block()
            if "data" in block:
                assert json.loads(block["data"])["id"] == block["id"]
                taken.append(block["id"])
        return taken

    def rest(self) -> list[str]:
        taken: list[str] = []
        try:
            while True:
                taken += self.take(1)
        except EOFError:
            return taken


def drained(house: House, after: str) -> list[str]:
    """Everything behind `after`, as the JSON pages tell it."""
    taken: list[str] = []
    with house.client(headers=JSON) as client:
        cursor: str | None = after
        while cursor:
            page = client.get(PATH, params={"after": cursor, "limit": 3}).json()
            taken += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
    return taken


def test_a_stream_begins_now_and_tells_what_happens_in_the_webhooks_envelope(house: House) -> None:
    old = some(house)
    with opened(house) as reading:
        assert reading.block() == {"retry": "2000", "id": old[-1]}
        call = answered_call(recordings=[recording()])
        completed = event(call=call)
        tell(house, completed)
        block = reading.block()
        assert (block["id"], block["event"]) == (completed.id, "call.completed")
        told = json.loads(block["data"])
        assert told["id"] == completed.id
        assert told["schema"] == "1.0"
        assert told["tenant"] == {"id": "acme", "timezone": "Europe/Budapest"}
        assert told["data"]["call"]["disposition"] == "answered"
        [sound] = told["data"]["recordings"]
        assert sound["url"] == f"{house.url}/api/v1/recordings/{sound['id']}"
        assert reading.answer.headers["content-type"] == "text/event-stream"
        assert reading.answer.headers["x-request-id"]


def test_events_of_another_process_are_told_although_nobody_rings(house: House) -> None:
    with opened(house) as reading:
        reading.block()
        told = tell(house, *events_of_call(), ring=False)
        assert reading.take(5) == told


def test_whoever_is_cut_off_before_the_first_event_loses_none(house: House) -> None:
    with opened(house) as reading:
        assert reading.block()["id"] == "start"
        begin = reading.last_id
    told = some(house)
    with opened(house, headers={"Last-Event-ID": begin}) as reading:
        assert reading.take(5) == told


@pytest.mark.parametrize("how", ["header", "parameter", "both"])
def test_a_stream_resumes_behind_any_event(house: House, how: str) -> None:
    told = some(house, 3)
    for at in (0, 6, 13):
        given = {"Last-Event-ID": told[at]} if how != "parameter" else {}
        asked = {"header": {}, "parameter": {"after": told[at]}, "both": {"after": told[2]}}[how]
        with opened(house, headers=given, **asked) as reading:
            assert reading.take(len(told) - at - 1) == told[at + 1 :]


def test_a_stream_begins_at_a_time(house: House) -> None:
    some(house, 2)
    later = some(house, 2, at=START + timedelta(hours=1))
    for at, wanted in ((START + timedelta(minutes=30), later), (START + timedelta(hours=1), later)):
        with opened(house, **{"from": at.isoformat()}) as reading:
            assert reading.take(10) == wanted
    with opened(house, **{"from": (START - timedelta(days=1)).isoformat()}) as reading:
        assert reading.block()["id"] == "start"
    with opened(house, **{"from": (START + timedelta(days=1)).isoformat()}) as reading:
        assert reading.block()["id"] == later[-1]


def test_only_what_is_asked_for_is_told(house: House) -> None:
    missed = answered_call(disposition="no_answer", agent=None, legs=[])
    told = [*events_of_call(), event("call.completed", missed), *events_of_call()]
    ids = tell(house, *told)
    with opened(house, after="start", events="call.missed") as reading:
        assert reading.take(1) == [ids[5]]
        assert reading.block() == {"id": ids[-1]}  # resumes behind what it did not want
    with opened(house, after="start", events="call.completed, call.incoming", extension="102") as reading:
        assert reading.take(4) == [ids[0], ids[4], ids[6], ids[10]]
    with house.client(headers=JSON) as client:
        asked = {"after": "start", "extension": "101"}
        assert client.get(PATH, params=asked).json() == {"items": [], "next_cursor": None, "last_id": ids[-1]}
        page = client.get(PATH, params={"after": "start", "fields": "call.id,from.number"}).json()
        assert page["items"][0]["data"] == {"call": {"id": told[0].call_id}, "from": {"number": "+36305550123"}}
        minimal = client.get(PATH, params={"after": "start", "fields": "minimal"}).json()
        assert "legs" not in minimal["items"][0]["data"]


def test_pages_of_json_have_every_event_once_and_say_where_to_go_on(house: House) -> None:
    with house.client(headers=JSON) as client:
        nothing = client.get(PATH).json()
        assert nothing == {"items": [], "next_cursor": None, "last_id": "start"}
        told = some(house, 4)
        assert drained(house, nothing["last_id"]) == told
        now = client.get(PATH).json()
        assert now == {"items": [], "next_cursor": None, "last_id": told[-1]}
        more = some(house)
        assert drained(house, now["last_id"]) == more
        assert client.get(PATH, headers={**JSON, "Accept": "application/json, text/plain, */*"}).json()


def test_unknown_events_are_one_whoever_knows_them(house: House) -> None:
    foreign = tell(house, *events_of_call("other"))
    answers = []
    with house.client(headers=STREAM) as client:
        for unknown in (foreign[0], "evt_" + "a" * 26, "nonsense", "x" * 5000, "'; --", "é"):
            answer = client.get(PATH, headers={"Last-Event-ID": unknown.encode()})
            answers.append({**answer.json(), "request_id": ""})
            assert answer.status_code == 404
        wrong = client.get(PATH, params={"after": foreign[0]})
        assert (wrong.status_code, wrong.json()["param"]) == (404, "after")
    assert all(one == answers[0] for one in answers)
    assert answers[0]["code"] == "event_not_found"
    assert "from" in answers[0]["detail"]
    assert "manifests" in answers[0]["detail"]


def test_tenants_never_see_each_others_events(house: House) -> None:
    ours, theirs = some(house), tell(house, *events_of_call("other"))
    for key, wanted in ((KEY, ours), (OTHER_KEY, theirs)):
        with opened(house, headers={"X-API-Key": key}, after="start") as reading:
            assert reading.take(5) == wanted
            house.draining = True
            assert reading.rest() == []
            house.draining = False


def test_bad_requests_are_told_so_and_credentials_work_as_everywhere(house: House) -> None:
    with house.client(headers={"Accept": "text/event-stream"}) as client:
        assert client.get(PATH).status_code == 401
        assert client.get(PATH, headers={"X-API-Key": FAR_KEY}).status_code == 403
        for params, param in (
            ({"events": "call.completed,call.nonsense"}, "events"),
            ({"fields": "a b"}, "fields"),
            ({"from": "yesterday"}, "from"),
            ({"extension": "x"}, "extension"),
        ):
            answer = client.get(PATH, params={**params, "api_key": KEY})
            assert (answer.status_code, answer.json()["param"]) == (400, param)
        with client.stream("GET", PATH, params={"user": USER, "password": PASSWORD}) as answer:
            assert answer.status_code == 200
    with house.client(headers={"X-API-Key": KEY}) as client, client.stream("GET", PATH) as answer:
        assert answer.headers["content-type"] == "text/event-stream"  # curl as it comes: */*


def _until(reached: Any, what: str) -> None:
    for _ in range(3000):
        if reached():
            return
        time.sleep(0.01)
    raise AssertionError(f"never: {what}")


def test_a_tenant_has_twenty_streams_and_a_closed_one_makes_room(house: House) -> None:
    clients = [house.client(headers=STREAM) for _ in range(21)]
    try:
        streams = [one.send(one.build_request("GET", PATH), stream=True) for one in clients]
        assert [one.status_code for one in streams] == [200] * 20 + [429]
        assert streams[-1].read()
        assert streams[-1].json()["code"] == "rate_limited"
        assert streams[-1].headers["retry-after"]
        with opened(house, headers={"X-API-Key": OTHER_KEY}) as reading:
            assert reading.block()["id"] == "start"
        streams[3].close()
        _until(lambda: house.broadcast.listeners("acme") == 19, "the closed one is noticed")
        assert clients[3].send(clients[3].build_request("GET", PATH), stream=True).status_code == 200
    finally:
        for one in clients:
            one.close()
    _until(lambda: house.broadcast.listeners("acme") == 0, "all are gone")


def test_streams_end_when_the_service_is_being_stopped_and_resume_at_the_next(house: House) -> None:
    with opened(house, after="start") as first, opened(house, after="start") as second:
        told = some(house)
        assert first.take(5) == told
        last = tell(house, *events_of_call(), ring=False)
        house.draining = True
        assert first.rest() == last
        assert second.rest() == told + last
        assert first.last_id == last[-1]
    with opened(house, headers={"Last-Event-ID": told[-1]}) as late:  # comes back too early: told, and sent away
        assert late.rest() == last
    _until(lambda: house.broadcast.listeners("acme") == 0, "all have gone")


def test_silence_is_broken_by_heartbeats(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "HEARTBEAT_SECONDS", 0.0)
    with opened(house, events="call.missed") as reading:
        assert reading.block() == {"retry": "2000", "id": "start"}
        assert reading.block() == {"": ""}
        told = some(house)
        while (block := reading.block()) == {"": ""}:
            pass
        assert block == {"id": told[-1]}


def _socket(house: House, path: str, *, buffer: int | None = None) -> socket.socket:
    host, _, port = house.url.removeprefix("http://").partition(":")
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(20)
    connection.connect((host, int(port)))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nAccept: text/event-stream\r\n\r\n".encode()
    )
    return connection


def test_a_slow_reader_only_lags_and_holds_up_nobody(house: House) -> None:
    with _socket(house, f"{PATH}?after=start", buffer=4096) as slow:
        _until(lambda: house.broadcast.listeners("acme") == 1, "it listens")
        told = some(house, 300)
        with opened(house, after="start") as quick:
            assert quick.take(len(told)) == told
        more = some(house)
        found = b""
        while more[-1].encode() not in found or not found.endswith(b"\n\n\r\n"):
            found += slow.recv(65_536)
    taken = [line.split()[1].decode() for line in found.splitlines() if line.startswith(b"id: ")]
    assert taken == [*told, *more]


def test_one_that_reads_nothing_does_not_hold_up_a_stop(house: House) -> None:
    tell(house, *[one for _ in range(1500) for one in events_of_call()])  # more than all buffers hold
    with _socket(house, f"{PATH}?after=start", buffer=4096):
        _until(lambda: house.broadcast.listeners("acme") == 1, "it listens")
        house.draining = True
        _until(lambda: house.broadcast.listeners("acme") == 0, "it is sent away")


def test_three_readers_cut_again_and_again_get_everything_once_while_it_happens(house: House) -> None:
    calls = [events_of_call() for _ in range(40)]
    wanted = [one.id for told in calls for one in told]
    taken: list[list[str]] = [[], [], []]

    def read(number: int) -> None:
        last_id = "start"
        while len(taken[number]) < len(wanted):
            with opened(house, headers={"Last-Event-ID": last_id}) as reading:
                some_more = reading.take(min(7 + 4 * number, len(wanted) - len(taken[number])))
            last_id = some_more[-1]
            taken[number] += some_more

    readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for one in readers:
        one.start()
    for told in calls:
        tell(house, *told)
    for one in readers:
        one.join(60)
    assert taken == [wanted] * 3
    _until(lambda: house.broadcast.listeners("acme") == 0, "all are gone")


def _cut(house: House, last_id: str, size: int) -> list[str]:
    """The ids that an EventSource takes from the first `size` bytes of a stream: whole blocks only."""
    with _socket(house, f"{PATH}?after={last_id}") as connection:
        found = b""
        while len(found) < size and (chunk := connection.recv(size - len(found))):
            found += chunk
    blocks = found.split(b"\n\n")[:-1]
    return [
        line[4:].decode()
        for block in blocks
        if b"data: " in block
        for line in block.split(b"\n")
        if line[:4] == b"id: "
    ]


def test_however_a_stream_is_cut_the_pieces_make_the_whole(house: House) -> None:
    told = some(house, 8)

    @given(st.lists(st.integers(200, 20_000), max_size=6))
    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def cut(sizes: list[int]) -> None:
        taken: list[str] = []
        for size in sizes:
            if len(taken) == len(told):
                break
            taken += _cut(house, taken[-1] if taken else "start", size)
        with opened(house, headers={"Last-Event-ID": taken[-1] if taken else "start"}) as reading:
            taken += reading.take(len(told) - len(taken))
        assert taken == told

    cut()

"""Places for requests under way: nobody takes those of others, and who waits gets the next one that is free."""

import pytest

from vonal.delivery import room as rooms
from vonal.delivery.lane import Lane
from vonal.delivery.room import Flight, Room
from vonal.domain.delivery import LaneState

NOW = 1_800_000_000_000


def _lane(name: str, *, fails: int = 0, host: str = "", slow: bool = False) -> Lane:
    lane = Lane(("acme", name), LaneState(fails=fails))
    lane.host, lane.slow = host, slow
    return lane


def _fill(room: Room, lane: Lane, *, at: int = NOW, most: int = 10_000) -> list[Flight]:
    flights = []
    while room.has_place(lane) and len(flights) < most:
        flights.append(room.enter(lane, at))
    return flights


@pytest.mark.parametrize("kind", ["fast", "slow", "failing"])
def test_each_kind_has_its_own_places(kind: str):
    room = Room()
    taking = {"fast": _lane("a"), "slow": _lane("a", slow=True), "failing": _lane("a", fails=1)}
    taking[kind].host = ""
    for number in range(100):  # from many hosts, so that none of them is the limit
        taking[kind].host = f"host-{number}"
        _fill(room, taking[kind], most=rooms.PLACES["fast"] // 64)
    assert len(room.flights) == rooms.PLACES[kind]
    assert not room.has_place(taking[kind])
    assert all(room.has_place(_lane("b", fails=fails, slow=slow)) == (_kind(fails, slow) != kind)
               for fails, slow in ((0, False), (0, True), (1, False)))  # fmt: skip


def _kind(fails: int, slow: bool) -> str:
    return "failing" if fails else "slow" if slow else "fast"


def test_what_turns_out_slow_leaves_the_places_of_the_fast():
    room = Room()
    hanging = [_lane(f"hanging-{number}", host=f"host-{number}") for number in range(64)]
    for lane in hanging:
        _fill(room, lane, most=4)
    healthy = _lane("healthy", host="other")
    assert not room.has_place(healthy)
    room.tell_slow(NOW + rooms.SLOW_MS)
    assert not room.has_place(healthy)
    room.tell_slow(NOW + rooms.SLOW_MS + 1)
    assert room.has_place(healthy)
    assert {lane.kind for lane in hanging} == {"slow"}


def test_however_many_hang_there_is_a_last_bound():
    room, now = Room(), NOW
    for number in range(2000):
        lane = _lane(f"hanging-{number}", host=f"host-{number}")
        if not room.has_place(lane):
            now += rooms.SLOW_MS + 1
            room.tell_slow(now)
        if room.has_place(lane):
            room.enter(lane, now)
    assert len(room.flights) == rooms.TOTAL


def test_a_host_gets_so_many_connections_whoever_sends_there():
    room = Room()
    for number in range(100):
        _fill(room, _lane(f"hook-{number}", host="crm.example"), most=1)
    assert len(room.flights) == rooms.PER_HOST
    assert not room.has_place(_lane("one-more", host="crm.example"))
    assert room.has_place(_lane("one-more", host="other.example"))


def test_the_host_is_known_once_the_request_is_made():
    room = Room()
    lane = _lane("new")
    flight = room.enter(lane, NOW)
    room.at_host(flight, "crm.example")
    assert lane.host == "crm.example"
    _fill(room, lane, most=rooms.PER_HOST - 1)
    assert not room.has_place(lane)
    room.leave(flight)
    assert room.has_place(lane)


def test_who_waits_gets_the_next_free_place_in_turn():
    room = Room()
    flights = [one for number in range(64) for one in _fill(room, _lane(f"busy-{number}", host=f"h-{number}"), most=4)]
    first, second = _lane("first", host="one"), _lane("second", host="two")
    room.wait(first)
    room.wait(second)
    assert room.next_fed() is None
    room.leave(flights[0])
    assert room.next_fed() is first
    room.enter(first, NOW)
    assert room.next_fed() is None
    room.leave(flights[1])
    assert room.next_fed() is second
    assert room.next_fed() is None


def test_who_waits_for_a_host_does_not_take_the_turn_of_others():
    room = Room()
    flights = [_fill(room, _lane(f"hook-{number}", host="full"), most=1)[0] for number in range(rooms.PER_HOST)]
    waiting = _lane("waiting", host="full")
    room.wait(waiting)
    assert room.next_fed() is None
    room.leave(flights[0])
    assert room.next_fed() is waiting

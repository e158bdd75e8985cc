"""A webhook's queue: races between pushes, loads and settled outcomes, told one by one."""

import pytest

from sample_calls import events_of_call
from vonal.delivery import lane as lanes
from vonal.delivery.lane import Lane, Look
from vonal.domain.delivery import LaneState, Outcome, Owed
from vonal.domain.events import CallEvent

NOW = 1_800_000_000_000
DOWN = Outcome(error="timeout", fault="theirs")
RECORDS = ("recording.ready", "call.completed", "call.updated")


def _owed(event: CallEvent, *, due_at: int = NOW, expires_at: int | None = None) -> Owed:
    return Owed(id=f"dlv_{event.id}", webhook_id="log", event=event, due_at=due_at, expires_at=expires_at)


def _call(types: tuple[str, ...] = RECORDS) -> list[Owed]:
    return [_owed(event) for event in events_of_call(types=types)]


def _calls(count: int) -> list[Owed]:
    return [_call(("call.completed",))[0] for _ in range(count)]


def _lane(rows: list[Owed], *, whole: bool = True, memory: lanes.Memory | None = None) -> Lane:
    lane = Lane(("acme", "log"), LaneState(), memory=memory)
    limit = lane.begin_load(NOW).limit
    lane.fill(rows, whole=whole, limit=limit)
    return lane


def _taken(lane: Lane, now: int = NOW) -> list[Owed]:
    taken = []
    while (owed := lane.next(now)) is not None:
        taken.append(owed)
    return taken


def test_one_event_of_a_call_is_under_way_at_a_time():
    first, second, _ = rows = _call()
    lane = _lane(rows)
    assert _taken(lane) == [first]
    lane.answered(first)
    assert _taken(lane) == [second]


def test_the_next_event_of_a_call_waits_until_the_failure_before_it_is_written():
    first, *_ = rows = _call()
    lane = _lane(rows)
    lane.next(NOW)
    lane.failed(first)
    assert lane.next(NOW) is None
    again = _owed(first.event, due_at=NOW + 5000)
    lane.settled(first, again)
    assert lane.next(NOW) is None
    assert lane.next(NOW + 5000) == again


def test_a_success_written_late_does_not_free_the_next_event_that_has_failed_meanwhile():
    first, second, third = _call()
    lane = _lane([first, second, third])
    lane.next(NOW)
    lane.answered(first)
    lane.next(NOW)
    lane.failed(second)
    lane.settled(first, None)
    assert lane.next(NOW) is None
    lane.settled(second, None)
    assert lane.next(NOW) == third


def test_what_was_put_back_and_sent_again_during_a_load_is_not_put_back_twice():
    [first] = _calls(1)
    lane = _lane([first])
    lane.next(NOW)
    limit = lane.begin_load(NOW).limit
    lane.failed(first)
    lane.settled(first, first)
    assert lane.next(NOW) == first
    lane.answered(first)
    lane.settled(first, None)
    lane.fill([first], whole=True, limit=limit)
    assert lane.next(NOW) is None


def test_what_was_taken_during_a_load_is_not_sent_again():
    [first] = _calls(1)
    lane = _lane([first])
    lane.next(NOW)
    limit = lane.begin_load(NOW).limit
    lane.answered(first)
    lane.settled(first, None)
    lane.fill([first], whole=True, limit=limit)
    assert lane.next(NOW) is None


def test_a_push_during_a_load_is_sent_once_and_after_what_came_before():
    first, second, _ = _call()
    lane = _lane([])
    limit = lane.begin_load(NOW).limit
    lane.push(second)
    lane.fill([first], whole=True, limit=limit)
    assert _taken(lane) == [first]
    lane.answered(first)
    assert _taken(lane) == [second]
    lane.answered(second)
    assert _taken(lane) == []


def test_a_push_into_a_lane_with_more_in_the_database_waits_for_its_turn():
    lane = _lane(_calls(3), whole=False)
    late = _calls(1)[0]
    lane.push(late)
    assert late not in _taken(lane)
    assert lane.more


def test_no_more_than_its_room_is_kept_in_memory_when_others_keep_much():
    memory = lanes.Memory()
    memory.kept = lanes.MORE_ROOM - lanes.ROOM - 5
    lane = _lane([], memory=memory)
    for owed in _calls(lanes.ROOM + 10):
        lane.push(owed)
    assert len(lane._waiting) == lanes.ROOM + 5
    assert not lane.complete
    assert memory.kept == lanes.MORE_ROOM
    taken = _taken(lane)
    assert memory.kept == lanes.MORE_ROOM - len(taken)
    lane.shed()
    assert memory.kept == lanes.MORE_ROOM - lanes.ROOM - 5


def test_a_webhook_that_is_down_keeps_nothing_in_memory():
    lane = _lane(_calls(20))
    for _ in range(lanes.DOWN):
        owed = lane.next(NOW)
        assert owed is not None
        lane.fails_at(NOW, DOWN, lane.failed(owed))
    assert len(lane._waiting) == 0
    assert lane.next(NOW + 1000) is None
    assert not lane.wants_load(NOW)
    assert lane.wake_at() == NOW + 5000
    assert not lane.wants_load(NOW + 1000)
    lane.reported(live=True)
    assert lane.wake_at() == NOW + 1000
    assert lane.wants_load(NOW + 1000)
    assert lane.begin_load(NOW + 1000) == Look(limit=1, live=True, records=False)


def test_requests_that_fail_together_count_as_one_failure():
    lane = _lane(_calls(8))
    for _ in range(3):
        [owed, *_] = _taken(lane)
        lane.answered(owed)
        lane.works(NOW)
    _taken(lane)
    flying = [owed for owed, _ in lane.flying.values()]
    assert len(flying) > 1
    for owed in flying:
        lane.fails_at(NOW, DOWN, lane.failed(owed))
    assert lane.fails == 1


def test_the_window_opens_with_success_and_closes_with_failure():
    lane = _lane(_calls(40))
    for _ in range(10):
        for owed in _taken(lane)[:1]:
            lane.answered(owed)
            lane.works(NOW)
    _taken(lane)
    assert len(lane.flying) == lanes.WINDOW
    owed = next(iter(lane.flying.values()))[0]
    lane.fails_at(NOW, DOWN, lane.failed(owed))
    while lane.flying:
        lane.answered(next(iter(lane.flying.values()))[0])
    assert len(_taken(lane, NOW + 60_000)) == 1


def test_live_events_whose_time_is_over_are_passed_by():
    first, second, third = events_of_call(types=RECORDS)
    lane = _lane([_owed(first, expires_at=NOW - 1), _owed(second, expires_at=NOW), _owed(third)])
    assert [owed.event for owed in _taken(lane)] == [third]


@pytest.mark.parametrize("why", ["paused", "disabled"])
def test_a_closed_lane_sends_nothing_and_forgets_what_it_had(why: str):
    lane = _lane(_calls(3))
    lane.close(why)  # type: ignore[arg-type]
    assert lane.next(NOW) is None
    assert not lane.wants_load(NOW)
    assert lane.wake_at() is None
    lane.open()
    assert lane.wants_load(NOW)


def test_a_webhook_needs_a_turn_for_each_request_until_it_has_proved_to_work_and_again_when_it_is_down():
    lane = _lane(_calls(3))
    assert lane.needs_turn
    assert lane.wants_turn(NOW)
    lane.has_turn = True
    assert not lane.needs_turn
    [owed] = _taken(lane)
    assert lane.needs_turn
    assert not lane.wants_turn(NOW), "a request is under way"
    lane.answered(owed)
    lane.works(NOW)
    assert not lane.needs_turn
    for _ in range(lanes.DOWN):
        assert not lane.needs_turn, "the first failure may be of the one event only"
        owed = lane.next(NOW)
        assert owed is not None
        lane.fails_at(NOW, DOWN, lane.failed(owed))
    assert lane.needs_turn


def test_a_webhook_wants_no_turn_while_there_is_nothing_that_may_be_sent():
    lane = _lane([])
    assert not lane.wants_turn(NOW)
    lane.push(_owed(_call()[0].event, due_at=NOW + 1000))
    assert not lane.wants_turn(NOW)
    assert lane.wake_at() == NOW + 1000
    assert lane.wants_turn(NOW + 1000)


def test_of_a_webhook_that_may_be_dead_one_delivery_is_read():
    lane = Lane(("acme", "log"), LaneState())
    assert lane.begin_load(NOW) == Look(limit=1, live=False, records=True)
    lane.load_failed()
    lane.works(NOW)
    assert lane.begin_load(NOW) == Look(limit=lanes.ROOM, live=True, records=True)

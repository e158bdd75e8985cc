"""Recorded journals of real calls: what the tracker makes of them, whole and cut."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables import PEOPLE, SCENARIOS, load, play, summary
from vonal.calls import tracker
from vonal.domain.call import Call
from vonal.domain.events import CallEvent

FILES = sorted(SCENARIOS.glob("*.txt"))
NAMES = [path.stem for path in FILES]
ROWS = [row for path in FILES for row in load(path).rows]


def assert_sound(events: list[CallEvent]) -> None:
    """What holds for every story, however mutilated: no gap in a call's events, and one end at the most."""
    seen: Counter[str] = Counter()
    for event in events:
        seen[event.call_id] += 1
        assert event.sequence == seen[event.call_id]
        assert event.data["times"]["talk_s"] >= 0
    ends = Counter(event.call_id for event in events if event.type == "call.completed")
    assert all(count == 1 for count in ends.values())


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_recorded_call_becomes_the_expected_events(path: Path) -> None:
    scenario = load(path)
    events = play(scenario.rows)[1]
    assert list(map(summary, events)) == scenario.expected
    assert_sound(events)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_journal_whose_head_is_cut_off_never_raises(path: Path) -> None:
    rows = load(path).rows
    for start in range(len(rows)):
        assert_sound(play(rows[start:])[1])


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_call_that_is_interrupted_at_any_row_is_closed_once(path: Path) -> None:
    rows = load(path).rows
    for end in range(1, len(rows)):
        calls, events = play(rows[:end])
        for call in calls.values():
            if call.state in ("live", "requested"):
                closed, made = tracker.interrupt(call, rows[end].at)
                assert closed.interrupted
                assert closed.ended_at == rows[end].at
                assert all(leg.ended_at for leg in closed.legs)
                events += made + _settled(closed)
        assert_sound(events)


def test_reading_a_whole_journal_twice_tells_nothing_twice() -> None:
    for path in FILES:
        rows = load(path).rows
        calls, _ = play(rows)
        over = {key: call for key, call in calls.items() if call.state in ("ended", "completed")}
        assert play(rows, over)[1] == []


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ROWS), max_size=60))
def test_rows_of_any_calls_in_any_order_never_raise(rows: list) -> None:
    calls, events = play(rows)
    for call in calls.values():
        events += _settled(call)
    assert_sound(events)
    assert all(call.id == tracker.call_id(PEOPLE.node, call.linkedid) for call in calls.values())


def _settled(call: Call) -> list[CallEvent]:
    """The events of the call's recordings becoming ready, one after another."""
    events: list[CallEvent] = []
    if call.state != "ended":
        return events
    for one in call.recordings:
        ready = type(one)(id=one.id, file=one.file, customer_first=one.customer_first, state="ready")
        call, made = tracker.settle(call, ready, call.ended_at)
        events += made
    assert call.state == "completed"
    return events

"""Turns of webhooks that may be dead: their share is bounded, and those that work are through first."""

from vonal.delivery.lane import Lane
from vonal.delivery.turns import AT_ONCE, PER_S, Turns
from vonal.domain.delivery import DOWN, LaneState

NOW = 1_800_000_000_000


def _lane(name: str, *, fails: int = 0) -> Lane:
    return Lane(("acme", name), LaneState(fails=fails))


def _given(turns: Turns, now: int) -> list[Lane]:
    given = []
    while (lane := turns.next(now)) is not None:
        given.append(lane)
    return given


def _asking(turns: Turns, count: int, *, fails: int = 0) -> list[Lane]:
    lanes = [_lane(f"{fails}-{number}", fails=fails) for number in range(count)]
    for lane in lanes:
        turns.ask(lane)
    return lanes


def test_so_many_a_second_have_a_turn_however_many_ask():
    turns = Turns()
    _asking(turns, 10 * PER_S)
    assert len(_given(turns, NOW)) == AT_ONCE
    assert sum(len(_given(turns, NOW + ms)) for ms in range(10, 2001, 10)) == 2 * PER_S


def test_who_is_alone_has_a_turn_at_once():
    turns = Turns()
    [lane] = _asking(turns, 1)
    assert lane.needs_turn
    assert _given(turns, NOW) == [lane]
    assert not lane.needs_turn
    assert not turns.is_waiting(lane)
    assert turns.wait_s() is None


def test_a_webhook_whose_answers_have_no_end_works_but_waits_behind_the_others_each_time():
    turns = Turns()
    [endless, fresh] = _asking(turns, 2)
    assert _given(turns, NOW) == [fresh, endless]
    endless.has_turn = fresh.has_turn = False  # they are sent to
    endless.works(NOW, endless=True)
    assert endless.needs_turn
    fresh.works(NOW)
    assert not fresh.needs_turn
    [unknown] = _asking(turns, 1)
    turns.ask(endless)
    assert _given(turns, NOW + 1000) == [unknown, endless]
    endless.works(NOW + 1000)
    assert not endless.needs_turn


def test_webhooks_of_which_nothing_is_known_come_before_those_that_are_down_and_the_latest_first():
    turns = Turns()
    down = _asking(turns, 3, fails=DOWN)
    unknown = _asking(turns, 3)
    assert _given(turns, NOW) == [*reversed(unknown), *down]


def test_those_that_are_down_have_turns_in_the_order_in_which_they_asked_first():
    turns = Turns()
    down = _asking(turns, AT_ONCE + 2, fails=DOWN)
    turns.ask(down[0])
    assert _given(turns, NOW) == down[:AT_ONCE]
    turns.ask(down[0])
    assert _given(turns, NOW + 1000) == [*down[AT_ONCE:], down[0]]


def test_a_turn_that_did_not_fail_counts_for_nothing():
    turns = Turns()
    _asking(turns, 10 * AT_ONCE)
    for _ in range(5 * AT_ONCE):
        assert turns.next(NOW) is not None
        turns.give_back()
    assert len(_given(turns, NOW)) == AT_ONCE


def test_whose_lane_another_process_has_waits_no_longer():
    turns = Turns()
    unknown, [down] = _asking(turns, 2), _asking(turns, 1, fails=DOWN)
    turns.drop(unknown[0])
    turns.drop(down)
    assert _given(turns, NOW) == [unknown[1]]


def test_it_is_known_when_the_next_turn_comes():
    turns = Turns()
    _asking(turns, AT_ONCE + 2)
    _given(turns, NOW)
    wait_s = turns.wait_s()
    assert wait_s == 1 / PER_S
    assert len(_given(turns, NOW + round(wait_s * 1000))) == 1

"""When a delivery is tried again (contract, section 4)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.delivery import retry
from vonal.domain.delivery import Outcome

HOUR = 3600
NOW = 1_800_000_000_000
DOWN = Outcome(error="not_connected", fault="theirs")


def _schedule(outcome: Outcome, *, expires_at: int | None, chance: float = 0.0) -> tuple[list[float], str]:
    """(seconds between tries, how it ended)."""
    waits, now = [], NOW
    for tries in itertools.count(1):
        verdict = retry.judge(outcome, tries=tries, expires_at=expires_at, now=now, chance=chance)
        if verdict.state != "open":
            return waits, verdict.state
        waits.append((verdict.due_at - now) / 1000)
        now = verdict.due_at
    raise AssertionError


def test_records_are_tried_as_the_contract_says_up_to_72_hours_and_then_parked():
    waits, end = _schedule(DOWN, expires_at=None)
    assert waits == [5, 30, 120, 600, 1800, HOUR, 2 * HOUR, 5 * HOUR, 10 * HOUR, *[12 * HOUR] * 4]
    assert end == "parked"
    assert 60 * HOUR < sum(waits) <= 72 * HOUR < sum(waits) + 12 * HOUR


def test_live_events_are_tried_as_the_contract_says_and_then_dropped():
    assert _schedule(DOWN, expires_at=NOW + 60_000) == ([1, 2, 5, 10, 20], "dropped")


def test_live_events_are_dropped_when_the_next_try_would_come_after_their_time():
    assert _schedule(DOWN, expires_at=NOW + 15_000) == ([1, 2, 5], "dropped")


@given(st.floats(0, 1), st.integers(1, len(retry.RECORD_STEPS_S)))
def test_jitter_makes_a_try_later_by_a_tenth_at_most_and_never_earlier(chance: float, tries: int):
    step = retry.RECORD_STEPS_S[tries - 1] * 1000
    wait = retry.judge(DOWN, tries=tries, expires_at=None, now=NOW, chance=chance).due_at - NOW
    assert step <= wait <= step * 1.1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status: int):
    verdict = retry.judge(Outcome(status=status), tries=1, expires_at=None, now=NOW, chance=0.5)
    assert (verdict.state, verdict.blame) == ("delivered", "nobody")


def test_410_disables_the_webhook():
    assert retry.judge(Outcome(status=410), tries=1, expires_at=None, now=NOW, chance=0.5).state == "disabled"


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_wrong_with_one_event_holds_no_other_up(status: int):
    verdict = retry.judge(Outcome(status=status), tries=1, expires_at=None, now=NOW, chance=0.0)
    assert (verdict.state, verdict.blame) == ("open", "event")


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405, 408, 418, 429, 500, 502, 503, 504, 599, None])
def test_everything_else_is_the_webhooks_failure(status: int | None):
    verdict = retry.judge(Outcome(status=status), tries=1, expires_at=None, now=NOW, chance=0.0)
    assert (verdict.state, verdict.blame) == ("open", "webhook")


@pytest.mark.parametrize(("asked", "waits"), [(0, 5), (3, 5), (90, 90), (3600, 3600), (10**9, 3600)])
def test_retry_after_is_respected_within_reason(asked: int, waits: int):
    outcome = Outcome(status=503, retry_after_s=asked)
    assert retry.judge(outcome, tries=1, expires_at=None, now=NOW, chance=0.0).due_at == NOW + waits * 1000


@given(st.booleans(), st.floats(0, 1))
def test_a_webhooks_own_clock_never_holds_a_single_delivery_back_from_its_schedule(live: bool, chance: float):
    steps = retry.LIVE_STEPS_S if live else retry.RECORD_STEPS_S
    for fails, step in enumerate(steps, start=1):
        assert retry.gate(fails, live=live) <= retry.gate(fails, live=live, chance=chance)
        assert retry.gate(fails, live=live, chance=chance) <= int(step * 1000 * (1 + retry.SPREAD * chance))


def test_webhooks_that_went_down_at_the_same_time_are_not_asked_at_the_same_time():
    assert len({retry.gate(3, live=False, chance=number / 10) for number in range(11)}) == 11


def test_a_webhook_that_is_down_is_asked_every_20_seconds_for_live_events_and_every_minute_for_records():
    assert retry.gate(10_000, live=True) == 20_000
    assert retry.gate(10_000, live=False) == 60_000

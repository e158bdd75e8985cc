"""How often something may be done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.calls import limits
from vonal.calls.limits import Limiter
from vonal.domain.errors import RateLimited


def test_after_as_many_as_allowed_the_next_has_to_wait_for_the_first_to_grow_old() -> None:
    limiter = Limiter(3, seconds=60, what="Starts")
    for now in (0.0, 10.0, 20.0):
        limiter.take("a", now=now)
    with pytest.raises(RateLimited) as told:
        limiter.take("a", now=25.5)
    assert told.value.retry_after == 35
    limiter.take("b", now=25.5)
    limiter.take("a", now=60.0)
    with pytest.raises(RateLimited):
        limiter.take("a", now=60.0)


@given(st.lists(st.floats(min_value=0, max_value=30), max_size=80))
def test_never_more_than_allowed_in_any_window_and_the_wait_told_is_enough(pauses: list[float]) -> None:
    limiter, now, taken = Limiter(5, seconds=60, what="Starts"), 0.0, []
    for pause in pauses:
        now += pause
        wait = _wait(limiter, now)
        if wait is None:
            taken.append(now)
            assert sum(now - 60 < one for one in taken) <= 5
        else:
            assert 1 <= wait <= 60
            assert sum(now + wait - 60 < one for one in taken) < 5


def _wait(limiter: Limiter, now: float) -> int | None:
    try:
        limiter.take("a", now=now)
    except RateLimited as refusal:
        return refusal.retry_after
    return None


def test_keys_of_long_ago_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SWEEP_AT", 100)
    limiter = Limiter(3, seconds=60, what="Starts")
    for n in range(10_000):
        limiter.take(f"key-{n}", now=float(n))
    assert len(limiter._taken) <= 161

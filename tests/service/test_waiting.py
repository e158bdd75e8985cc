"""Requests that wait for a call to get somewhere."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sample_calls import answered_call
from vonal.calls.waiting import Waiters
from vonal.domain.call import Call


def _stored(*calls: Call | None) -> Callable[[], Awaitable[Call | None]]:
    left = list(calls)

    async def current() -> Call | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return current


def _state(call: Call) -> str | None:
    return call.state if call.state == "live" else None


async def test_what_has_happened_before_is_seen() -> None:
    waiters, call = Waiters(), answered_call(state="live")
    assert await waiters.until(call.id, _state, current=_stored(call), seconds=10) == "live"


async def test_what_happens_is_told_at_once_and_as_it_was_then() -> None:
    waiters, call = Waiters(), answered_call(state="requested")
    waiting = asyncio.create_task(waiters.until(call.id, _state, current=_stored(None), seconds=10))
    await asyncio.sleep(0)
    call.state = "live"
    waiters.notify(answered_call(state="live"))  # another call's
    waiters.notify(call)
    call.state = "ended"
    assert await waiting == "live"


async def test_what_nobody_tells_is_found_by_looking_again() -> None:
    waiters, call = Waiters(), answered_call(state="live")
    assert await waiters.until(call.id, _state, current=_stored(None, None, call), seconds=10) == "live"


async def test_after_the_time_nobody_waits_any_more() -> None:
    waiters, call = Waiters(), answered_call(state="requested")
    with pytest.raises(TimeoutError):
        await waiters.until(call.id, _state, current=_stored(call), seconds=0.05)
    assert not waiters._waiting


async def test_two_may_wait_for_one_call() -> None:
    waiters, call = Waiters(), answered_call(state="live")
    both = [asyncio.create_task(waiters.until(call.id, _state, current=_stored(None), seconds=10)) for _ in "ab"]
    await asyncio.sleep(0)
    waiters.notify(call)
    assert await asyncio.gather(*both) == ["live", "live"]
    assert not waiters._waiting

"""Requests that wait for a call to get somewhere (`wait=agent`, `wait=connected`)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vonal.domain.call import Call

Outcome = TypeVar("Outcome")
LOOK_AGAIN_SECONDS = 1.0  # the call's facts may be taken by another process, which cannot notify us


class Waiters:
    """Who waits for which call. `notify` and `until` are used on one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[Callable[[Call], None]]] = {}

    def notify(self, call: Call) -> None:
        """The call has changed, and the change is stored."""
        for look in tuple(self._waiting.get(call.id, ())):
            look(call)

    async def until(
        self,
        call_id: str,
        reached: Callable[[Call], Outcome | None],
        *,
        current: Callable[[], Awaitable[Call | None]],
        seconds: float,
    ) -> Outcome:
        """What `reached` makes of the call, as soon as that is not None; TimeoutError after `seconds`.

        `current` reads the call from the store: for what happened before, and for what nobody tells us.
        """
        found: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def look(call: Call) -> None:
            # The tracker goes on changing the call, so what is wanted of it is taken now.
            if not found.done() and (outcome := reached(call)) is not None:
                found.set_result(outcome)

        self._waiting.setdefault(call_id, set()).add(look)
        try:
            async with asyncio.timeout(seconds):
                while not found.done():
                    if (call := await current()) is not None:
                        look(call)
                    await asyncio.wait([found], timeout=LOOK_AGAIN_SECONDS)
                return found.result()
        finally:
            self._waiting[call_id].discard(look)
            if not self._waiting[call_id]:
                del self._waiting[call_id]

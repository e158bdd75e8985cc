"""Short calls in and out, at a steady rate, whatever state the exchange is in."""

import asyncio
import random
import time
from collections import Counter

import aiohttp

from faults.house import ANSWERS, BUSY_HERE, HANGS_UP, NUMBERS, RINGS, House
from vonal.telephony.simulator_call import Call

LONGEST_S = 15.0  # whoever hears nothing of the exchange for so long hangs up
FAILS = (TimeoutError, RuntimeError, aiohttp.ClientError)


class Load:
    """`run` it as a task, `finish` it. `tried` counts by kind, `failed` what could not even be dialled."""

    def __init__(self, house: House, *, rate: float, seed: int) -> None:
        self._house, self._rate = house, rate
        self._chance = random.Random(seed)
        self._tasks: set[asyncio.Task[None]] = set()
        self._seen: dict[str, float] = {}
        self.tried: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    async def run(self) -> None:
        """Calls for ever."""
        due = time.monotonic()
        while True:
            due += 1 / self._rate
            self._begin()
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            else:
                due = time.monotonic()  # the machine is too slow; what was missed is not made up for
                await asyncio.sleep(0)

    async def finish(self) -> None:
        """Waits until every call is over."""
        while self._tasks or self._house.outside.calls:
            await self._reap()
            await asyncio.sleep(0.2)

    async def tidy(self) -> None:
        """For ever ends calls of which the exchange knows nothing any more."""
        while True:
            await asyncio.sleep(1)
            await self._reap()

    async def _reap(self) -> None:
        now, calls = time.monotonic(), self._house.outside.calls
        self._seen = {one.id: self._seen.get(one.id, now) for one in calls}
        for one in calls:
            if now - self._seen[one.id] > LONGEST_S:
                await self._hang_up(one)
        for party in (*(self._house.phone(one) for one in NUMBERS), self._house.carrier):
            party.forget()

    def _begin(self) -> None:
        kind = self._chance.choice((ANSWERS, ANSWERS, HANGS_UP, BUSY_HERE, RINGS, "out", "out", "out.busy"))
        self.tried[kind] += 1
        task = asyncio.create_task(self._call(kind, self._chance.uniform(1.0, 3.0)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call(self, kind: str, seconds: float) -> None:
        try:
            if kind.startswith("out"):
                number = "06305550191" if kind == "out.busy" else "06305550123"
                call = await self._house.phone(ANSWERS).dial(number, sound=None)
            else:
                call = await self._house.call_in(NUMBERS[kind], sound=None)
        except FAILS as fault:
            self.failed[type(fault).__name__] += 1
            return
        try:
            async with asyncio.timeout(seconds):
                await call.ended.wait()
        except TimeoutError:
            await self._hang_up(call)

    async def _hang_up(self, call: Call) -> None:
        try:
            await call.hang_up()
        except FAILS as fault:
            self.failed[type(fault).__name__] += 1

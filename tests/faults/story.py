"""One run: calls, faults, time to settle, and the reckoning."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress

from faults.crm import Crm, Told
from faults.house import House
from faults.inject import Injector
from faults.load import Load
from faults.plan import Fault
from faults.truth import Verdict, judge

# At most. A record that failed twice waits half a minute, three times two minutes, unless something gets through.
SETTLE_S = 300.0
PROGRESS_S = 60.0
LAST_WORDS = ("call.completed", "call.updated")
Say = Callable[[str], None]


async def tell(house: House, faults: list[Fault], *, seconds: float, rate: float, seed: int, say: Say) -> Verdict:
    """Calls for so many seconds, with these faults among them; the verdict once everything has settled."""
    load, injector = Load(house, rate=rate, seed=seed), Injector(house, say=say)
    calling, tidying = asyncio.create_task(load.run()), asyncio.create_task(load.tidy())
    watching = asyncio.create_task(_progress(house, load, say))
    try:
        await asyncio.gather(injector.all(faults), asyncio.sleep(seconds))
        calling.cancel()
        ended = time.monotonic()
        say(f"calls end; settling, {load.tried.total()} calls tried")
        await load.finish()
        verdict = await _settle(house, say)
        _print(house, load, injector, verdict, time.monotonic() - ended, say)
    finally:
        for task in (calling, tidying, watching):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return verdict


async def _settle(house: House, say: Say) -> Verdict:
    """The verdict as soon as it is good; the last one when time is up."""
    until = time.monotonic() + SETTLE_S
    while True:
        began = time.monotonic()
        verdict = _verdict(house)
        if verdict.good or began > until:
            return verdict
        await asyncio.sleep(1 + 10 * (time.monotonic() - began))  # meanwhile the CRM, which is on this loop, answers


def _verdict(house: House) -> Verdict:
    return judge(house.keeper.calls(), _crm(house).completed(), _last(_crm(house)))


def _crm(house: House) -> Crm:
    return house.crm  # type: ignore[return-value]


def _last(crm: Crm) -> dict[str, Told]:
    found: dict[str, Told] = {}
    for one in crm.told.values():
        if one.type in LAST_WORDS and (one.call not in found or found[one.call].sequence < one.sequence):
            found[one.call] = one
    return found


async def _progress(house: House, load: Load, say: Say) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_S)
        crm = _crm(house)
        say(
            f"{time.monotonic() - began:6.0f} s: {load.tried.total()} calls tried, "
            f"{len(crm.completed())} records, {crm.duplicates} duplicates, {house.starts} starts of Vonal"
        )


def _print(house: House, load: Load, injector: Injector, verdict: Verdict, settled_s: float, say: Say) -> None:
    crm = _crm(house)
    kinds = Counter(fault.kind for fault, _ in injector.lifted)
    say(f"calls       {verdict.calls} in the journal, {load.tried.total()} tried, {load.failed.total()} not dialled")
    say(f"faults      {kinds.total()}: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())))
    say(f"lost        {len(verdict.lost)}; invented {len(verdict.invented)}; two ids {len(verdict.twice)}")
    say(f"recordings  {len(verdict.unsettled)} calls with one still pending")
    say(f"on the wire {crm.requests} requests, {crm.refused} refused, {crm.duplicates} duplicates")
    say(f"wrong order {len(crm.backwards)}")
    say(f"settled     {settled_s:.1f} s after the last call began")
    for kind, gaps in sorted(_recoveries(house, injector).items()):
        say(f"back after  {kind}: longest {max(gaps):.1f} s of {len(gaps)}")


def _recoveries(house: House, injector: Injector) -> dict[str, list[float]]:
    """By kind: from the fault's end until the CRM was told of a call that began after it (s)."""
    begun = house.keeper.calls()
    first: dict[str, float] = {}
    for one in _crm(house).told.values():
        first[one.call] = min(one.at, first.get(one.call, one.at))
    found = defaultdict(list)
    for fault, at in injector.lifted:
        told = [first[call] for call, start in begun.items() if start > at and call in first]
        if told:
            found[fault.kind].append(min(told) - at)
    return found

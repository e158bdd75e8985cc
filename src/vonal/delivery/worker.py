"""The delivery's worker: takes what is owed from memory or database, has it sent, and writes down what became of it.

Nothing depends on `push`: a sweep looks into the database every second. Sending and preparing are handed in, so that
this file knows neither HTTP nor envelopes. Everything here runs on one event loop.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.delivery import retry
from vonal.delivery.lane import DOWN, Lane
from vonal.delivery.settle import Settler
from vonal.domain.delivery import LaneState, Outcome, Owed, Request, Settled, Unsendable
from vonal.domain.errors import VonalError
from vonal.store import deliveries, lanes
from vonal.store.database import Database

log = structlog.get_logger(__name__)
Prepare = Callable[[Owed], AbstractAsyncContextManager[Request | Unsendable]]
Send = Callable[[Request], Awaitable[Outcome]]
IN_FLIGHT = 256
SUSPECTS_IN_FLIGHT = 64  # of them, to webhooks whose last attempt failed
SWEEP_S = 1.0
FORGET_EVERY_S = 3600.0
KEPT = timedelta(days=30)


def milliseconds() -> int:
    """Now, in ms UTC."""
    return time.time_ns() // 1_000_000


class Worker:
    """`run()` it as a task; `push` what `store.deliveries.enqueue` returned, after its commit, in that order.

    `prepare(owed)` makes the request (and may hold memory for it while its context is open), `send(request)` tries it
    once and never raises for what the other side did. `told` hears what became of each attempt, as a `State`.
    """

    def __init__(
        self,
        db: Database,
        prepare: Prepare,
        send: Send,
        *,
        told: Callable[[str], None] = lambda _: None,
        clock: Callable[[], int] = milliseconds,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db, self._prepare, self._send = db, prepare, send
        self._told, self._clock, self._chance = told, clock, chance
        self._settler = Settler(db, self._settled)
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._again: dict[str, Owed | None] = {}  # by delivery: how it waits once its outcome is written
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._hungry: dict[tuple[str, str], Lane] = {}  # lanes that found no free place
        self._tasks: set[asyncio.Task[None]] = set()
        self._digests: dict[tuple[str, str], str] = {}
        self._flying = 0
        self._suspects = 0
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._flying

    async def run(self) -> None:
        """Sweeps for ever: what the database owes is sent, whatever happened to pushes."""
        forget_at = 0.0
        await self._surviving(self.refresh)
        while True:
            await self._surviving(self.sweep)
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_EVERY_S
                await self._surviving(self._forget)
            await asyncio.sleep(SWEEP_S)

    def push(self, owed: Iterable[Owed]) -> None:
        """Sends these at once if their lanes are free."""
        touched = {}
        for one in owed:
            lane = self._lane(one.lane, LaneState())
            lane.push(one)
            touched[one.lane] = lane
        for lane in touched.values():
            self._pump(lane)

    async def sweep(self) -> None:
        """Looks what is due in the database, and drops what is too late."""
        now = self._clock()
        late, due = await self._db.read(partial(_look, now=now))
        if late:
            dropped = await self._db.write(partial(lanes.any_tenant_expire, now=now))
            log.info("delivery.too_late", count=dropped)
        for tenant_id, webhook_id, state in due:
            lane = self._lane((tenant_id, webhook_id), state)
            lane.reported()
            self._pump(lane)

    async def refresh(self) -> None:
        """To be called when the directory has changed: webhooks may be new, removed, corrected or enabled again."""
        now = self._clock()
        for tenant_id, webhook_id in await self._db.read(lanes.any_tenant_orphans):
            dropped = await self._db.write(partial(lanes.drop_all, tenant_id, webhook_id=webhook_id, now=now))
            log.info("delivery.orphans_dropped", tenant=tenant_id, webhook=webhook_id, count=dropped)
        enabled = await self._db.write(partial(lanes.any_tenant_enable_changed, now=now))
        digests = await self._db.read(lanes.any_tenant_digests)
        changed = {key for key, was in self._digests.items() if digests.get(key, was) != was}
        for tenant_id, webhook_id in changed:
            await self._db.write(partial(lanes.make_due, tenant_id, webhook_id=webhook_id, now=now))
        self._digests = digests
        for tenant_id, webhook_id in enabled:
            log.info("webhook.enabled_again", tenant=tenant_id, webhook=webhook_id)
        for key, lane in self._lanes.items():
            if lane.closed == "paused" or key in changed or key in enabled:
                lane.open()
                self._pump(lane)

    async def idle(self) -> None:
        """Returns when nothing is under way and everything is written."""
        while self._tasks or not self._settler.idle:
            if self._tasks:
                await asyncio.wait(self._tasks)
            await self._settler.finish()

    async def stop(self, grace_s: float) -> None:
        """Starts nothing new, waits for what is under way, and writes down what became of it."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()
        await self._settler.finish()

    async def _forget(self) -> None:
        before = self._clock() - KEPT // timedelta(milliseconds=1)
        forgotten = True
        while forgotten:
            forgotten = bool(await self._db.write(partial(deliveries.any_tenant_forget, before=before)))

    async def _surviving(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as fault:  # noqa: BLE001 - the next sweep tries again; deliveries must not end for it
            log.error("delivery.sweep_failed", error=repr(fault))  # noqa: TRY400

    def _lane(self, key: tuple[str, str], state: LaneState) -> Lane:
        if key not in self._lanes:
            self._lanes[key] = Lane(key, state)
        return self._lanes[key]

    def _pump(self, lane: Lane) -> None:
        now = self._clock()
        while self._has_room(lane) and (owed := lane.next(now)) is not None:
            self._start(lane, owed)
        if not self._stopping and lane.wants_load(now):
            self._task(self._load(lane, *lane.begin_load(now)))
        self._set_timer(lane, now)

    def _has_room(self, lane: Lane) -> bool:
        if self._stopping:
            return False
        if self._flying < IN_FLIGHT and (not lane.suspect or self._suspects < SUSPECTS_IN_FLIGHT):
            return True
        self._hungry[lane.key] = lane
        return False

    def _feed(self) -> None:
        hungry, self._hungry = self._hungry, {}
        for lane in hungry.values():
            self._pump(lane)

    def _set_timer(self, lane: Lane, now: int) -> None:
        if (timer := self._timers.pop(lane.key, None)) is not None:
            timer.cancel()
        wake_at = lane.wake_at()
        if wake_at is not None and wake_at > now:
            delay = min(wake_at - now, 3_600_000) / 1000
            self._timers[lane.key] = asyncio.get_running_loop().call_later(delay, self._pump, lane)

    def _task(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, lane: Lane, owed: Owed) -> None:
        suspect = lane.suspect
        self._flying += 1
        self._suspects += suspect
        self._task(self._deliver(lane, owed, suspect=suspect))

    async def _load(self, lane: Lane, limit: int, live_only: bool) -> None:  # noqa: FBT001 - begin_load's pair
        look = partial(
            lanes.waiting,
            lane.tenant_id,
            webhook_id=lane.webhook_id,
            now=self._clock(),
            limit=limit,
            live_only=live_only,
        )
        try:
            rows, whole = await self._db.read(look)
        except Exception as fault:  # noqa: BLE001 - the next sweep reads again
            log.error("delivery.not_read", webhook=lane.webhook_id, error=repr(fault))  # noqa: TRY400
            lane.load_failed()
            return
        lane.fill(rows, whole=whole, limit=limit)
        self._pump(lane)

    async def _deliver(self, lane: Lane, owed: Owed, *, suspect: bool) -> None:
        at = self._clock()
        try:
            result = await self._try(owed)
        finally:
            self._flying -= 1
            self._suspects -= suspect
        if isinstance(result, Unsendable):
            self._not_sent(lane, owed, result, at)
        elif result is None:
            self._our_fault(lane, owed, at)
        else:
            self._judge(lane, owed, result, at)
        self._pump(lane)
        self._feed()

    async def _try(self, owed: Owed) -> Outcome | Unsendable | None:
        try:
            async with self._prepare(owed) as request:
                if isinstance(request, Unsendable):
                    return request
                return await self._send(request)
        except VonalError as fault:
            if fault.fault != "ours":
                return Outcome(error=fault.code, fault=fault.fault, answer=fault.detail)
            log.error("delivery.our_fault", delivery=owed.id, webhook=owed.webhook_id, error=fault.detail)  # noqa: TRY400
            return None
        except Exception as fault:
            log.exception("delivery.our_fault", delivery=owed.id, webhook=owed.webhook_id, error=type(fault).__name__)
            return None

    def _not_sent(self, lane: Lane, owed: Owed, why: Unsendable, at: int) -> None:
        if why.reason == "paused":
            lane.release(owed)
            lane.close("paused")
            return
        lane.failed(owed)
        gone = Settled(owed=owed, state="dropped", at=at, done_at=at, due_at=owed.due_at, note=lanes.REMOVED)
        self._settle(gone, None)

    def _our_fault(self, lane: Lane, owed: Owed, at: int) -> None:
        lane.failed(owed)
        due_at = self._clock() + retry.OWN_FAULT_MS
        later = Settled(owed=owed, state="open", at=at, done_at=at, due_at=due_at, note="our own fault; tried again")
        self._settle(later, replace(owed, due_at=due_at))

    def _judge(self, lane: Lane, owed: Owed, outcome: Outcome, at: int) -> None:
        now = self._clock()
        verdict = retry.judge(outcome, tries=owed.tries + 1, expires_at=owed.expires_at, now=now, chance=self._chance())
        clock, revived, given_up = self._breaker(lane, owed, outcome, verdict)
        result = Settled(
            owed=owed,
            state=verdict.state,
            at=at,
            done_at=now,
            due_at=verdict.due_at or owed.due_at,
            outcome=outcome,
            lane=clock,
            revived=revived,
            given_up_before=given_up,
        )
        again = None
        if verdict.state == "open":
            again = replace(owed, due_at=verdict.due_at, attempts=owed.attempts + 1, tries=owed.tries + 1)
        self._settle(result, again)
        self._told(verdict.state)

    def _breaker(
        self, lane: Lane, owed: Owed, outcome: Outcome, verdict: retry.Verdict
    ) -> tuple[LaneState | None, bool, int | None]:
        named = {"tenant": lane.tenant_id, "webhook": lane.webhook_id}
        if verdict.state == "delivered":
            lane.answered(owed)
            was = lane.fails
            clock, revived = lane.works()
            if was >= DOWN:
                log.info("webhook.up", **named)
            return clock, revived, None
        wave = lane.failed(owed)
        told = {**named, "delivery": owed.id, "type": owed.event.type, "attempt": owed.attempts + 1}
        log.info("delivery.failed", **told, status=outcome.status, error=outcome.error, then=verdict.state)
        if verdict.state == "disabled":
            lane.close("disabled")
            log.warning("webhook.disabled", **named, reason="it answered 410")
            return None, False, None
        if verdict.blame == "event":
            return *lane.works(), None
        clock, given_up = lane.fails_at(self._clock(), outcome, wave)
        if lane.fails == DOWN:
            log.warning("webhook.down", **named, status=outcome.status, error=outcome.error)
        return clock, False, given_up

    def _settle(self, result: Settled, again: Owed | None) -> None:
        self._again[result.owed.id] = again
        self._settler.add(result)

    def _settled(self, results: list[Settled]) -> None:
        touched = {}
        for one in results:
            lane = self._lanes[one.owed.lane]
            lane.settled(one.owed, self._again.pop(one.owed.id))
            if one.revived:
                lane.shed()  # what was put off is due now; the database knows
            touched[one.owed.lane] = lane
        for lane in touched.values():
            self._pump(lane)


def _look(tx: Connection, *, now: int) -> tuple[bool, list[tuple[str, str, LaneState]]]:
    return lanes.any_tenant_has_late(tx, now=now), lanes.any_tenant_due_lanes(tx, now=now)

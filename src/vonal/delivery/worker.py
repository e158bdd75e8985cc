"""The delivery's worker: takes what is owed from memory or database, has it sent, and writes down what became of it.

Nothing depends on `push`: a sweep looks into the database every second. Sending and preparing are handed in, so that
this file knows neither HTTP nor envelopes. Everything here runs on one event loop.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import timedelta
from functools import partial

import structlog
from msgspec.structs import replace

from vonal.delivery import breaker, retry
from vonal.delivery.clock import Clock
from vonal.delivery.lane import Lane, Look, Memory, shard_of
from vonal.delivery.leases import AllLanes, Leases
from vonal.delivery.room import Flight, Room
from vonal.delivery.settle import Settler
from vonal.delivery.turns import Turns
from vonal.domain.delivery import LaneState, Outcome, Owed, Request, Settled, Unsendable, Withdrawn
from vonal.domain.errors import VonalError
from vonal.store import deliveries, lanes
from vonal.store.database import Database

log = structlog.get_logger(__name__)
Prepare = Callable[[Owed], AbstractAsyncContextManager[Request | Unsendable]]
Send = Callable[[Request], Awaitable[Outcome]]
SWEEP_S = 1.0
SHORTEST_SWEEP_S = 0.05
CLOCK_STEP_MS = 5000  # smaller ones are not worth the trouble
FORGET_EVERY_S = 3600.0
KEPT = timedelta(days=30)


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
        leases: Leases | None = None,
        told: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._db, self._prepare, self._send = db, prepare, send
        self._time = clock or Clock()
        self._told, self._clock, self._chance = told, self._time.now, chance
        self._leases: Leases = leases or AllLanes()
        self._settler = Settler(db, self._settled, node=self._leases.node)
        self._room, self._turns, self._memory = Room(), Turns(), Memory()
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._again: dict[str, Owed | None] = {}  # by delivery: how it waits once its outcome is written
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._next_turn: asyncio.TimerHandle | None = None
        self._tasks: dict[asyncio.Task[None], Lane | None] = {}  # and whose request it sends, if it does
        self._digests: dict[tuple[str, str], str] = {}
        self._clock_ahead: int | None = None  # of the steady one
        self._woken = asyncio.Event()
        self._stopping = False

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return len(self._room.flights)

    async def run(self) -> None:
        """Sweeps for ever: what the database owes is sent, whatever happened to pushes."""
        await self._surviving(self._renew)
        async with asyncio.TaskGroup() as group:
            if self._leases.node is not None:
                group.create_task(self._keep_leases())
            group.create_task(self._sweep_for_ever())

    async def _sweep_for_ever(self) -> None:
        forget_at = 0.0
        await self._surviving(self.refresh)
        while True:
            self._woken.clear()
            await self._surviving(self.sweep)
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_EVERY_S
                await self._surviving(self._forget)
            await asyncio.sleep(SHORTEST_SWEEP_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), SWEEP_S - SHORTEST_SWEEP_S)

    def wake(self) -> None:
        """Another process has written something that may be for us: the next sweep comes at once."""
        self._woken.set()

    def push(self, owed: Iterable[Owed]) -> bool:
        """Sends these at once if their lanes are free. Returns whether some are for other processes."""
        touched, for_others = {}, False
        for one in owed:
            lane = self._lane(one.lane, LaneState())
            if lane is None:
                for_others = True
                continue
            lane.push(one)
            touched[one.lane] = lane
        for lane in touched.values():
            self._pump(lane)
        self._feed()
        return for_others

    async def sweep(self) -> None:
        """Looks what is due in the database, and drops what is too late."""
        now = self._clock()
        await self._follow_clock(now)
        self._room.tell_slow(now)
        due = await self._db.read(partial(lanes.any_tenant_due_lanes, now=now))
        if await self._db.read(partial(lanes.any_tenant_has_late, now=now)):
            dropped = await self._db.write(partial(lanes.any_tenant_expire, now=now))
            log.info("delivery.too_late", count=dropped)
        for key, state, live in due:
            lane = self._lane(key, state)
            if lane is not None and not (self._room.is_waiting(lane) or self._turns.is_waiting(lane)):
                lane.reported(live=live)
                self._pump(lane)
        self._feed()

    async def _follow_clock(self, now: int) -> None:
        """Times that were noted by a clock since set back would be waited for too long."""
        ahead = now - self._time.steady()
        if self._clock_ahead is None:
            latest = await self._db.read(lanes.any_tenant_latest)
            self._clock_ahead = ahead + max(latest - now, 0)
        back, self._clock_ahead = self._clock_ahead - ahead, ahead
        if back > CLOCK_STEP_MS:
            log.warning("delivery.clock_set_back", by_s=back // 1000)
            await self._db.write(partial(lanes.any_tenant_move_back, by=back, now=now))
            for lane in self._lanes.values():
                lane.move_back(back, now)

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
        for timer in (*self._timers.values(), self._next_turn):
            if timer is not None:
                timer.cancel()
        await self._settler.finish()
        await self._surviving(self._leases.give_up)

    async def _forget(self) -> None:
        before = self._clock() - KEPT // timedelta(milliseconds=1)
        after: int | None = 0
        while after is not None:
            _, after = await self._db.write(partial(deliveries.any_tenant_forget, before=before, after=after))

    async def _keep_leases(self) -> None:
        while True:
            expiry = asyncio.get_running_loop().call_later(self._leases.remaining_s(), self._lose, None)
            await asyncio.sleep(self._leases.renew_s)
            await self._surviving(self._renew)
            expiry.cancel()

    async def _renew(self) -> None:
        lost = await self._leases.renew(self._is_quiet)
        if lost:
            log.info("delivery.leases_lost", shards=len(lost))
            self._lose(lost)

    def _is_quiet(self, shard: int) -> bool:
        return all(lane.quiet for lane in self._lanes.values() if lane.shard == shard)

    def _lose(self, shards: set[int] | None) -> None:
        """Other processes have these shards, or all: what is under way in them is broken off."""
        lost = {one for one in self._lanes.values() if shards is None or one.shard in shards}
        for task, sends_of in self._tasks.items():
            if sends_of in lost:
                task.cancel()
        for lane in lost:
            del self._lanes[lane.key]
            lane.shed()
            self._turns.drop(lane)
            if (timer := self._timers.pop(lane.key, None)) is not None:
                timer.cancel()

    async def _surviving(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as fault:  # noqa: BLE001 - the next sweep tries again; deliveries must not end for it
            log.error("delivery.sweep_failed", error=repr(fault))  # noqa: TRY400

    def _lane(self, key: tuple[str, str], state: LaneState) -> Lane | None:
        lane = self._lanes.get(key)
        if lane is None:
            shard = shard_of(key)
            epoch = self._leases.epoch(shard)
            if epoch is None or self._leases.is_leaving(shard):
                return None
            lane = self._lanes[key] = Lane(key, state, epoch=epoch, memory=self._memory)
        return lane

    def _pump(self, lane: Lane) -> None:
        if self._stopping or not self._is_ours(lane):
            return
        now = self._clock()
        if lane.needs_turn:
            if lane.wants_turn(now):
                self._turns.ask(lane)
            self._set_timer(lane, now)
            return
        while self._room.has_place(lane):
            if (owed := lane.next(now)) is None:
                break
            self._start(lane, owed, now)
        else:
            self._room.wait(lane)
            return
        if lane.wants_load(now):
            self._task(self._load(lane, lane.begin_load(now)))
        self._set_timer(lane, now)

    def _is_ours(self, lane: Lane) -> bool:
        return self._holds(lane) and not self._leases.is_leaving(lane.shard)

    def _holds(self, lane: Lane) -> bool:
        return self._lanes.get(lane.key) is lane and self._leases.epoch(lane.shard) == lane.epoch

    def _feed(self) -> None:
        while (lane := self._room.next_fed() or self._turns.next(self._time.steady())) is not None:
            self._pump(lane)
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if (wait_s := self._turns.wait_s()) is not None:
            self._next_turn = asyncio.get_running_loop().call_later(wait_s, self._feed)

    def _go_on(self, lane: Lane) -> None:
        self._pump(lane)
        self._feed()

    def _set_timer(self, lane: Lane, now: int) -> None:
        if (timer := self._timers.pop(lane.key, None)) is not None:
            timer.cancel()
        wake_at = lane.wake_at()
        if wake_at is not None and wake_at > now:
            delay = min(wake_at - now, 3_600_000) / 1000
            self._timers[lane.key] = asyncio.get_running_loop().call_later(delay, self._go_on, lane)

    def _task(self, work: Coroutine[None, None, None], *, sends_of: Lane | None = None) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = sends_of
        task.add_done_callback(self._tasks.pop)

    def _start(self, lane: Lane, owed: Owed, now: int) -> None:
        self._task(self._deliver(owed, self._room.enter(lane, now)), sends_of=lane)

    async def _load(self, lane: Lane, look: Look) -> None:
        find = partial(lanes.waiting, lane.tenant_id, webhook_id=lane.webhook_id, now=self._clock(), **look._asdict())
        try:
            rows, whole = await self._db.read(find)
        except Exception as fault:  # noqa: BLE001 - the next sweep reads again
            log.error("delivery.not_read", webhook=lane.webhook_id, error=repr(fault))  # noqa: TRY400
            lane.load_failed()
            return
        lane.fill(rows, whole=whole, limit=look.limit, unwritten=self._again)
        self._pump(lane)

    async def _deliver(self, owed: Owed, flight: Flight) -> None:
        lane, at = flight.lane, flight.at
        try:
            result = await self._try(owed, flight)
        finally:
            self._room.leave(flight)
        if isinstance(result, Unsendable):
            self._not_sent(lane, owed, result, at)
        elif result is None:
            self._our_fault(lane, owed, at)
        else:
            self._judge(lane, owed, result, at)
        self._go_on(lane)

    async def _try(self, owed: Owed, flight: Flight) -> Outcome | Unsendable | None:
        try:
            async with self._prepare(owed) as request:
                if isinstance(request, Unsendable):
                    return request
                self._room.at_host(flight, _host(request.url))
                return await self._send(replace(request, still=partial(self._holds, flight.lane)))
        except Withdrawn:  # we were frozen since; another process may be sending this
            return Unsendable(reason="lost")
        except VonalError as fault:
            if fault.fault != "ours":
                return Outcome(error=fault.code, fault=fault.fault, answer=fault.detail)
            log.error("delivery.our_fault", delivery=owed.id, webhook=owed.webhook_id, error=fault.detail)  # noqa: TRY400
            return None
        except Exception as fault:
            log.exception("delivery.our_fault", delivery=owed.id, webhook=owed.webhook_id, error=type(fault).__name__)
            return None

    def _not_sent(self, lane: Lane, owed: Owed, why: Unsendable, at: int) -> None:
        if not lane.proven:
            self._turns.give_back()
        if why.reason == "lost":
            lane.release(owed)
            return
        if why.reason == "paused":
            lane.release(owed)
            lane.close("paused")
            return
        lane.failed(owed)
        note = lanes.REMOVED if why.reason == "gone" else lanes.UNWANTED
        self._settle(lane, Settled(owed=owed, state="dropped", at=at, done_at=at, due_at=owed.due_at, note=note), None)

    def _our_fault(self, lane: Lane, owed: Owed, at: int) -> None:
        lane.failed(owed)
        due_at = self._clock() + retry.OWN_FAULT_MS
        later = Settled(owed=owed, state="open", at=at, done_at=at, due_at=due_at, note="our own fault; tried again")
        self._settle(lane, later, replace(owed, due_at=due_at))

    def _judge(self, lane: Lane, owed: Owed, outcome: Outcome, at: int) -> None:
        now = self._clock()
        verdict = retry.judge(outcome, tries=owed.tries + 1, expires_at=owed.expires_at, now=now, chance=self._chance())
        due_at = verdict.due_at or owed.due_at
        result = Settled(owed=owed, state=verdict.state, at=at, done_at=now, due_at=due_at, outcome=outcome)
        was_proven = lane.proven
        result = breaker.told(lane, result, verdict, chance=self._chance())
        if lane.proven and not was_proven:
            self._turns.give_back()
        again = None
        if verdict.state == "open":
            again = replace(owed, due_at=verdict.due_at, attempts=owed.attempts + 1, tries=owed.tries + 1)
        self._settle(lane, result, again)
        self._told(verdict.state)

    def _settle(self, lane: Lane, result: Settled, again: Owed | None) -> None:
        self._again[result.owed.id] = again
        if lane.epoch:
            result = replace(result, shard=lane.shard, epoch=lane.epoch)
        self._settler.add(result)

    def _settled(self, results: list[Settled]) -> None:
        touched = {}
        for one in results:
            again = self._again.pop(one.owed.id)
            lane = self._lanes.get(one.owed.lane)
            if lane is None or lane.epoch != one.epoch:  # another process has it by now
                continue
            lane.settled(one.owed, again)
            if one.revived:
                lane.shed()  # what was put off is due now; the database knows
            touched[one.owed.lane] = lane
        for lane in touched.values():
            self._pump(lane)
        self._feed()


def _host(url: str) -> str:
    return url.split("/", 3)[2].lower()

"""A lane: what one webhook is owed, in which order, how much of it at once, and when. No I/O; times are passed in.

Events of one call go one after the other; calls go side by side, up to `window`. The window opens with success and is
one request wide after a failure. A webhook that failed twice in a row is down: then nothing of its queue is kept in
memory, and one request at a time asks whether it is back (`retry.gate`), when it is its turn (`turns`). So does the
first to one of which nothing is known yet.
"""

from collections import deque
from collections.abc import Collection, Sequence
from math import ceil
from typing import Literal, NamedTuple
from zlib import crc32

from vonal.delivery import retry
from vonal.domain.delivery import DOWN, LaneState, Outcome, Owed

ROOM = 64  # deliveries in memory, of each lane
REFILL = 32
MORE_ROOM = 16_384  # of all lanes together, for those that are pushed faster than they are sent
WINDOW = 8
PATIENCE = 10  # sweeps
LONG_DOWN = 3  # failures in a row after which a success makes due what has been put off
CATCH_UP_MS = 1000  # while draining: so much of what was not sent in time may follow at once
NEVER = 1 << 62
SHARDS = 64  # shares of all lanes, which processes lease from each other
Kind = Literal["fast", "slow", "failing"]


def shard_of(key: tuple[str, str]) -> int:
    """The share that a lane, (tenant, webhook), belongs to."""
    return crc32("/".join(key).encode()) % SHARDS


class Look(NamedTuple):
    """What to read, for `store.lanes.waiting`."""

    limit: int
    live: bool
    records: bool


class Memory:
    """How many deliveries all lanes keep in memory."""

    kept = 0


class Lane:
    """One webhook's queue. `more`: the database may hold something to send that is not here."""

    def __init__(self, key: tuple[str, str], state: LaneState, *, epoch: int = 0, memory: Memory | None = None) -> None:
        self.key = key
        self._memory = memory or Memory()
        self.shard, self.epoch = shard_of(key), epoch  # of the lease under which this queue is worked off
        self.host = ""  # where its last request went
        self.slow = False  # its last request took long
        self.tenant_id, self.webhook_id = key
        self.closed: Literal["", "paused", "disabled"] = ""
        self.fails = state.fails
        self.proven = False  # it has worked since this process began, and since it was down
        self.endless = False  # its last answer had to be cut off
        self.has_turn = False  # otherwise: it may be read of, and sent to once
        self.more = True
        self._live = False  # live events among that, as far as is known: they are asked for before records may go
        self.loading = False
        self.complete = False  # everything open in the database is here
        self.flying: dict[str, tuple[Owed, int]] = {}  # by call, with the wave it went out in
        self._window = 1
        self._queues: dict[str, deque[Owed]] = {}
        self._waiting: set[str] = set()  # the ids of all in the queues
        self._held: dict[str, str] = {}  # call → its delivery that failed, which is not written yet
        self._settling: set[str] = set()  # deliveries whose outcome is not written yet
        self._meanwhile: set[str] = set()  # deliveries settled while a load was under way
        self._late: list[Owed] = []  # pushed while a load was under way
        self._returned: dict[str, Owed] = {}  # put back while a load was under way, and not sent again since
        self._gates = {False: state.next_at, True: 0}
        self._failing_since = state.failing_since
        self._draining_since: int | None = None
        self._slot = 0.0  # while draining: when the next record may go
        self._sleep_until = NEVER
        self._wave = 0
        self._reports = 0

    @property
    def kind(self) -> Kind:
        """Whose places its requests take."""
        return "failing" if self.fails else "slow" if self.slow else "fast"

    @property
    def is_down(self) -> bool:
        """It failed time after time."""
        return self.fails >= DOWN

    @property
    def needs_turn(self) -> bool:
        """Nothing of it may be read or sent now."""
        return not (self.proven or self.has_turn)

    def wants_turn(self, now: int) -> bool:
        """Whether there may be something to send now."""
        self._sleep_until = min((self._sendable_at(call, queue) for call, queue in self._queues.items()), default=NEVER)
        readable_at = self._readable_at() if self.more else NEVER
        return self.quiet and not self.closed and min(self._sleep_until, readable_at) <= now

    @property
    def quiet(self) -> bool:
        """Nothing is under way, and nothing waits to be written."""
        return not (self.flying or self._settling or self.loading)

    def reported(self, *, live: bool = False) -> None:
        """The sweep found something due. Mostly it is under way already; if not, the database is read."""
        self._live = self._live or live
        self._reports += 1
        if self._reports >= PATIENCE or not (self.flying or self._settling or self.loading):
            self._reports = 0
            self.more = True

    def push(self, owed: Owed) -> None:
        """Takes a delivery straight from memory after its commit; later ones of a call must be pushed later."""
        if self.loading:
            self._late.append(owed)
        if self.complete and self._has_room() and not self._knows(owed.id):
            self._append(owed)
        elif not self.loading and not self._knows(owed.id):
            self.complete = False
            self._live = self._live or owed.live
            self.more = self.more or owed.live or len(self._waiting) < REFILL

    def wants_load(self, now: int) -> bool:
        """Whether the database should be read now."""
        crowded = not self.complete and len(self._waiting) >= REFILL
        if not self.more or self.loading or self.closed or crowded:
            return False
        return self._readable_at() <= now

    def begin_load(self, now: int) -> Look:
        """The database is read; `fill` or `load_failed` follows."""
        self.loading, self.more = True, False
        self._meanwhile.clear()
        self._late.clear()
        self._returned.clear()
        live, self._live = self.proven or self._live, False
        busy = len(self.flying) + len(self._settling)
        return Look(ROOM + busy if self.proven else 1, live=live, records=self._gates[False] <= now)

    def fill(self, rows: Sequence[Owed], *, whole: bool, limit: int, unwritten: Collection[str] = ()) -> None:
        """Takes what the database holds (`store.lanes.waiting`) in place of what was here.

        `unwritten`: deliveries whose outcome is not written yet, though the queue may have been given up since.
        """
        self.loading = False
        if self.closed:
            return
        busy = {owed.id for owed, _ in self.flying.values()} | self._settling | self._meanwhile | set(unwritten)
        self._clear()
        for owed in rows:
            if owed.id not in busy:
                self._append(owed)
        self.complete = whole
        self.more = self.more or (not whole and len(rows) >= limit)
        for owed in self._returned.values():
            self._put_back(owed)
        read = {owed.id for owed in rows}
        for owed in self._late:
            if owed.id not in read and owed.id not in self._meanwhile:
                self.push(owed)

    def load_failed(self) -> None:
        """The database could not be read."""
        self.loading, self.complete, self.more = False, False, True

    def next(self, now: int) -> Owed | None:
        """The next to send now, marked as under way; None when there is none or enough is under way."""
        self._sleep_until = NEVER
        if self.closed or len(self.flying) >= self._window or len(self._settling) >= ROOM:
            return None
        if not self._queues and self.complete:
            self._draining_since = None
        for call, queue in self._queues.items():
            if _is_late(queue[0], now):
                self._forget_late(call, queue, now)
                return self.next(now)
            sendable_at = self._sendable_at(call, queue)
            if sendable_at <= now:
                return self._take(call, queue, now)
            self._sleep_until = min(self._sleep_until, sendable_at)
        return None

    def wake_at(self) -> int | None:
        """When to ask again after `next` gave nothing, if nothing happens before."""
        if self.closed or len(self.flying) >= self._window:
            return None
        wake_at = self._sleep_until
        if self.more and not self.loading:
            wake_at = min(wake_at, self._readable_at())
        return wake_at if wake_at < NEVER else None

    def answered(self, owed: Owed) -> None:
        """The webhook took it: the call's next event may go, though this is not written yet."""
        del self.flying[_call(owed)]
        self._settling.add(owed.id)

    def failed(self, owed: Owed) -> int:
        """It was not taken: the call's next event waits until that is written. Returns the attempt's wave."""
        _, wave = self.flying.pop(_call(owed))
        self._settling.add(owed.id)
        self._held[_call(owed)] = owed.id
        return wave

    def settled(self, owed: Owed, again: Owed | None) -> None:
        """What became of it is written; `again` is the delivery as it waits now, if it does."""
        self._settling.discard(owed.id)
        if self._held.get(_call(owed)) == owed.id:
            del self._held[_call(owed)]
        if self.loading:
            self._meanwhile.add(owed.id)
        if again is not None:
            self._put_back(again)
            if self.loading:
                self._returned[again.id] = again
        if not self.complete:
            self.more = True

    def release(self, owed: Owed) -> None:
        """It was not tried at all; it will be read again."""
        self.flying.pop(_call(owed), None)
        self.shed()

    def works(self, now: int, *, endless: bool = False) -> tuple[LaneState | None, bool]:
        """The webhook answers: (its clock if that changed, whether it was down for long).

        One whose answers are `endless` costs as much as one that is dead, so it goes on asking for turns.
        """
        failed, self.fails = self.fails, 0
        self.endless, self.proven = endless, not endless
        if failed >= DOWN:
            self._draining_since, self._slot = now, float(now)
        self._gates = {False: 0, True: 0}
        self._failing_since = None
        self._window = min(self._window + 1, WINDOW)
        return (LaneState() if failed else None), failed >= LONG_DOWN

    def fails_at(self, now: int, outcome: Outcome, wave: int, *, chance: float = 0.0) -> tuple[LaneState, int | None]:
        """The webhook does not answer: (its clock, since when records are given up if it has been down for long)."""
        if wave == self._wave:  # those under way at the same time failed for the same reason
            self.fails += 1
            self._wave += 1
        self._window = 1
        self._draining_since = None
        if self._failing_since is None:
            self._failing_since = now
        asked = retry.asked_to_wait(outcome)
        for live in (False, True):
            self._gates[live] = max(
                self._gates[live], now + max(retry.gate(self.fails, live=live, chance=chance), asked)
            )
        if self.is_down:
            self.proven = False
            self.shed()
        long_down = self.is_down and now - self._failing_since >= retry.GIVE_UP_MS
        clock = LaneState(fails=self.fails, next_at=self._gates[False], failing_since=self._failing_since)
        return clock, (now - retry.GIVE_UP_MS if long_down else None)

    def shed(self) -> None:
        """Lets go of what waits; the database has it."""
        self._clear()
        self.complete, self.more = False, True

    def move_back(self, by: int, now: int) -> None:
        """The clock was set back by so many ms, to `now`; the database has been moved along."""
        self.shed()
        self._gates = {live: min(at, max(at - by, now)) for live, at in self._gates.items()}
        self._failing_since = self._failing_since and min(self._failing_since, now)
        self._draining_since = None

    def close(self, why: Literal["paused", "disabled"]) -> None:
        """Nothing is sent until `open`."""
        self.closed = why
        self.shed()

    def open(self) -> None:
        """What waits is tried now."""
        self.closed = ""
        self.shed()
        self._gates = {False: 0, True: 0}

    def _readable_at(self) -> int:
        return min(self._gates.values()) if self._live else self._gates[False]

    def _has_room(self) -> bool:
        return len(self._waiting) < ROOM or self._memory.kept < MORE_ROOM

    def _append(self, owed: Owed) -> None:
        self._queues.setdefault(_call(owed), deque()).append(owed)
        self._keep(owed.id)

    def _keep(self, delivery_id: str) -> None:
        self._memory.kept += delivery_id not in self._waiting
        self._waiting.add(delivery_id)

    def _let_go(self, delivery_id: str) -> None:
        self._memory.kept -= delivery_id in self._waiting
        self._waiting.discard(delivery_id)

    def _clear(self) -> None:
        self._queues.clear()
        self._memory.kept -= len(self._waiting)
        self._waiting.clear()

    def _take(self, call: str, queue: deque[Owed], now: int) -> Owed:
        owed = queue.popleft()
        self.has_turn = False
        self._let_go(owed.id)
        self._returned.pop(owed.id, None)
        if not queue:
            del self._queues[call]
        if self._draining_since is not None and not owed.live:
            self._slot = max(self._slot, now - CATCH_UP_MS) + retry.drain_gap(now - self._draining_since)
        self.flying[call] = owed, self._wave
        return owed

    def _knows(self, delivery_id: str) -> bool:
        known = delivery_id in self._settling or delivery_id in self._waiting
        return known or any(owed.id == delivery_id for owed, _ in self.flying.values())

    def _sendable_at(self, call: str, queue: deque[Owed]) -> int:
        if call in self.flying or call in self._held:
            return NEVER
        first = queue[0]
        at = max(first.due_at, self._gates[first.live])
        return at if first.live or self._draining_since is None else max(at, ceil(self._slot))

    def _forget_late(self, call: str, queue: deque[Owed], now: int) -> None:
        while queue and _is_late(queue[0], now):
            self._let_go(queue.popleft().id)  # the worker's sweep drops it in the database
        if not queue:
            del self._queues[call]

    def _put_back(self, owed: Owed) -> None:
        queue = self._queues.get(_call(owed))
        if queue is not None:
            queue.appendleft(owed)
        elif self.complete:
            self._queues[_call(owed)] = deque([owed])
        else:
            return
        self._keep(owed.id)


def _is_late(owed: Owed, now: int) -> bool:
    return owed.expires_at is not None and owed.expires_at <= now


def _call(owed: Owed) -> str:
    return owed.event.call_id or owed.event.id

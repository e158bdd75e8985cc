"""Takes facts in: ONE transaction holds the calls, their events, the deliveries these owe, and the journal's position.

Everything that changes a call comes through here, on the store's one writer thread, so the calls in memory are always
those in the store. When a transaction fails, memory is thrown away and read again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog
from msgspec import Struct, field
from sqlalchemy import Connection

from vonal.calls import tracker
from vonal.calls.people import People
from vonal.domain.call import Call, call_id
from vonal.domain.delivery import Owed
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.domain.journal import JournalRow, Position
from vonal.domain.sound import Format, Outcome
from vonal.store import calls, deliveries, events, journal, recordings
from vonal.store.database import Database

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

RECORDING_PATIENCE = timedelta(seconds=60)  # so long `call.completed` waits for the call's recordings
REQUESTED_PATIENCE = timedelta(seconds=15)  # a requested call that Asterisk has never heard of by then never was
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Batch(Protocol):
    """Rows in order, and the journal's position after them."""

    @property
    def rows(self) -> list[JournalRow]: ...
    @property
    def position(self) -> Position: ...


class Taken(Struct):
    """What a transaction has changed, to be told after its commit."""

    calls: dict[str, Call] = field(default_factory=dict)
    owed: list[Owed] = field(default_factory=list)
    recorded: bool = False


class Ingest:
    """The fact lane's third station. `matches` says which webhook wants an event; `told` hears what was committed."""

    def __init__(
        self,
        db: Database,
        people: People,
        *,
        matches: Callable[[Webhook, CallEvent], bool],
        told: Callable[[Taken], None],
    ) -> None:
        self._db = db
        self._matches = matches
        self._told = told
        self._open: dict[str, Call] | None = None
        self.people = people

    async def position(self) -> Position:
        """How far the journal was taken in."""
        node = self.people.node
        return await self._db.read(lambda tx: journal.any_tenant_position(tx, node))

    async def take(self, batch: Batch) -> None:
        """Takes a batch of the journal; tries again until the store has it, for there is nothing else to do with it."""
        tries = 0
        while True:
            try:
                await self._change(partial(self._take, batch=batch, again=tries > 0))
            except Exception:
                log.exception("ingest_failed", rows=len(batch.rows), tries=tries + 1)
                await asyncio.sleep(RETRY_SECONDS[min(tries, len(RETRY_SECONDS) - 1)])
                tries += 1
            else:
                return

    async def settle(self, outcome: Outcome) -> None:
        """A recording is ready, failed or deleted; safe to be told twice."""
        await self._change(lambda tx, taken: self._settle(tx, taken, outcome))

    async def abandon(self, tenant_id: str, call: str, reason: str) -> None:
        """Closes a requested click-to-call that Asterisk did not start."""
        log.info("call_abandoned", tenant=tenant_id, call=call, reason=reason)
        await self._change(lambda tx, taken: self._close(tx, taken, [call], tracker.abandon))

    async def unfinished(self) -> set[str]:
        """The ids of all calls that are not completed."""
        return {call.id for call in await self._db.read(calls.any_tenant_unfinished)}

    async def interrupt_all_but(self, channels: Iterable[str], *, among: set[str]) -> int:
        """Closes those live calls of `among` of which Asterisk has no channel left; returns their number.

        `channels`: what Asterisk had at a moment when `among` were known, and beyond which the journal has been read.
        No clock is asked which came first, for clocks are set back.
        """
        alive = set(channels)

        def work(tx: Connection, taken: Taken) -> int:
            now = datetime.now(UTC)
            gone = [one.id for key, one in self._calls(tx).items() if key in among and _is_gone(one, alive, now)]
            self._close(tx, taken, gone, tracker.interrupt)
            return len(gone)

        return await self._change(work)

    async def hold(self, channel: str, now: datetime, *, held: bool) -> None:
        """Notes what only the ephemeral events tell: somebody was put on hold, or taken back."""

        def work(tx: Connection, taken: Taken) -> None:
            open_ = self._calls(tx).values()
            about = [one for one in open_ if any(leg.channel == channel for leg in one.legs)]
            self._keep(tx, taken, [tracker.hold(one, now, held=held) for one in about], [])

        await self._change(work)

    async def complete_overdue(self) -> None:
        """Sends `call.completed` of ended calls whose recordings take too long."""
        limit = datetime.now(UTC) - RECORDING_PATIENCE
        overdue = [one.id for one in (self._open or {}).values() if one.state == "ended" and _ended_at(one) < limit]
        if overdue:
            await self._change(lambda tx, taken: self._close(tx, taken, overdue, tracker.complete))

    # --- on the writer's thread --------------------------------------------------------------------------------------

    async def _change(self, work: Callable[[Connection, Taken], Result]) -> Result:
        taken = Taken()

        def run(tx: Connection) -> Result:
            try:
                return work(tx, taken)
            except BaseException:
                self._open = None
                raise

        try:
            result = await self._db.write(run)
        except Exception:
            self._open = None
            raise
        self._told(taken)
        return result

    def _calls(self, tx: Connection) -> dict[str, Call]:
        if self._open is None:
            self._open = {call.id: call for call in calls.any_tenant_unfinished(tx)}
        return self._open

    def _take(self, tx: Connection, taken: Taken, *, batch: Batch, again: bool) -> None:
        # A database that dies while it commits may have committed, and yet it is an error that we see.
        if again and journal.any_tenant_position(tx, self.people.node) >= batch.position:
            return
        so_far = {**self._begun_before(tx, batch.rows), **self._calls(tx)}
        changed: dict[str, Call] = {}
        told: list[CallEvent] = []
        for row in batch.rows:
            key = call_id(self.people.node, row.linkedid)
            other = tracker.other_call(row, self.people.node)
            before = so_far.get(key)
            after, made = tracker.track(before, row, self.people, so_far.get(other) if other else None)
            if after is not None and after is not before:
                so_far[key] = changed[key] = after
                told += made
        self._keep(tx, taken, list(changed.values()), told)
        journal.any_tenant_move(tx, self.people.node, batch.position)

    def _begun_before(self, tx: Connection, rows: Sequence[JournalRow]) -> dict[str, Call]:
        """Calls that these rows begin and that the store has: requested ones, and all when a journal is read again."""
        beginning = {row.linkedid for row in rows if tracker.may_begin(row)}
        asked = {call_id(self.people.node, one) for one in beginning} - set(self._calls(tx))
        return calls.any_tenant_find(tx, asked) if asked else {}

    def _settle(self, tx: Connection, taken: Taken, outcome: Outcome) -> None:
        ready = outcome.recording.state == "ready"
        delete_at = self._delete_at(outcome.tenant_id) if ready else None
        if not recordings.settle(outcome.tenant_id, tx, outcome, delete_at=delete_at):
            return
        call = self._calls(tx).get(outcome.call_id) or calls.find(outcome.tenant_id, tx, outcome.call_id)
        if call is not None:
            after, made = tracker.settle(call, outcome.recording, datetime.now(UTC))
            self._keep(tx, taken, [after], made)

    def _close(
        self,
        tx: Connection,
        taken: Taken,
        call_ids: Sequence[str],
        how: Callable[[Call, datetime], tuple[Call, list[CallEvent]]],
    ) -> None:
        open_ = self._calls(tx)
        found = {**calls.any_tenant_find(tx, set(call_ids) - set(open_)), **open_}
        closing = [found[key] for key in call_ids if key in found and found[key].state != "completed"]
        done = [how(one, datetime.now(UTC)) for one in closing]
        self._keep(tx, taken, [call for call, _ in done], [event for _, made in done for event in made])

    def _keep(self, tx: Connection, taken: Taken, changed: Sequence[Call], told: list[CallEvent]) -> None:
        open_ = self._calls(tx)
        calls.any_tenant_save(tx, changed)
        events.any_tenant_add(tx, told)
        recordings.any_tenant_keep(tx, changed, self._formats())
        taken.owed += deliveries.any_tenant_enqueue(tx, list(self._wanted(told)), now=datetime.now(UTC))
        for call in changed:
            taken.calls[call.id] = call
            taken.recorded = taken.recorded or (call.state == "ended" and bool(call.recordings))
            if call.state == "completed":
                open_.pop(call.id, None)
            else:
                open_[call.id] = call

    def _wanted(self, told: Iterable[CallEvent]) -> Iterator[tuple[CallEvent, Webhook]]:
        for event in told:
            tenant = self.people.tenants.get(event.tenant_id)
            for hook in tenant.webhooks if tenant else ():
                if self._matches(hook, event):
                    yield event, hook

    def _formats(self) -> dict[str, Format]:
        return {key: tenant.recording.format for key, tenant in self.people.tenants.items()}

    def _delete_at(self, tenant_id: str) -> datetime:
        tenant = self.people.tenants.get(tenant_id)
        return datetime.now(UTC) + timedelta(days=tenant.recording.retention_days if tenant else 365)


def _is_gone(call: Call, alive: set[str], now: datetime) -> bool:
    if call.state == "requested":
        return call.id not in alive and abs(now - call.started_at) > REQUESTED_PATIENCE
    return call.state == "live" and not any(leg.channel in alive for leg in call.legs)


def _ended_at(call: Call) -> datetime:
    return call.ended_at or call.started_at

"""Writes down what became of attempts: whatever comes within a moment shares one transaction, in the order it came.

What was taken by the webhook is in no hurry: should we die meanwhile, it is sent once more, as with any attempt under
way. Nor is a webhook's failure: it is asked again later. That of one event is written at once, for the call's next one
waits for it.
A database that does not answer loses nothing: the outcomes wait here, and are written when it is back.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from vonal.domain.delivery import Settled
from vonal.store import settling
from vonal.store.database import Database

log = structlog.get_logger(__name__)
MAX_BATCH = 256
FULL = 32  # are not kept waiting
GATHER_S = 0.1
RETRY_S = 1.0


class Settler:
    """`add` outcomes; `done` is called with each batch after its commit."""

    def __init__(self, db: Database, done: Callable[[list[Settled]], None], *, node: str | None = None) -> None:
        self._db = db
        self._node = node
        self._done = done
        self._waiting: list[Settled] = []
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Everything is written."""
        return self._writing is None and not self._waiting

    def add(self, one: Settled) -> None:
        """Takes an outcome to be written; returns at once."""
        self._waiting.append(one)
        of_the_event = one.state != "delivered" and one.lane is None
        if of_the_event or len(self._waiting) >= FULL:
            self._hurry.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())

    async def finish(self) -> None:
        """Returns when everything is written."""
        while self._writing is not None:
            self._hurry.set()
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), GATHER_S)
                self._hurry.clear()
                batch = self._waiting[:MAX_BATCH]
                if await self._write(batch):
                    del self._waiting[: len(batch)]
                    self._done(batch)
                else:
                    await asyncio.sleep(RETRY_S)
        finally:
            self._writing = None

    async def _write(self, batch: list[Settled]) -> bool:
        try:
            await self._db.write(partial(settling.any_tenant_settle, results=batch, node=self._node))
        except Exception as fault:  # noqa: BLE001 - whatever it is, what was sent must be written some time
            log.error("delivery.not_written", waiting=len(self._waiting), error=repr(fault))  # noqa: TRY400
            return False
        return True

"""Deletes events whose time is up, in small pieces, each day's only after its manifest is stored."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from vonal.store import forgetting as store
from vonal.store import manifests
from vonal.store.database import Database
from vonal.store.sql import to_ms

log = structlog.get_logger(__name__)
EVERY_SECONDS = 60.0
PIECE = 500  # events in one transaction
PIECES = 20  # in one round: some 10,000 events a minute, more than come in


class Forgetting:
    """The worker. Events are kept for `days` whole days, UTC."""

    def __init__(self, db: Database, *, days: int, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._db, self._days, self._now = db, days, now
        self._after = 0

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                if gone := await self.round():
                    log.info("events_forgotten", count=gone)
            except Exception:  # the database; what is old stays old
                log.exception("old events cannot be deleted, will be tried again")
            await asyncio.sleep(EVERY_SECONDS)

    async def round(self) -> int:
        """Deletes some of what is old, going on where the last round ended; returns how many events it were."""
        today = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        before = to_ms(today - timedelta(days=self._days))
        gone = 0
        for _ in range(PIECES):
            look = partial(store.any_tenant_old, after=self._after, before=before, limit=PIECE)
            page = await self._db.read(look)
            await self._keep_manifests(page)
            gone += await self._db.write(partial(store.any_tenant_delete, positions=page.positions))
            self._after = 0 if page.end else page.positions[-1]
            if page.end:
                break
        return gone

    async def _keep_manifests(self, page: store.Page) -> None:
        for tenant_id, day in await self._db.read(partial(store.any_tenant_without_manifest, days=page.days)):
            made, _ = await self._db.read(partial(manifests.of_day, tenant_id, day=day, now=self._now()))
            await self._db.write(partial(manifests.keep, tenant_id, made=made))

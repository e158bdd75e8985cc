"""Deletes recordings whose time is up: first the files, then the fact is written, so that a kill leaves no sound behind."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from vonal.calls.folders import Folders
from vonal.calls.recordings import Settle
from vonal.domain.call import Recording
from vonal.domain.sound import Outcome
from vonal.store import recordings as store
from vonal.store.database import Database
from vonal.store.recordings import StoredRecording

log = structlog.get_logger(__name__)
_EVERY = 600.0  # seconds
_BATCH = 100
_COPY_KEPT = 86_400.0  # seconds


class Retention:
    """The worker. `settle` writes that a recording is deleted, in its row and its call."""

    def __init__(
        self,
        db: Database,
        folders: Folders,
        *,
        settle: Settle,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._db = db
        self._folders = folders
        self._settle = settle
        self._now = now

    async def run(self) -> None:
        """Works until cancelled."""
        while True:
            try:
                await self.delete_due()
                await asyncio.to_thread(self.delete_old_copies)
            except Exception:  # the database or the disk; what is due stays due
                log.exception("recordings whose time is up cannot be deleted, will be tried again")
            await asyncio.sleep(_EVERY)

    async def delete_due(self) -> int:
        """Deletes all whose time is up now; returns how many these were. Raises OSError when a file resists."""
        deleted = 0
        while due := await self._db.read(lambda tx: store.any_tenant_due(tx, self._now(), _BATCH)):
            for row in due:
                await asyncio.to_thread(self._delete_files, row)
                await self._settle(_deleted(row))
            deleted += len(due)
        if deleted:
            log.info("recordings deleted, their time being up", count=deleted)
        return deleted

    def delete_old_copies(self) -> None:
        """Deletes copies in other formats that nobody has asked for since yesterday."""
        for copy in self._folders.copies.glob("*"):
            if time.time() - copy.stat().st_mtime > _COPY_KEPT:
                copy.unlink(missing_ok=True)

    def _delete_files(self, row: StoredRecording) -> None:
        if row.path:
            (self._folders.recordings / row.path).unlink(missing_ok=True)
        for copy in self._folders.copies_of(row.id):
            copy.unlink(missing_ok=True)


def _deleted(row: StoredRecording) -> Outcome:
    gone = Recording(
        id=row.id,
        file=row.file,
        customer_first=row.customer_first,
        state="deleted",
        format=row.format,
        channels=2,
        duration_s=row.duration_s,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
    )
    return Outcome(tenant_id=row.tenant_id, call_id=row.call_id, recording=gone)

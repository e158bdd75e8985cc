"""Deletes recordings whose time is up: first the files, then the fact is written; a kill leaves no sound behind."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
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
        """Deletes all whose time is up now; returns how many. A file that resists is logged and passed over."""
        tried: set[str] = set()
        deleted = 0
        while due := [row for row in await self._due(_BATCH + len(tried)) if row.id not in tried]:
            tried |= {row.id for row in due}
            for row in due:
                deleted += await self._delete(row)
        if deleted:
            log.info("recordings deleted, their time being up", count=deleted)
        return deleted

    async def _due(self, limit: int) -> list[StoredRecording]:
        return await self._db.read(lambda tx: store.any_tenant_due(tx, self._now(), limit))

    async def _delete(self, row: StoredRecording) -> bool:
        try:
            await asyncio.to_thread(self._delete_files, row)
        except OSError as fault:
            log.error("recording cannot be deleted", recording=row.id, file=fault.filename, reason=fault.strerror)  # noqa: TRY400
            return False
        await self._settle(_deleted(row))
        return True

    def delete_old_copies(self) -> None:
        """Deletes copies in other formats that nobody has asked for since yesterday."""
        for copy in self._folders.copies.glob("*"):
            with suppress(FileNotFoundError):  # deleted meanwhile, with its recording
                if time.time() - copy.stat().st_mtime > _COPY_KEPT:
                    copy.unlink()

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

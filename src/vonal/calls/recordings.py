"""Makes recordings ready: the raw file of an ended call becomes a finished one, and then the call is told.

The order makes it safe to be killed anywhere: finished file (whole and durable) → `settle` (one transaction: row, call,
events, deliveries) → the raw file is deleted. What is not settled stays `processing` and is done again, with the same
result, at the next start.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog
from asyncinotify import Inotify, Mask
from msgspec import Struct

from vonal.calls.converter import ConversionFailed, Converter, ConverterDied
from vonal.calls.folders import Folders
from vonal.calls.sound import FRAME_BYTES, Job
from vonal.domain.call import Recording
from vonal.domain.sound import Outcome, Reason, stored_path
from vonal.store import recordings as store
from vonal.store.database import Database
from vonal.store.recordings import StoredRecording

log = structlog.get_logger(__name__)
LANES = 2  # a long recording does not hold the short ones up
_BACKOFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds
_LOOK_AGAIN = 1.0  # seconds, while something waits; inotify is quicker, this is for what it missed
_REFRESH = 30.0  # seconds, while nothing waits
_QUIET = 5.0  # seconds; MixMonitor writes every second, so a file older than that is closed
_SWEEP = 3600.0  # seconds
_SWEPT_AT_ONCE = 500

Settle = Callable[[Outcome], Awaitable[None]]


class _Waiting(Struct, kw_only=True):
    """A recording that is still to be made ready. Times are the monotonic clock's."""

    row: StoredRecording
    since: float
    fails: int = 0
    not_before: float = 0.0


class Recorder:
    """The worker. `settle` writes the outcome durably; `asterisk_pid` tells who may still be writing raw files."""

    def __init__(
        self,
        db: Database,
        folders: Folders,
        *,
        settle: Settle,
        asterisk_pid: Callable[[], int | None],
        missing_after: float = 10.0,
    ) -> None:
        self._db = db
        self._folders = folders
        self._settle = settle
        self._asterisk_pid = asterisk_pid
        self._missing_after = missing_after
        self._woken = asyncio.Event()
        self._news = True
        self._waiting: dict[str, _Waiting] = {}
        self._running: set[str] = set()
        self._settled: set[str] = set()
        self._sweep_at = 0.0
        self._disk_fails = 0
        self._disk_after = 0.0
        self.converter = Converter(LANES)

    def wake(self) -> None:
        """A call has ended: its recordings are `processing` now. Call it after the commit."""
        self._news = True
        self._woken.set()

    async def run(self) -> None:
        """Works until cancelled."""
        self._folders.spool.mkdir(parents=True, exist_ok=True)
        for draft in self._folders.drafts.glob("*"):  # a kill left it
            draft.unlink(missing_ok=True)
        with Inotify() as inotify:
            # Watched before the first look, so that no closing falls between the two.
            inotify.add_watch(self._folders.spool, Mask.CLOSE_WRITE)
            async with self.converter, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(inotify))
                while True:
                    await self._pass(tasks)
                    await self._pause()

    async def _listen(self, inotify: Inotify) -> None:
        async for event in inotify:
            if any(one.row.file == str(event.name) for one in self._waiting.values()):
                self._woken.set()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_AGAIN if self._waiting else _REFRESH):
                await self._woken.wait()
        self._woken.clear()

    async def _pass(self, tasks: asyncio.TaskGroup) -> None:
        try:
            if time.monotonic() >= self._sweep_at:
                await self._sweep()
            if self._news or not self._waiting:
                await self._refresh()
            for one in await self._takeable():
                self._running.add(one.row.id)
                tasks.create_task(self._make_ready(one))
        except Exception:  # the database, most likely: what waits in it is seen by the next look
            self._news = True
            log.exception("recordings cannot be looked up, will be tried again")

    async def _refresh(self) -> None:
        self._news = False
        self._settled.clear()
        rows = await self._db.read(store.any_tenant_processing)
        now = time.monotonic()
        # What was settled while we read may still look unsettled in `rows`.
        self._waiting = {
            row.id: self._waiting.get(row.id) or _Waiting(row=row, since=now)
            for row in rows
            if row.id not in self._settled
        }

    async def _takeable(self) -> list[_Waiting]:
        """What may be converted now, the least troublesome and shortest first, as many as there are free lanes."""
        now = time.monotonic()
        free = LANES - len(self._running)
        due = [one for key, one in self._waiting.items() if one.not_before <= now and key not in self._running]
        if not due or not free or now < self._disk_after:
            return []
        pid = self._asterisk_pid()
        sizes = await asyncio.to_thread(closed_files, self._folders.spool, [one.row.file for one in due], pid)
        found = [one for one in due if one.row.file in sizes or self._is_missing(one, now)]
        return sorted(found, key=lambda one: (one.fails, sizes.get(one.row.file, 0)))[:free]

    def _is_missing(self, one: _Waiting, now: float) -> bool:
        return now - one.since >= self._missing_after and not self._raw(one.row).exists()

    def _raw(self, row: StoredRecording) -> Path:
        return self._folders.spool / Path(row.file).name

    async def _make_ready(self, one: _Waiting) -> None:
        try:
            await self._finish(one.row)
        except ConverterDied as fault:
            self._postpone(one, fault.detail)
        except ConversionFailed as fault:
            self._disk_failed(one.row, fault.detail)
        except Exception as fault:  # noqa: BLE001 - whatever it is, this one waits and the others go on
            self._postpone(one, repr(fault))
        else:
            self._disk_fails, self._disk_after = 0, 0.0
            self._settled.add(one.row.id)
            self._waiting.pop(one.row.id, None)
        finally:
            self._running.discard(one.row.id)
            self._woken.set()

    def _postpone(self, one: _Waiting, reason: str) -> None:
        one.not_before = time.monotonic() + _pause_after(one.fails)
        one.fails += 1
        log.error("recording is not ready, will be tried again", recording=one.row.id, reason=reason)

    def _disk_failed(self, row: StoredRecording, reason: str) -> None:
        pause = _pause_after(self._disk_fails)
        self._disk_fails += 1
        self._disk_after = time.monotonic() + pause
        log.error(
            "recordings cannot be written; nothing is lost, make room or repair the folder",
            folder=str(self._folders.recordings),
            raw=str(self._raw(row)),
            reason=reason,
            next_try_s=pause,
        )

    async def _finish(self, row: StoredRecording) -> None:
        raw = self._raw(row)
        size = raw.stat().st_size if raw.exists() else None
        if size is None:
            await self._failed(row, "missing")
            return
        if size < FRAME_BYTES:
            await self._failed(row, "empty")
        else:
            await self._settle(await self._converted(row, raw))
        try:
            raw.unlink(missing_ok=True)
        except OSError as fault:  # the recording is safe; the next start tries again
            log.warning("raw file cannot be deleted", raw=str(raw), reason=fault.strerror)

    async def _converted(self, row: StoredRecording, raw: Path) -> Outcome:
        path = stored_path(row.tenant_id, row.id, row.created_at, row.format)
        started = time.monotonic()
        job = Job(
            source=str(raw),
            target=str(self._folders.recordings / path),
            draft=str(self._folders.drafts / f"{row.id}.{os.getpid()}.{row.format}"),
            format=row.format,
            swap=row.customer_first,
        )
        sound = await self.converter.convert(job)
        took = round(time.monotonic() - started, 3)
        log.info("recording is ready", recording=row.id, duration_s=sound.duration_s, took_s=took)
        done = Recording(
            id=row.id,
            file=row.file,
            customer_first=row.customer_first,
            state="ready",
            format=row.format,
            channels=2,
            duration_s=sound.duration_s,
            size_bytes=sound.size_bytes,
            sha256=sound.sha256,
            path=path,
        )
        return Outcome(tenant_id=row.tenant_id, call_id=row.call_id, recording=done)

    async def _failed(self, row: StoredRecording, reason: Reason) -> None:
        log.warning("recording failed", recording=row.id, call=row.call_id, reason=reason)
        lost = Recording(id=row.id, file=row.file, customer_first=row.customer_first, state="failed", format=row.format)
        await self._settle(Outcome(tenant_id=row.tenant_id, call_id=row.call_id, recording=lost, reason=reason))

    async def _sweep(self) -> None:
        """Deletes raw files whose recording is finished (a kill left them), and those of calls nobody answered."""
        names = [one.name for one in self._folders.spool.glob("*.raw")]
        for start in range(0, len(names), _SWEPT_AT_ONCE):
            part = names[start : start + _SWEPT_AT_ONCE]
            states = await self._db.read(lambda tx, part=part: store.any_tenant_states(tx, part))  # type: ignore[misc]
            unknown = [name for name in part if name not in states]
            done = [name for name, state in states.items() if state in ("ready", "deleted")]
            unheard = await asyncio.to_thread(_unheard, self._folders.spool, unknown, self._asterisk_pid())
            for name in (*done, *unheard):
                (self._folders.spool / name).unlink(missing_ok=True)
        self._sweep_at = time.monotonic() + _SWEEP


def _unheard(spool: Path, names: list[str], pid: int | None) -> list[str]:
    """Old, closed and empty files: MixMonitor makes one as soon as a call rings."""
    sizes = closed_files(spool, names, pid)
    return [name for name, size in sizes.items() if not size and time.time() - (spool / name).stat().st_mtime > _SWEEP]


def _pause_after(fails: int) -> float:
    return _BACKOFF[min(fails, len(_BACKOFF) - 1)]


def closed_files(spool: Path, names: list[str], pid: int | None) -> dict[str, int]:
    """The size in bytes of each of these files that exists and that process `pid` is not writing any more.

    MixMonitor keeps up to 32 kB back until it closes the file, so one still open would be short of its end.
    """
    held = _held_by(pid) if pid else set()
    found = {}
    for name in names:
        path = spool / Path(name).name
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        closed = time.time() - status.st_mtime > _QUIET if held is None else os.path.realpath(path) not in held
        if closed:
            found[name] = status.st_size
    return found


def _held_by(pid: int) -> set[str] | None:
    """The files that the process has open; None when we may not know (it runs as another user)."""
    held = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed while we looked
                held.add(str(descriptor.readlink()))
    except (FileNotFoundError, ProcessLookupError):
        return set()
    except PermissionError:
        return None
    return held

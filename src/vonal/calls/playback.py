"""Finished recordings for those who ask: where the file is and what to call it, in the format they want."""

import asyncio
import os
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct
from sqlalchemy import Connection

from vonal.calls.converter import Converter
from vonal.calls.folders import Folders
from vonal.calls.reference import Keys, decode
from vonal.calls.sound import Job
from vonal.domain.call import Call
from vonal.domain.errors import InvalidRequest, RecordingDeleted, RecordingNotFound, RecordingNotReady
from vonal.domain.sound import FORMATS, MEDIA_TYPES, Format, download_name
from vonal.store import calls, recordings
from vonal.store.database import Database
from vonal.store.recordings import StoredRecording

log = structlog.get_logger(__name__)
_RETRY_AFTER = 5  # seconds
_WHY_FAILED = {"missing": "Asterisk left no sound file of this call", "empty": "nobody spoke to anybody in this call"}


class Opened(Struct, frozen=True, kw_only=True):
    """A sound file to be sent. `etag`: the SHA-256 of its bytes, without quotes; `filename`: safe ASCII."""

    path: Path
    size: int
    etag: str
    filename: str
    media_type: str


class Playback:
    """`timezone` tells a tenant's, for file names. Copies in other formats are made one at a time, kept for a day."""

    def __init__(self, db: Database, folders: Folders, keys: Keys, *, timezone: Callable[[str], str]) -> None:
        self._db = db
        self._folders = folders
        self._keys = keys
        self._timezone = timezone
        self._copying = asyncio.Lock()
        self.converter = Converter()

    async def close(self) -> None:
        """Ends the converting process."""
        await self.converter.close()

    async def open(self, tenant_id: str, recording_id: str, format_: str | None = None) -> Opened:
        """The recording's file, in `format_` or else as it is kept.

        Raises InvalidRequest (unknown format), RecordingIdUndecodable, RecordingNotFound (also when the recording
        failed), RecordingNotReady (with `retry_after`), RecordingDeleted, and ConversionFailed when a copy in another
        format cannot be made.
        """
        wanted = None if format_ is None else _format(format_)
        decode(self._keys, tenant_id, recording_id)
        row, call = await self._db.read(lambda tx: _look_up(tenant_id, tx, recording_id))
        path = self._folders.recordings / _path_of(row)
        if not path.is_file():
            log.error("the file of a ready recording is gone", recording=recording_id, path=str(path))
            raise RecordingNotFound("The recording's file is gone.", param="id")
        etag, kept = row.sha256 or "", wanted or row.format
        if kept != row.format:
            path, etag = await self._copy(row, path, kept)
        return Opened(
            path=path,
            size=path.stat().st_size,
            etag=etag,
            filename=download_name(call, self._timezone(tenant_id), kept) if call else f"{row.id}.{kept}",
            media_type=MEDIA_TYPES[kept],
        )

    async def load_bytes(self, tenant_id: str, recording_id: str) -> bytes:
        """The recording's bytes as it is kept, for those who send it inline. Raises as `open` does."""
        opened = await self.open(tenant_id, recording_id)
        return await asyncio.to_thread(opened.path.read_bytes)

    async def _copy(self, row: StoredRecording, source: Path, wanted: Format) -> tuple[Path, str]:
        async with self._copying:
            for found in self._folders.copies_of(row.id):
                _, etag, format_ = found.name.split(".")
                if format_ == wanted:
                    os.utime(found)  # it is wanted still
                    return found, etag
            target = self._folders.copies / f".{row.id}.{wanted}"
            draft = self._folders.drafts / f"{row.id}.{secrets.token_hex(8)}.{wanted}"
            job = Job(source=str(source), target=str(target), draft=str(draft), format=wanted)
            sound = await self.converter.convert(job)
            return target.rename(target.with_name(f"{row.id}.{sound.sha256}.{wanted}")), sound.sha256


def _format(name: str) -> Format:
    for known in FORMATS:
        if known == name:
            return known
    raise InvalidRequest(f"Formats are: {', '.join(FORMATS)}.", param="format")


def _look_up(tenant_id: str, tx: Connection, recording_id: str) -> tuple[StoredRecording, Call | None]:
    row = recordings.find(tenant_id, tx, recording_id)
    if row is None:
        raise RecordingNotFound("There is no such recording.", param="id")
    return row, calls.find(tenant_id, tx, row.call_id)


def _path_of(row: StoredRecording) -> str:
    if row.state == "deleted" or (row.delete_at and row.delete_at <= datetime.now(UTC)):
        raise RecordingDeleted("The recording was deleted, its time being up.", param="id")
    if row.state == "failed":
        why = _WHY_FAILED.get(row.reason or "", "it could not be made")
        raise RecordingNotFound(f"The recording failed: {why}.", param="id")
    if row.path is None:
        raise RecordingNotReady("The recording is being made ready.", param="id", retry_after=_RETRY_AFTER)
    return row.path

"""Reads the journal: the file to which Asterisk appends one line per channel event (CEL).

`cel_custom` opens the file anew for every line, so renaming it is all that rotation takes. The live file is
`journal.dsv`; older segments are `journal.000001.dsv`, `journal.000002.dsv`, …: the live one's number is the next.
Source: https://docs.asterisk.org/Configuration/Reporting/Channel-Event-Logging-CEL/
"""

import asyncio
import csv
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import structlog
from asyncinotify import Inotify, Mask
from msgspec import Struct

from vonal.domain.journal import JournalRow, Position
from vonal.telephony.causes import cause_disposition, dial_disposition

log = structlog.get_logger(__name__)

COLUMNS = (
    *("EventType", "userdeftype", "EventTime", "Name", "Num", "ani", "rdnis", "dnid", "Exten", "Context", "ChanName"),
    *("AppName", "AppData", "AccountCode", "UniqueID", "LinkedID", "Peer", "PeerAccount", "UserField", "EventExtra"),
    "TenantID",
)
CHUNK = 1 << 20
SEGMENT_BYTES = 32 << 20
KEPT_SEGMENTS = 8
QUIET_SECONDS = 1.0  # a line being written while its file is renamed still lands in the renamed file
SWEEP_SECONDS = 1.0  # nothing depends on a notification alone
LINGER_SECONDS = 0.02  # so long rows without hurry wait for company
_SEGMENT = re.compile(r"journal\.(\d{6,})\.dsv$")


class Batch(Struct, frozen=True):
    """Rows in order, and the position after the last of them."""

    rows: list[JournalRow]
    position: Position


class Journal:
    """The journal's files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live = folder / "journal.dsv"

    async def follow(
        self, position: Position, *, urgent: Callable[[JournalRow], bool] = lambda _: True
    ) -> AsyncIterator[Batch]:
        """Yields what was written after `position`: the backlog, then for ever; no row's content makes it raise.

        The next batch is read only when the consumer asks for it, so a slow store slows the reading and loses nothing.
        Rows of which none is `urgent` wait a moment for others: a transaction of its own for each would cost more than
        all else about a call.
        """
        rows: list[JournalRow] = []
        due = 0.0
        self.folder.mkdir(parents=True, exist_ok=True)
        with Inotify() as watcher:
            watcher.add_watch(self.folder, Mask.MODIFY | Mask.CREATE | Mask.MOVE)
            while True:
                batch, now = self.read(position), time.monotonic()
                due = due if rows else now + LINGER_SECONDS
                rows += batch.rows
                moved, position = batch.position != position, batch.position
                if not moved and not rows:
                    await _changed(watcher, SWEEP_SECONDS)
                elif rows and now < due and not any(map(urgent, batch.rows)):
                    await _changed(watcher, due - now)
                else:
                    yield Batch(rows, position)
                    rows = []

    def read(self, position: Position) -> Batch:
        """The next rows after `position`, at most about 1 MB; an unchanged position when there is nothing new."""
        segment, path = self._locate(position.segment)
        offset = position.offset if segment == position.segment else 0
        if path is None:
            return Batch([], position)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < offset:
                log.error("journal_truncated", file=path.name, read_to=offset, size=size)
                offset = 0
            file.seek(offset)
            chunk = file.read(CHUNK)
        whole = chunk[: chunk.rfind(b"\n") + 1] or (chunk if len(chunk) == CHUNK else b"")
        if whole:
            return Batch(list(parse(whole)), Position(segment, offset + len(whole)))
        # A file of the future is old: the clock was set back.
        if path != self.live and abs(time.time() - path.stat().st_mtime) > QUIET_SECONDS:
            return self.read(Position(segment + 1, 0))
        return Batch([], position)

    def end(self) -> Position:
        """Where the journal ends at this moment."""
        segments = self._segments()
        size = self.live.stat().st_size if self.live.exists() else 0
        return Position(segments[-1][0] + 1 if segments else 1, size)

    def backlog(self, position: Position) -> int:
        """Bytes that were written and not yet read."""
        end = self.end()
        sizes = {number: path.stat().st_size for number, path in self._segments()} | {end.segment: end.offset}
        ahead = sum(size for number, size in sizes.items() if number > position.segment)
        return ahead + max(sizes.get(position.segment, 0) - position.offset, 0)

    def rotate(self, position: Position) -> None:
        """Renames the live file when it has grown large, and deletes old segments that `position` has left behind."""
        if self.live.exists() and self.live.stat().st_size > SEGMENT_BYTES:
            newest = max((number for number, _ in self._segments()), default=0)
            self.live.rename(self.folder / f"journal.{newest + 1:06d}.dsv")
        for number, path in self._segments():
            if number < position.segment - KEPT_SEGMENTS:
                path.unlink()

    def _segments(self) -> list[tuple[int, Path]]:
        found = ((match, path) for path in self.folder.glob("journal.*.dsv") if (match := _SEGMENT.search(path.name)))
        return sorted((int(match[1]), path) for match, path in found)

    def _locate(self, segment: int) -> tuple[int, Path | None]:
        segments = self._segments()
        for number, path in segments:
            if number >= segment:
                if number > segment:
                    log.error("journal_segment_missing", wanted=segment, going_on_with=number)
                return number, path
        live = segments[-1][0] + 1 if segments else 1
        if live != segment and self.live.exists():
            log.error("journal_segment_missing", wanted=segment, going_on_with=live)
        return (live, self.live) if self.live.exists() else (segment, None)


async def _changed(watcher: Inotify, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await watcher.get()
    except TimeoutError:
        return


def parse(text: bytes) -> Iterator[JournalRow]:
    """The rows of whole lines. A line that is no row is logged and passed over: no caller can stop us by his name."""
    for line in text.split(b"\n"):
        if not line:
            continue
        try:
            values = next(csv.reader([line.decode("utf-8", "replace").replace("\0", "")], strict=True))
            yield _row(dict(zip(COLUMNS, values, strict=True)))
        except (csv.Error, ValueError) as fault:
            log.warning("journal_line_unreadable", reason=str(fault), length=len(line))


def _row(cell: dict[str, str]) -> JournalRow:
    event = cell["EventType"]
    ours = event == "USER_DEFINED"
    extra = _details(cell["EventExtra"])
    if ours:
        extra = _pairs(extra.get("extra", ""))
    cause = int(extra["hangupcause"]) if extra.get("hangupcause", "").isdigit() else None
    status = extra.get("status") or extra.get("dialstatus") or ""
    return JournalRow(
        event=f"user.{cell['userdeftype']}" if ours else event,
        at=datetime.fromtimestamp(float(cell["EventTime"]), UTC),
        channel=cell["UniqueID"],
        channel_name=cell["ChanName"],
        linkedid=cell["LinkedID"],
        app=cell["AppName"],
        caller_name=cell["Name"],
        caller_number=cell["Num"],
        exten=cell["Exten"],
        cause=cause,
        disposition=dial_disposition(status) if status else cause_disposition(cause) if cause is not None else None,
        extra=extra,
    )


def _pairs(text: str) -> dict[str, str]:
    """`key=value;key=value` with percent-encoded values, as our dialplan writes them."""
    split = (pair.partition("=") for pair in text.split(";") if pair)
    return {key: unquote(value) for key, _, value in split}


def _details(text: str) -> dict[str, str]:
    """Asterisk's own details: a JSON object of texts and numbers; anything else counts as none."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        log.warning("journal_details_unreadable", length=len(text))
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}

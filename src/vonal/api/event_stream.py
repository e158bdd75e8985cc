"""Server-sent events (WHATWG HTML, section 9.2): a tenant's events from a position on, as they become known.

Everything is read from the store in pages, so a slow reader only lags. To a reader that gives none the stream names the
id it stands at first, and to everybody while nothing that is wanted happens: whoever is cut off, even before the first
event, resumes without a gap.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from litestar.types import Receive, Scope, Send

from vonal.calls.broadcast import Broadcast
from vonal.store import events as store
from vonal.store.database import Database
from vonal.store.events import Told
from vonal.webhooks.envelope import Setting
from vonal.webhooks.feed import Reader

PAGE = 100  # events
RETRY_MS = 2000  # after which the reader comes back
HEARTBEAT_SECONDS = 15.0  # proxies close what is silent for longer
LOOK_SECONDS = 1.0  # events may be written by another process, which cannot ring
HEADERS = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
_encode = msgspec.json.Encoder().encode


class Start(NamedTuple):
    """Behind which position, and which event's id, a reader begins; `known`: it has named that itself."""

    position: int
    id: str
    known: bool = False


class EventStream:
    """The ASGI answer, from `start` on; it ends when `draining`, or the reader is gone.

    Raises RateLimited, before anything is sent, when the tenant has too many streams.
    """

    def __init__(
        self,
        tenant_id: str,
        db: Database,
        *,
        broadcast: Broadcast,
        draining: Callable[[], bool],
        reader: Reader,
        setting: Setting,
        start: Start,
    ) -> None:
        self._tenant_id, self._db = tenant_id, db
        self._broadcast, self._draining = broadcast, draining
        self._reader, self._setting = reader, setting
        self._position, self._id, self._is_known = start

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        with self._broadcast.listen(self._tenant_id) as bell:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await _first_of(self._send_all(send, bell), _disconnected(receive), self._overdue())

    async def _send_all(self, send: Send, bell: asyncio.Event) -> None:
        here = "" if self._is_known else f"id: {self._id}\n"
        await _write(send, f"retry: {RETRY_MS}\n{here}\n".encode())
        wrote, named = time.monotonic(), self._id
        while True:
            bell.clear()
            ending = self._draining()  # asked before reading: what was stored until then is still told
            page = await self._db.read(partial(store.after, self._tenant_id, position=self._position, limit=PAGE))
            if text := self._told(page):
                await _write(send, text)
                wrote, named = time.monotonic(), self._id
            if len(page) == PAGE:
                continue
            if ending:
                break
            if time.monotonic() - wrote >= HEARTBEAT_SECONDS:
                await _write(send, b":\n\n" if named == self._id else f"id: {self._id}\n\n".encode())
                wrote, named = time.monotonic(), self._id
            await _rung(bell)
        await _write(send, b"" if named == self._id else f"id: {self._id}\n\n".encode(), more=False)

    def _told(self, page: Sequence[Told]) -> bytes:
        """The events of the page that the reader wants, and where it stands after them."""
        wanted = [one.event for one in page if self._reader.wants(one.event)]
        if page:
            self._position, self._id = page[-1].position, page[-1].event.id
        text = b"".join(
            b"id: %b\nevent: %b\ndata: %b\n\n"
            % (one.id.encode(), one.type.encode(), _encode(self._reader.envelope(one, self._setting)))
            for one in wanted
        )
        if wanted and wanted[-1].id != self._id:
            text += f"id: {self._id}\n\n".encode()
        return text

    async def _overdue(self) -> None:
        """Returns when the service is being stopped, and the reader had time to take what there was."""
        while not self._draining():  # noqa: ASYNC110 - asked, so that nobody needs to know who reads
            await asyncio.sleep(LOOK_SECONDS)
        await asyncio.sleep(2 * LOOK_SECONDS)


async def _write(send: Send, text: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": more})


async def _rung(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await bell.wait()
    except TimeoutError:
        return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(*works: Awaitable[Any]) -> None:
    """Waits for the first of these to end, cancels the others; raises what it raised."""
    tasks = [asyncio.ensure_future(one) for one in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()

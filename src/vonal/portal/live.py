"""Calls under way: a page that is told by server-sent events, for as long as its session lasts."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from litestar import Response
from litestar.types import ASGIApp, Receive, Scope, Send

from vonal.domain.call import Call
from vonal.portal import own_calls
from vonal.portal.asked import Asked
from vonal.portal.call_page import may_hang_up
from vonal.portal.page import HEADERS, page, rendered
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import calls
from vonal.store.database import Database

LOOK_SECONDS = 1.0  # calls may be changed by another process, which cannot ring
SESSION_SECONDS = 15.0  # so often is asked whether the viewer is still signed in; also the heartbeat
SHARED_SECONDS = 0.25  # so long everybody who watches a tenant is shown what was read for the first
RETRY_MS = 2000
_STREAM = {**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _Shared:
    """A tenant's calls as they were read a moment ago."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._read_at = 0.0
        self._calls: list[Call] = []

    async def read(self, db: Database, tenant_id: str) -> list[Call]:
        async with self._lock:
            if time.monotonic() - self._read_at > SHARED_SECONDS:
                began = time.monotonic()
                self._calls = await db.read(partial(calls.under_way, tenant_id))
                self._read_at = began
        return self._calls


_shared: WeakKeyDictionary[Database, dict[str, _Shared]] = WeakKeyDictionary()


async def under_way(portal: Portal, asked: Asked) -> list[Call]:
    """The calls under way that the viewer may see, the oldest first."""
    tenant_id = asked.tenant.id
    found = await _shared.setdefault(portal.db, {}).setdefault(tenant_id, _Shared()).read(portal.db, tenant_id)
    return [call for call in reversed(found) if own_calls.may_see(asked.me, call)]


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """The page."""
    given = _given(asked, await under_way(portal, asked))
    return page(asked, "live/rows.html" if asked.is_fragment else "live/page.html", **given)


async def stream(portal: Portal, asked: Asked) -> ASGIApp:
    """Its rows, now and whenever something changes."""
    return _Stream(portal, asked)


def _given(asked: Asked, found: list[Call]) -> dict[str, Any]:
    return {
        "calls": found,
        "hangable": {call.id for call in found if may_hang_up(asked, call)},
        "names": {one.number: one.name for one in asked.tenant.extensions},
        "now": datetime.now(UTC),
    }


class _Stream:
    """The ASGI answer. Raises RateLimited, before anything is sent, when too many people watch."""

    def __init__(self, portal: Portal, asked: Asked) -> None:
        self._portal, self._asked = portal, asked

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        with self._portal.broadcast.watch(self._asked.tenant.id) as bell:
            headers = [(name.lower().encode(), value.encode()) for name, value in _STREAM.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            telling = asyncio.ensure_future(self._tell(send, bell))
            leaving = asyncio.ensure_future(_disconnected(receive))
            try:
                await asyncio.wait([telling, leaving], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, leaving):
                    task.cancel()
                await asyncio.gather(telling, leaving, return_exceptions=True)

    async def _tell(self, send: Send, bell: asyncio.Event) -> None:
        await _write(send, f"retry: {RETRY_MS}\n\n".encode())
        shown: list[Call] | None = None
        asked_at = time.monotonic()
        while not self._portal.draining():
            bell.clear()
            found = await under_way(self._portal, self._asked)
            if found != shown:
                await _write(
                    send, _event("calls", rendered(self._asked, "live/rows.html", **_given(self._asked, found)))
                )
                shown = found
            if time.monotonic() - asked_at > SESSION_SECONDS:
                asked_at = time.monotonic()
                if not await self._may_go_on():
                    break
                await _write(send, b":\n\n")
            await _rung(bell)
        await send({"type": "http.response.body", "body": _event("over", "over"), "more_body": False})

    async def _may_go_on(self) -> bool:
        """The session lasts, and looks at this tenant with the rights that it had."""
        me = self._asked.me
        now = await self._portal.sessions.lasting(me.signed_in.token)
        if now is None or now.session.tenant_id != self._asked.tenant.id or now.session.passed != "all":
            return False
        return now.user.in_tenant(self._asked.tenant.id) == me.user.in_tenant(self._asked.tenant.id) and (
            now.user.operator or not me.acting
        )


def _event(name: str, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})


async def _rung(bell: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await bell.wait()
        await asyncio.sleep(SHARED_SECONDS)  # what changes together is shown together
    except TimeoutError:
        return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES = (
    Route(path="/live", handler=show, needs="member"),
    Route(path="/live/stream", handler=stream, needs="member"),
)

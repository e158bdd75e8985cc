"""A CRM's end of a webhook: collects requests, and answers as the test says."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web


@dataclass(frozen=True, kw_only=True)
class Got:
    """A request as it came over the wire.

    `path_qs`: path and query, still encoded. `peer`: the common name in the client's certificate, if it showed one.
    """

    method: str
    path: str
    path_qs: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    at: float
    peer: str | None = None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How to answer: after `delay` seconds with `status`, or in one of the ways that break HTTP.

    `broken`: "hang" never answers, "garbage" sends no HTTP, "close" closes without a word, "endless" a body without
    end, "drip" one that comes too slowly.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    broken: str = ""


OK = Answer()
Script = Callable[[Got], Answer]


class Receiver:
    """Listens on a free port of 127.0.0.1; `answer` with one Answer for all, or a function of the request."""

    def __init__(self) -> None:
        self.requests: list[Got] = []
        self.port = 0
        self._script: Script = lambda _: OK
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def answer(self, script: Answer | Script) -> None:
        """Sets how the next requests are answered."""
        self._script = (lambda _: script) if isinstance(script, Answer) else script

    def answer_in_turn(self, *answers: Answer) -> None:
        """Each request gets the next answer; the last one stays."""
        left = list(answers)
        self._script = lambda _: left.pop(0) if len(left) > 1 else left[0]

    async def until(self, condition: Callable[[list[Got]], Any], timeout: float = 20.0) -> None:
        """Waits until the condition on all requests holds."""
        async with asyncio.timeout(timeout), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.requests))

    async def got(self, count: int, timeout: float = 20.0) -> list[Got]:
        """Waits until so many requests have come."""
        await self.until(lambda requests: len(requests) >= count, timeout)
        return self.requests

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        got = Got(
            method=request.method,
            path=request.path,
            path_qs=request.raw_path,
            query=list(request.query.items()),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
            at=asyncio.get_running_loop().time(),
            peer=_common_name(request.get_extra_info("peercert")),
        )
        answer = self._script(got)
        async with self._arrived:
            self.requests.append(got)
            self._arrived.notify_all()
        if answer.delay:
            await self._closed_within(answer.delay)
        return await self._broken(request, answer) if answer.broken else _response(answer)

    async def _broken(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        if answer.broken == "hang":
            await self._closed_within(3600)
        elif answer.broken == "garbage":
            transport.write(b"\x00\xff this is no HTTP \r\n\r\n")
            transport.close()
        elif answer.broken == "close":
            transport.close()
        else:
            await self._stream(request, answer)
        return _response(answer)

    async def _stream(self, request: web.Request, answer: Answer) -> None:
        response = web.StreamResponse(status=answer.status)
        await response.prepare(request)
        while not self._closing.is_set():
            await response.write(b"x" * (16_384 if answer.broken == "endless" else 1))
            if answer.broken == "drip":
                await self._closed_within(0.1)

    async def _closed_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass


def _common_name(certificate: Any) -> str | None:
    subject = dict(pair for (pair,) in certificate["subject"]) if certificate else {}
    return subject.get("commonName")


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


@asynccontextmanager
async def receiving(*, ssl_context: Any = None) -> AsyncIterator[Receiver]:
    """A receiver that listens while the context is open."""
    receiver = Receiver()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        receiver._closing.set()
        await runner.cleanup()


@contextmanager
def receiving_aside() -> Iterator[Receiver]:
    """A receiver in a thread of its own, for tests that have no loop."""
    ready, stop = threading.Event(), threading.Event()
    opened: list[Receiver] = []

    async def serve() -> None:
        async with receiving() as receiver:
            opened.append(receiver)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield opened[0]
    stop.set()
    thread.join(10)

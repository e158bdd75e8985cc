"""The CRM's little web server: its page, its buttons, and the address that Vonal's webhooks come to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from vonal.cli.demo.crm.book import Book
from vonal.cli.demo.crm.vonal import Refused, Vonal

STATIC = Path(__file__).parent / "static"
ROW = 100  # calls fetched at the start
LOOK_SECONDS = 2.0
LISTENER_BACKLOG = 200
CHUNK = 64 * 1024
_PASSED_ON = ("Range", "If-Range", "If-None-Match")
_PASSED_BACK = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Content-Disposition")
_SAFE = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Customer(Protocol):
    """A customer in the CRM's files; a dataclass."""

    @property
    def id(self) -> str: ...
    @property
    def number(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def company(self) -> str: ...
    @property
    def note(self) -> str: ...


Who = TypeVar("Who", bound=Customer)


@dataclass(frozen=True, kw_only=True)
class Softphone:
    """How a real phone registers: any of `servers` (ADDRESS:PORT), and which extension it then is."""

    servers: list[str]
    user: str
    password: str
    extension: str


class Crm:
    """`call_me(customer, extension)` makes the customer call; in real life they do that by themselves."""

    def __init__(
        self,
        vonal: Vonal,
        customers: Sequence[Who],
        *,
        signing_key: str,
        call_me: Callable[[Who, str], Awaitable[None]],
        softphone: Softphone,
    ) -> None:
        self._vonal = vonal
        self._customers = {one.id: one for one in customers}
        self._verified = Webhook(signing_key).verify
        self._call_me = call_me
        self._softphone = softphone
        self._book = Book(list(customers))
        self._agents: list[dict[str, Any]] = []
        self._listeners: set[asyncio.Queue[bytes | None]] = set()

    async def remember(self) -> None:
        """Fetches the calls of earlier days."""
        for data in await self._vonal.calls(ROW):
            self._book.take(data, sequence=None)
        self._tell("all", self._everything())

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_careful])
        app.add_routes(
            [
                web.get("/", _page),
                web.static("/static", STATIC),
                web.get("/events", self._events),
                web.get("/sound/{id}", self._sound),
                web.post("/call", self._click),
                web.post("/call-me", self._be_called),
                web.post("/hang-up", self._hang_up),
                web.post("/hooks/vonal", self._hook),
            ]
        )
        app.on_startup.append(self._start)
        app.on_shutdown.append(self._stop)
        return app

    # --- from Vonal --------------------------------------------------------------------------------------------------

    async def _hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._verified(body, {name.lower(): value for name, value in request.headers.items()})
        except WebhookVerificationError:
            return web.Response(status=HTTPStatus.UNAUTHORIZED, text="This is not signed with the key we agreed on.")
        envelope = msgspec.json.decode(body)
        if "call" in envelope["data"]:
            self._take(envelope["data"], sequence=envelope["sequence"])
        return web.Response(status=HTTPStatus.NO_CONTENT)

    def _take(self, data: dict[str, Any], *, sequence: int | None) -> None:
        if call := self._book.take(data, sequence=sequence):
            self._tell("call", call)

    # --- from the page -----------------------------------------------------------------------------------------------

    async def _click(self, request: web.Request) -> web.Response:
        asked = await request.json()
        answer = await self._vonal.click_to_call(str(asked["extension"]), str(asked["number"]))
        self._take(await self._vonal.call(answer["call_id"]), sequence=None)  # the customer's phone is ringing now
        return web.json_response({})

    async def _be_called(self, request: web.Request) -> web.Response:
        asked = await request.json()
        customer = self._customers.get(asked["customer"])
        if customer is None:
            raise web.HTTPNotFound
        await self._call_me(customer, str(asked["extension"]))
        return web.json_response({})

    async def _hang_up(self, request: web.Request) -> web.Response:
        await self._vonal.hang_up(str((await request.json())["id"]))
        return web.json_response({})

    async def _sound(self, request: web.Request) -> web.StreamResponse:
        asked = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        async with await self._vonal.recording(request.match_info["id"], asked) as sound:
            headers = {name: sound.headers[name] for name in _PASSED_BACK if name in sound.headers}
            answer = web.StreamResponse(status=sound.status, headers=headers)
            await answer.prepare(request)
            async for piece in sound.content.iter_chunked(CHUNK):
                await answer.write(piece)
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await answer.prepare(request)
        mine: asyncio.Queue[bytes | None] = asyncio.Queue(LISTENER_BACKLOG)
        mine.put_nowait(_event("all", self._everything()))
        self._listeners.add(mine)
        try:
            while (piece := await mine.get()) is not None:
                await answer.write(piece)
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._listeners.discard(mine)
        return answer

    # --- to the page -------------------------------------------------------------------------------------------------

    def _everything(self) -> dict[str, Any]:
        public = ("id", "name", "company", "number", "note")
        return {
            "customers": [{name: getattr(one, name) for name in public} for one in self._customers.values()],
            "agents": self._agents,
            "softphone": asdict(self._softphone),
            "calls": self._book.shown(),
        }

    def _tell(self, name: str, value: Any) -> None:
        for listener in list(self._listeners):
            try:
                listener.put_nowait(_event(name, value))
            except asyncio.QueueFull:  # it comes back, and is then told everything
                self._listeners.discard(listener)

    async def _start(self, _app: web.Application) -> None:
        self._looking = asyncio.create_task(self._look())

    async def _stop(self, _app: web.Application) -> None:
        self._looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._looking
        for listener in self._listeners:
            listener.put_nowait(None)

    async def _look(self) -> None:
        """Keeps the page's list of agents true, as long as somebody looks at it."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._listeners:
                continue
            with contextlib.suppress(Refused):
                agents = await self._vonal.extensions()
                if agents != self._agents:
                    self._agents = agents
                    self._tell("agents", agents)


@asynccontextmanager
async def serving(crm: Crm, host: str, port: int) -> AsyncIterator[None]:
    """The CRM answers at this address."""
    runner = web.AppRunner(crm.application(), shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


@web.middleware
async def _careful(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    """Other sites' pages cannot press our buttons: a browser sends them JSON only after asking us, and we say no."""
    button = request.method == "POST" and not request.path.startswith("/hooks/")
    if button and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    try:
        answer = await handler(request)
    except Refused as refused:
        answer = web.json_response({"detail": str(refused)}, status=refused.status)
    except (KeyError, TypeError, ValueError) as fault:
        raise web.HTTPBadRequest from fault
    if not answer.prepared:
        answer.headers.update(_SAFE)
    return answer


async def _page(_request: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "page.html")


def _event(name: str, value: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))

"""The world outside our PBX, played by a second Asterisk: carriers with their customers, and the agents' phones.

Made from the directory that our PBX is configured from, so each trunk finds its carrier and each extension its phone.
It speaks SIP and RTP with our PBX, and nothing else. `vonal demo` and the live tests use it:

    async with Simulator(directory, folder=folder, binary=binary, pbx="127.0.0.1:5060") as outside:
        outside.phone("acme-101").behaviour = answer(440, after=2.0)
        call = await outside.carrier("carrier").call_in("+3612345678", from_number="06305550123", sound=880)
        await call.answered.wait()
"""

import asyncio
import contextlib
import secrets
import socket
from base64 import b64encode
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import aiohttp
import structlog

from vonal.domain.directory import Directory
from vonal.telephony import simulator_conf
from vonal.telephony.binary import AsteriskBinary
from vonal.telephony.engine import FOLDERS, Engine, asterisk_conf
from vonal.telephony.simulator_call import Behaviour, Call, Said
from vonal.telephony.simulator_conf import APP, Place, phone_name
from vonal.telephony.simulator_party import Carrier, Party, Phone

_EVENTS = [
    "StasisStart",
    "ChannelStateChange",
    "ChannelDestroyed",
    "ChannelHold",
    "ChannelUnhold",
    "ChannelDtmfReceived",
    "Dial",
]
PLACED_SECONDS = 10
_GONE = (404, 409, 412)  # no such channel, not in our hands, not in the right state: it ended in between

log = structlog.get_logger(__name__)


class Simulator:
    """Runs the second Asterisk and tells its channels what to do. Several work side by side on one machine.

    `pbx` is our PBX's SIP address, `HOST:PORT`; `folder` holds everything the second Asterisk writes.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        folder: Path,
        binary: AsteriskBinary,
        pbx: str,
        rtp_ports: tuple[int, int] = (26000, 30000),
    ) -> None:
        self.pbx = pbx
        self.heard_folder = folder / "spool" / "monitor"
        self._place = Place(
            pbx=pbx,
            phones=f"127.0.0.1:{_free_port(socket.SOCK_DGRAM)}",
            ari_port=_free_port(socket.SOCK_STREAM),
            ari_password=secrets.token_urlsafe(24),
            rtp_ports=rtp_ports,
            modules=binary.modules,
        )
        self._files = simulator_conf.render(directory, self._place)
        self.engine = Engine(
            binary, folder, ari_port=self._place.ari_port, ari_password=self._place.ari_password, ari_user=APP
        )
        self._carriers = {simulator_conf.carrier_name(one.id): Carrier(self, one) for one in directory.trunks}
        named = [(phone_name(tenant.id, one.number), one) for tenant in directory.tenants for one in tenant.extensions]
        self._phones = {name: Phone(self, name, registers=one.contact is None) for name, one in named}
        self._parties: dict[str, Party] = {**self._phones, **self._carriers}
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = contextlib.AsyncExitStack()

    def phone(self, name: str) -> Phone:
        """The phone `TENANT-EXTENSION`. Raises KeyError when there is none."""
        return self._phones[name]

    def carrier(self, name: str) -> Carrier:
        """The carrier at the other end of a trunk. Raises KeyError when there is none."""
        return self._carriers[simulator_conf.carrier_name(name)]

    @property
    def calls(self) -> list[Call]:
        """All calls that are up or ringing now, each by the end that is outside."""
        return list(self._calls.values())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the second Asterisk, anew if an old one is left, and begins to serve its calls.

        Raises EngineUnavailable when it cannot run.
        """
        await self.engine.stop(grace=0.5)
        for name in FOLDERS:
            (self.engine.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        files = {**self._files, "asterisk.conf": asterisk_conf(self.engine.binary, self.engine.folder)}
        for name, text in files.items():
            (self.engine.folder / "etc" / name).write_text(text, encoding="utf-8")
        await self.engine.ensure_running()
        self._open.push_async_callback(self.engine.stop, grace=3)  # time for its phones to say goodbye
        await self._serve()

    async def stop(self) -> None:
        """Ends the second Asterisk and with it all its calls."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._open.aclose()

    async def registered(self) -> None:
        """Waits until our PBX has accepted all phones that register."""
        await asyncio.gather(*(phone.registered() for phone in self._phones.values() if phone.registers))

    async def dial(
        self,
        party: Party,
        target: str,
        *,
        called: str,
        said: Said,
        headers: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> Call:
        """`party` calls `target` (Asterisk's dial string); for Phone and Carrier, who know how to write it.

        Raises TimeoutError when the second Asterisk does not do it.
        """
        call = Call(id=f"out-{secrets.token_hex(8)}", ari=self.ari, incoming=False, called=called, said=said)
        self._calls[call.id] = call
        party.calls.append(call)
        added = {f"PJSIP_HEADER(add,{name})": value for name, value in (headers or {}).items()}
        await self.ari(
            "POST",
            "channels/create",
            {"variables": {**(variables or {}), **added}},
            endpoint=target,
            app=APP,
            appArgs="out",
            channelId=call.id,
        )
        async with asyncio.timeout(PLACED_SECONDS):
            await call.back.get()  # until it has entered Stasis, Asterisk answers 409
            await self.ari("POST", f"channels/{call.id}/dial", timeout="3600")
            await call.placed.wait()
        return call

    async def command(self, text: str) -> str:
        """Says `text` on the second Asterisk's command line; its answer."""
        return await self.engine.command(text) or ""

    async def ari(self, method: str, path: str, body: dict[str, Any] | None = None, /, **query: str) -> Any:
        """One ARI request; the JSON answer, or None when it is empty or the channel is gone."""
        url = f"{self._place.ari}/{path}"
        async with self._session.request(method, url, params=query, json=body) as answer:
            if answer.status in _GONE and path.startswith(("channels/", "playbacks/")):
                return None
            if not answer.ok:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json() if answer.content_type == "application/json" else None

    async def _serve(self) -> None:
        credentials = b64encode(f"{APP}:{self._place.ari_password}".encode()).decode()
        self._session = await self._open.enter_async_context(
            aiohttp.ClientSession(
                headers={"Authorization": f"Basic {credentials}"}, timeout=aiohttp.ClientTimeout(total=30)
            )
        )
        events = await self._open.enter_async_context(
            self._session.ws_connect(f"{self._place.ari}/events", params={"app": APP})
        )
        allowed = [{"type": name} for name in _EVENTS]
        await self.ari("PUT", f"applications/{APP}/eventFilter", {"allowed": allowed})
        await self.ari("POST", f"applications/{APP}/subscription", eventSource="channel:")
        self._spawn(self._take_all(events))

    async def _take_all(self, events: aiohttp.ClientWebSocketResponse) -> None:
        async for message in events:
            self._take(message.json())
        log.error("the simulated outside world is gone", calls=len(self._calls))
        for call in self.calls:
            self._end(call, {})

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        channel = event["peer"] if kind == "Dial" else event["channel"]
        if kind == "StasisStart" and event["args"][0] == "in":
            self._call_in(channel, event["args"][1:])
        elif (call := self._calls.get(channel["id"])) is None:
            return
        elif kind == "ChannelStateChange":
            self._changed(call, channel["state"])
        elif kind == "ChannelDestroyed":
            self._end(call, event)
        elif kind == "Dial":
            call.placed.set()
        elif kind == "StasisStart":
            call.back.put_nowait(event["args"][1] if len(event["args"]) > 1 else "")
        elif kind == "ChannelDtmfReceived":
            call.digits += event["digit"]
        else:
            call.held = {"ChannelHold": True, "ChannelUnhold": False}.get(kind, call.held)

    def _call_in(self, channel: dict[str, Any], seen: list[str]) -> None:
        party = self._parties[seen[0]]
        called, *headers = map(unquote, seen[1:])
        caller = channel["caller"]
        call = Call(id=channel["id"], ari=self.ari, incoming=True, called=called)
        call.number, call.name, call.headers = caller["number"], caller["name"], simulator_conf.headers_seen(headers)
        self._calls[call.id] = call
        party.take(call)
        self._spawn(_behave(call, party.behaviour_for(called)))

    def _changed(self, call: Call, state: str) -> None:
        if state == "Ringing":
            call.ringing.set()
        elif state == "Up" and not call.answered.is_set():
            call.answered.set()
            self._spawn(_talk(call))

    def _end(self, call: Call, event: dict[str, Any]) -> None:
        call.cause, call.sip_code = event.get("cause"), event.get("tech_cause")
        del self._calls[call.id]
        call.placed.set()
        call.ended.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            log.error("a simulated party failed", reason=repr(fault), exc_info=fault)


async def _behave(call: Call, behaviour: Behaviour) -> None:
    if behaviour.after != 0:
        await call.ring()
    if behaviour.after is None or not await _goes_on(call, behaviour.after):
        return
    if behaviour.answers:
        call.said = behaviour.said
        await call.answer()
    else:
        await call.hang_up(behaviour.cause)


async def _talk(call: Call) -> None:
    talk = call.said.talk
    await call.play(call.said.sound)
    if talk is not None and await _goes_on(call, talk):
        await call.hang_up()


async def _goes_on(call: Call, seconds: float) -> bool:
    """Whether the call is still there after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await call.ended.wait()
    return not call.ended.is_set()


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

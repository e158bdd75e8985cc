"""A CRM that fails in every way that a server can, and remembers in a few bytes what it has taken."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
FAILS = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
PROMISES = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
TAKEN = frozenset({"", "drip", "cut", "endless"})  # the ways in which it says 200 before it goes astray


@dataclass(frozen=True, slots=True)
class Told:
    """An event that the CRM has answered with 200, when it came first. `recordings`: their states."""

    event: str
    call: str
    type: str
    sequence: int
    at: float
    recordings: tuple[str, ...]


@dataclass
class Crm:
    """`mode`: how it answers (see `plan.KINDS`, after the dot); `told`: what it has taken, each event once."""

    port: int
    mode: str = ""
    told: dict[str, Told] = field(default_factory=dict)
    requests: int = 0
    refused: int = 0
    duplicates: int = 0
    backwards: list[Told] = field(default_factory=list)
    _last: dict[str, int] = field(default_factory=dict)
    _connections: set["_Connection"] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def up(self) -> None:
        """Listens, and answers."""
        self.mode = ""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)

    async def down(self) -> None:
        """As if killed: nobody listens, and every connection is reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.let_go()

    def let_go(self) -> None:
        """Ends what it has begun and not finished."""
        for one in list(self._connections):
            one.transport.abort()

    def take(self, body: bytes) -> bool:
        """Whether it was taken."""
        self.requests += 1
        if self.mode not in TAKEN:
            self.refused += 1
            return False
        told = _read(json.loads(body))
        if told.event in self.told:
            self.duplicates += 1
            return True
        self.told[told.event] = told
        if told.sequence <= self._last.get(told.call, -1):
            self.backwards.append(told)
        self._last[told.call] = told.sequence
        return True

    def completed(self) -> dict[str, list[Told]]:
        """The records by call."""
        found: dict[str, list[Told]] = {}
        for one in self.told.values():
            if one.type == "call.completed":
                found.setdefault(one.call, []).append(one)
        return found


def _read(envelope: Any) -> Told:
    data = envelope["data"]
    states = tuple(one["state"] for one in data.get("recordings") or [])
    return Told(envelope["id"], data["call"]["id"], envelope["type"], envelope["sequence"], time.time(), states)


class _Connection(asyncio.Protocol):
    def __init__(self, crm: Crm) -> None:
        self._crm = crm
        self._got = b""
        self._more: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._crm._connections.add(self)

    def connection_lost(self, _fault: Exception | None) -> None:
        self._crm._connections.discard(self)
        if self._more:
            self._more.cancel()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or len(body) < int(length[1] if length else 0):
            return
        self._got = b""
        mode = self._crm.mode
        self._crm.take(body)
        self._answer(mode)

    def _answer(self, mode: str) -> None:
        if mode in ("", "500"):
            self.transport.write(FAILS if mode else OK)
        elif mode == "garbage":
            self.transport.write(b"\x00\xff this is no HTTP \r\n\r\n")
            self.transport.close()
        elif mode == "cut":
            self.transport.write(PROMISES + b"x")
            self.transport.close()
        elif mode in ("drip", "endless"):
            self.transport.write(PROMISES if mode == "drip" else OK.replace(b"Length: 0", b"Length: 99999999999"))
            self._more = asyncio.create_task(self._go_on(1 if mode == "drip" else 16_384))

    async def _go_on(self, size: int) -> None:
        while True:
            self.transport.write(b"x" * size)
            await asyncio.sleep(0.1)

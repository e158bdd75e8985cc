"""Where webhooks lead: a process of its own that notes when each request came, and answers as its path says.

    /ok/…   200                 /500/…     500
    /slow/… 200, a second later /endless/… 200 and a body without end, as fast as it is read
    /hang/… no answer           /drip/…    200 and a body without end, a byte now and then

`GET /count` tells how many came; `GET /take` answers [monotonic ns, webhook-id] of each, in order, and forgets them.
"""

import asyncio
import gc
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
WITHOUT_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
PIECE = b"x" * 16384
DRIP_SECONDS = 0.2
SLOW_SECONDS = 1.0


class Sink:
    """The process, and what it is asked."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, Path(__file__)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *failure: object) -> None:
        self._process.kill()
        self._process.wait()


def count(port: int) -> int:
    """How many requests came since `take`."""
    return int(_get(port, "count"))


def take(port: int) -> dict[str, int]:
    """When each id came first (monotonic ns); the sink forgets them."""
    came: dict[str, int] = {}
    for at, event_id in json.loads(_get(port, "take")):
        came.setdefault(event_id, at)
    return came


async def until(port: int, wanted: int, *, patience: float, every: float = 0.03) -> int:
    """Waits for so many requests; gives up when none has come for `patience` seconds. Returns how many there are."""
    there, quiet_since = -1, time.monotonic()
    while (now_there := await asyncio.to_thread(count, port)) < wanted:
        if now_there != there:
            there, quiet_since = now_there, time.monotonic()
        elif time.monotonic() - quiet_since > patience:
            return there
        await asyncio.sleep(every)
    return now_there


def _get(port: int, what: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}") as answer:
        return bytes(answer.read())


# --- the process -----------------------------------------------------------------------------------------------------

came: list[tuple[int, bytes]] = []


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.got, self.began, self.paused = b"", 0, False

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.paused = True

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self._pour()

    def data_received(self, data: bytes) -> None:
        self.began = self.began or time.monotonic_ns()
        if self.got:
            data = self.got + data
        end = data.find(b"\r\n\r\n")
        head = data[:end].lower()
        if end < 0 or len(data) < end + 4 + int(_header(head, b"\r\ncontent-length:") or b"0"):
            self.got = data
            return
        at, self.got, self.began = self.began, b"", 0
        if head.startswith(b"get "):
            self._ask(head[5:].partition(b" ")[0])
        else:
            came.append((at, _header(head, b"\r\nwebhook-id:")))
            self._answer(head[6 : head.find(b"/", 6)])

    def _answer(self, mode: bytes) -> None:
        loop = asyncio.get_running_loop()
        if mode == b"ok":
            self.transport.write(OK)
        elif mode == b"500":
            self.transport.write(BROKEN)
        elif mode == b"slow":
            loop.call_later(SLOW_SECONDS, self.transport.write, OK)
        elif mode == b"endless":
            self.transport.write(WITHOUT_END)
            self._pour()
        elif mode == b"drip":
            self.transport.write(WITHOUT_END)
            self._drip()

    def _pour(self) -> None:
        if not self.paused:
            self.transport.write(PIECE)
            asyncio.get_running_loop().call_soon(self._pour)

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"x")
            asyncio.get_running_loop().call_later(DRIP_SECONDS, self._drip)

    def _ask(self, what: bytes) -> None:
        told = b"%d" % len(came)
        if what == b"take":
            told = json.dumps([(at, name.decode()) for at, name in came]).encode()
            came.clear()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))


def _header(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    if start < 0:
        return b""
    end = head.find(b"\r\n", start + 2)
    return head[start + len(name) : end if end >= 0 else None].strip()


async def main() -> None:
    gc.disable()
    server = await asyncio.get_running_loop().create_server(Connection, "0.0.0.0", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())

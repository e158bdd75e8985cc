"""A server that answers bytes as a test writes them, HTTP or not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One client. `heads`: what it has asked so far, each with its body."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heads: list[str] = field(default_factory=list)

    async def request(self) -> str:
        """Waits for the next request. Raises IncompleteReadError when the client hangs up."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = [line for line in head.lower().splitlines() if line.startswith("content-length:")]
        body = await self.reader.readexactly(int(length[0].partition(":")[2])) if length else b""
        self.heads.append(head + body.decode("latin-1"))
        return self.heads[-1]

    async def say(self, text: str | bytes) -> None:
        """Sends this. Raises ConnectionError when nobody listens any more."""
        self.writer.write(text.encode("latin-1") if isinstance(text, str) else text)
        await self.writer.drain()


@dataclass
class RawServer:
    """`connections`: all that were opened; `port` is the same on every address it listens on."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def heads(self) -> list[str]:
        """All requests, by connection."""
        return [head for one in self.connections for head in one.heads]


@asynccontextmanager
async def serving(
    behave: Callable[[Connection], Awaitable[None]], *hosts: str, port: int = 0
) -> AsyncIterator[RawServer]:
    """A server on 127.0.0.1, or these addresses, that treats each connection so, and then closes it."""
    here = RawServer()
    tasks: set[asyncio.Task[None]] = set()

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        connection = Connection(len(here.connections), reader, writer)
        here.connections.append(connection)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await behave(connection)
        writer.close()

    servers = []
    for host in hosts or ("127.0.0.1",):
        servers.append(await asyncio.start_server(treat, host, here.port or port, limit=2**22))
        here.port = servers[-1].sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        for task in tasks:
            task.cancel()
        for server in servers:
            server.close()

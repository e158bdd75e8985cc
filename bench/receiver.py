"""The CRM: notes when each request's first byte came (monotonic s), and says 200. A process of its own.

Prints its port. `GET /taken` answers [time, event, caller's number] of what came since it was last asked.
"""

import asyncio
import gc
import json
import re
import time
from typing import Any

NUMBER = re.compile(rb"\+3630\d{7}")
EVENT = re.compile(rb"x-vonal-event: *([a-z_.]+)", re.IGNORECASE)
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
taken: list[tuple[float, bytes]] = []


class Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.got, self.began = b"", 0.0

    def data_received(self, data: bytes) -> None:
        self.began = self.began or time.monotonic()
        self.got += data
        head, found, body = self.got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or len(body) < int(length[1] if length else 0):
            return
        if self.got.startswith(b"GET /taken"):
            told = json.dumps([_read(*one) for one in taken]).encode()
            taken.clear()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
        else:
            taken.append((self.began, self.got))
            self.transport.write(OK)
        self.got, self.began = b"", 0.0


def _read(at: float, request: bytes) -> tuple[float, str, str]:
    event, number = EVENT.search(request), NUMBER.search(request)
    return at, event[1].decode() if event else "", number[0].decode() if number else ""


async def main() -> None:
    gc.disable()
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())

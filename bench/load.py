"""The load: a carrier that sends calls over UDP at a fixed rate, and the phone that they ring. SIP only, no sound.

Each call has a caller's number of its own, by which its request at the CRM is known again. The phone rings at once and
answers after a while; the caller hangs up after another.
"""

import asyncio
import re
import socket
import time
from dataclasses import dataclass, field
from typing import Any

ANSWER_AFTER = 0.5
TALK = 1.0
HEADERS = re.compile(rb"^([A-Za-z-]+)\s*:\s*(.*?)\r?$", re.MULTILINE)
SOUND = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"


def caller(call: int) -> str:
    """The number of the one who calls: a Hungarian mobile."""
    return f"+3630{call:07d}"


@dataclass
class Sent:
    """Calls by their callers' numbers: when the INVITE left (monotonic s), and which of them ended as they should."""

    at: dict[str, float] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


class Phone(asyncio.DatagramProtocol):
    """Rings at once, answers after ANSWER_AFTER; says 200 to all else."""

    def __init__(self) -> None:
        self.transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.known: set[bytes] = set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.startswith((b"SIP/2.0", b"ACK")):
            return
        if not data.startswith(b"INVITE"):
            self.transport.sendto(_answer(data, "200 OK", self.transport), addr)
        elif (call := _header(data, b"call-id")) not in self.known:
            self.known.add(call)
            self.transport.sendto(_answer(data, "180 Ringing", self.transport), addr)
            ok = _answer(data, "200 OK", self.transport, SOUND)
            asyncio.get_running_loop().call_later(ANSWER_AFTER, self.transport.sendto, ok, addr)


class Carrier(asyncio.DatagramProtocol):
    """Calls a number; hangs up TALK seconds after the answer."""

    def __init__(self, pbx: tuple[str, int]) -> None:
        self.pbx = pbx
        self.sent = Sent()
        self.talking: set[str] = set()
        self.transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def call(self, number: str, by: str) -> None:
        """Sends the INVITE now."""
        invite = self._request("INVITE", number, by, "", SOUND)
        self.sent.at[by] = time.monotonic()
        self.transport.sendto(invite, self.pbx)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.startswith(b"SIP/2.0"):
            self.transport.sendto(_answer(data, "200 OK", self.transport), addr)
            return
        status, by = int(data[8:11]), _header(data, b"call-id").decode().partition("@")[0]
        method = _header(data, b"cseq").split()[1]
        if method == b"BYE" and status == 200:
            self.sent.ended.add(by)
        elif method == b"INVITE" and status >= 200:
            number, to = re.search(rb"<sip:([^@]+)@", _header(data, b"to"))[1].decode(), _header(data, b"to").decode()  # type: ignore[index]
            self.transport.sendto(self._request("ACK", number, by, to, ""), addr)
            if status == 200 and by not in self.talking:
                self.talking.add(by)
                bye = self._request("BYE", number, by, to, "")
                asyncio.get_running_loop().call_later(TALK, self.transport.sendto, bye, addr)

    def _request(self, method: str, number: str, by: str, to: str, body: str) -> bytes:
        host, port = self.transport.get_extra_info("sockname")
        pbx = f"{self.pbx[0]}:{self.pbx[1]}"
        lines = [
            f"{method} sip:{number}@{pbx} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{method}{by[1:]}",
            "Max-Forwards: 70",
            f"From: <sip:{by}@{host}:{port}>;tag=t{by[1:]}",
            f"To: {to or f'<sip:{number}@{pbx}>'}",
            f"Call-ID: {by}@bench",
            f"CSeq: {2 if method == 'BYE' else 1} {method}",
            f"Contact: <sip:bench@{host}:{port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", body]).encode()


async def calls(number: str, *, first: int, count: int, rate: float, carrier: Carrier) -> Sent:
    """Sends `count` calls at `rate` per second, whatever becomes of them; waits up to 20 s for their ends."""
    loop = asyncio.get_running_loop()
    carrier.sent = Sent()
    begin = loop.time()
    for n in range(count):
        await asyncio.sleep(begin + n / rate - loop.time())
        carrier.call(number, caller(first + n))
    until = loop.time() + 20
    while len(carrier.sent.ended) < count and loop.time() < until:
        await asyncio.sleep(0.05)
    return carrier.sent


async def endpoint(protocol: asyncio.DatagramProtocol, port: int) -> None:
    """Puts it on a port of loopback."""
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", port))
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, sock=sock)


def _header(message: bytes, name: bytes) -> bytes:
    return next((value for key, value in HEADERS.findall(message) if key.lower() == name), b"")


def _answer(request: bytes, status: str, transport: Any, body: str = "") -> bytes:
    host, port = transport.get_extra_info("sockname")
    kept = [
        f"{name.decode()}: {value.decode()}"
        for name, value in HEADERS.findall(request.partition(b"\r\n\r\n")[0])
        if name.lower() in (b"via", b"from", b"call-id", b"cseq", b"record-route")
    ]
    to = _header(request, b"to").decode()
    lines = [
        f"SIP/2.0 {status}",
        *kept,
        f"To: {to}" if "tag=" in to else f"To: {to};tag=phone",
        f"Contact: <sip:phone@{host}:{port}>",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", body]).encode()

"""uvicorn's HTTP/1.1, so that it answers in our form also to what never becomes a request."""

import secrets
from http import HTTPStatus

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vonal.api.errors import MEDIA_TYPE, problem
from vonal.domain.errors import InvalidRequest, PayloadTooLarge, VonalError

MAX_HEAD = 65_535  # bytes of address and headers; beyond that the parser cannot even say what the address is
LINGER_SECONDS = 2.0


class Protocol(HttpToolsProtocol):
    """HTTP/1.1, with bounds on what is kept in memory before a request is one, and proper answers to what is none."""

    _head = 0
    _refused = False

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the network."""
        if not self._refused:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """Answers what cannot be read as a request, and closes."""
        fault: VonalError = InvalidRequest(msg)
        if self._head > MAX_HEAD:
            fault = PayloadTooLarge(f"Address and headers may have at most {MAX_HEAD} bytes together.")
        request_id = f"req_{secrets.token_hex(10)}"
        body = msgspec.json.encode(problem(fault, request_id))
        lines = (
            f"HTTP/1.1 {fault.status} {HTTPStatus(fault.status).phrase}",
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            f"x-request-id: {request_id}",
            "connection: close",
        )
        self.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        self._linger()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            raise ValueError("too large")  # the parser stops, and uvicorn calls `send_400_response`

    def _linger(self) -> None:
        """Closes when the caller has read the answer: closing on bytes still arriving would destroy it on its way."""
        self._refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

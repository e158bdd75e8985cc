"""One HTTP attempt: guarded, bounded in time and size, without redirects, proxies or cookies.

libcurl drives it on our event loop. Each socket is opened by us, so the guard sees the address really connected to.
"""

import re
import socket
import ssl
import time
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import pycurl

from vonal.domain.delivery import Outcome, Request, Withdrawn
from vonal.domain.directory import Tls
from vonal.domain.errors import Fault
from vonal.webhooks import guard
from vonal.webhooks.transfers import Transfers

CONNECT_TIMEOUT_MS = 3000
LONGEST_ANSWER = 64 * 1024  # bytes; of the head, with all 1xx before it, as many again
KEPT_ANSWER = 2048
# How long a connection is kept: a new one costs as much CPU as thirty requests. Also how long an address that has
# changed in the DNS may still be used, so it is bounded however busy the connection is.
KEPT_S = 300
IDLE_CONNECTIONS = 512
IDLE_HANDLES = 256
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\U0010ffff]|[\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ERRORS: dict[int, tuple[str, Fault]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("name_not_found", "theirs"),
    pycurl.E_COULDNT_CONNECT: ("not_connected", "theirs"),
    pycurl.E_OPERATION_TIMEDOUT: ("timeout", "theirs"),
    pycurl.E_SSL_CONNECT_ERROR: ("tls_failed", "theirs"),
    pycurl.E_SSL_CERTPROBLEM: ("tls_failed", "theirs"),
    pycurl.E_BAD_FUNCTION_ARGUMENT: ("tls_failed", "theirs"),  # a key that is none, or not the certificate's
    pycurl.E_SSL_CACERT_BADFILE: ("tls_failed", "theirs"),
    pycurl.E_PEER_FAILED_VERIFICATION: ("tls_not_trusted", "theirs"),
    pycurl.E_URL_MALFORMAT: ("url_invalid", "theirs"),
    pycurl.E_UNSUPPORTED_PROTOCOL: ("url_invalid", "theirs"),
}
_BAD_ANSWER: tuple[str, Fault] = ("bad_answer", "theirs")
# With TLS 1.3 the server judges our certificate when we think that we are connected: by an alert, or it just hangs up.
_IN_TLS = (pycurl.E_SSL_CONNECT_ERROR, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR)
_CUT_OFF = (pycurl.E_WRITE_ERROR, pycurl.E_OPERATION_TIMEDOUT)  # a body that we have had enough of
_SAYING_MORE = {
    "name_not_found",
    "not_connected",
    "tls_failed",
    "tls_not_trusted",
    "tls_refused",
}  # curl's words name no URL


class Sender(Protocol):
    """Tries a request once. Never raises for what the other side did; `Outcome` says whose fault it was."""

    async def send(self, request: Request) -> Outcome:
        """The attempt. Raises Withdrawn when it was not made, since the request's `still` said no."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...


class CurlSender:
    """The sender over libcurl; `allow`: private networks that may be reached, also without TLS."""

    def __init__(self, allow: tuple[guard.IPNetwork, ...] = ()) -> None:
        self._allow = allow
        self._transfers = Transfers(IDLE_CONNECTIONS)
        self._idle: list[_Handle] = []

    async def send(self, request: Request) -> Outcome:
        """The attempt; a request that ends by cancellation gives its connection up."""
        handle = self._idle.pop() if self._idle and not request.tls else _Handle(self._allow)
        handle.set_up(request)
        began = time.monotonic()
        failure: pycurl.error | None = None
        try:
            await self._transfers.perform(handle.curl)
        except pycurl.error as fault:
            failure = fault
        outcome = handle.outcome(failure, int((time.monotonic() - began) * 1000))
        if len(self._idle) < IDLE_HANDLES and not request.tls:
            self._idle.append(handle)
        if handle.withdrawn:
            raise Withdrawn
        return outcome

    async def close(self) -> None:
        """Ends all connections."""
        self._transfers.close()
        for handle in self._idle:
            handle.curl.close()


class _Handle:
    """One request at a time: its callbacks, and what they gathered. One with certificates is used only once."""

    def __init__(self, allow: tuple[guard.IPNetwork, ...]) -> None:
        self._allow = allow
        self.curl = curl = pycurl.Curl()
        for option, value in (_OPTIONS | _TRUSTED).items():
            curl.setopt(option, value)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        curl.setopt(pycurl.PREREQFUNCTION, self._begin)
        curl.setopt(pycurl.WRITEFUNCTION, self._write)
        curl.setopt(pycurl.HEADERFUNCTION, self._header)
        self._timeout_s = -1

    def set_up(self, request: Request) -> None:
        """Makes it ready to go."""
        self._request = request
        self._plain = not request.url.lower().startswith("https:")
        self._refused = self._answered = self.withdrawn = False
        self._answer = bytearray()
        self._received = self._head = 0
        self._retry_after: int | None = None
        curl = self.curl
        curl.setopt(pycurl.URL, request.url)
        if request.timeout_s != self._timeout_s:
            self._timeout_s = request.timeout_s
            curl.setopt(pycurl.TIMEOUT_MS, request.timeout_s * 1000)
        headers = [f"{name}: {value}".encode() for name, value in request.headers.items()]
        curl.setopt(pycurl.HTTPHEADER, [*headers, b"Expect:"])
        if request.method == "POST":
            curl.setopt(pycurl.POSTFIELDS, request.body)  # and with that the method
        else:
            curl.setopt(pycurl.HTTPGET, 1)
        if request.tls:
            for option, value in _tls_options(request.tls).items():
                curl.setopt(option, value)

    def outcome(self, failure: pycurl.error | None, took_ms: int) -> Outcome:
        """What it came to; a status counts when its head was whole, whatever became of the answer's body."""
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        if self._answered and status >= 200:  # noqa: PLR2004 - 1xx are not final
            head = bytes(self._answer).decode("utf-8", "replace")
            return Outcome(
                status=status,
                fault=None if status < 300 else "theirs",  # noqa: PLR2004 - HTTP's successes
                answer=self._clean(head),
                took_ms=took_ms,
                retry_after_s=self._retry_after,
                endless=failure is not None and failure.args[0] in _CUT_OFF,
            )
        error, fault, words = self._classified(failure)
        return Outcome(error=error, fault=fault, answer=self._clean(words), took_ms=took_ms)

    def _classified(self, failure: pycurl.error | None) -> tuple[str, Fault, str]:
        if self._refused:
            reason = "plain http is" if self._plain else "this address is"
            return "address_refused", "theirs", f"{reason} not allowed for webhooks (VONAL_WEBHOOK_ALLOW)"
        code, words = failure.args if failure is not None else (0, "")
        error, fault = _ERRORS.get(code, _BAD_ANSWER)
        if code in _IN_TLS and "SSL" in str(words) and not self._head:
            error = "tls_refused" if " alert " in str(words) else "tls_failed"
        if code == pycurl.E_UNSUPPORTED_PROTOCOL and self._request.url.startswith("http"):
            error, fault = _BAD_ANSWER  # libcurl takes an answer without a head for HTTP/0.9
        return error, fault, str(words) if error in _SAYING_MORE else ""

    def _clean(self, text: str) -> str:
        for secret in self._request.secrets:
            if secret:
                text = text.replace(secret, "…")
        return _UNPRINTABLE.sub("\ufffd", text)[:KEPT_ANSWER]

    def _open(self, _purpose: int, address: Any) -> socket.socket | int:
        family, kind, protocol, (host, port, *_) = address
        if not guard.permits(_text(host), port, self._allow, plain=self._plain):
            self._refused = True
            return int(pycurl.SOCKET_BAD)
        self._refused = False
        return socket.socket(family, kind, protocol)

    def _begin(self, *_addresses: str | int) -> int:
        # The connection stands, and what follows writes the request: nobody can ask later than here.
        self.withdrawn = self._request.still is not None and not self._request.still()
        return int(pycurl.PREREQFUNC_ABORT if self.withdrawn else pycurl.PREREQFUNC_OK)

    def _write(self, piece: bytes) -> int:
        self._received += len(piece)
        self._answer += piece[: max(KEPT_ANSWER - len(self._answer), 0)]
        return len(piece) if self._received <= LONGEST_ANSWER else -1

    def _header(self, line: bytes) -> int:
        self._head += len(line)
        if line.startswith(b"HTTP/"):
            self._answered = False
        elif not line.rstrip(b"\r\n"):
            self._answered = True
        name, _, value = line.partition(b":")
        if name.lower() == b"retry-after":
            self._retry_after = retry_after(value.decode("latin-1"), time.time())
        return len(line) if self._head <= LONGEST_ANSWER else -1


def retry_after(value: str, now: float) -> int | None:
    """Seconds that a `Retry-After` asks for (RFC 9110, 10.2.3: a number, or a date); None when it cannot be read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return int(value[:9])
    with suppress(ValueError, TypeError, OverflowError):
        at = parsedate_to_datetime(value)
        return max(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now), 0)
    return None


def _text(host: str | bytes) -> str:
    return host.decode() if isinstance(host, bytes) else host


def _tls_options(tls: Tls) -> dict[int, Any]:
    """libcurl takes a kept connection only for a request with the same certificates and key (`CertBlob` and the like
    in its comparison), so webhooks never share one. Sessions are not kept, to be as sure of those.
    """
    blobs = {
        pycurl.CAINFO_BLOB: tls.ca,
        pycurl.SSLCERT_BLOB: tls.certificate,
        pycurl.SSLKEY_BLOB: tls.key,
    }
    given: dict[int, Any] = {option: text.encode() for option, text in blobs.items() if text}
    return {pycurl.SSL_SESSIONID_CACHE: 0, **given}


_paths = ssl.get_default_verify_paths()
_TRUSTED: dict[int, Any] = {
    **({pycurl.CAINFO: _paths.cafile} if _paths.cafile else {}),
    **({pycurl.CAPATH: _paths.capath} if _paths.capath else {}),
}
_OPTIONS: dict[int, Any] = {
    pycurl.NOSIGNAL: 1,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.PROXY: "",
    pycurl.NOPROXY: "*",
    pycurl.NETRC: pycurl.NETRC_IGNORED,
    pycurl.CONNECTTIMEOUT_MS: CONNECT_TIMEOUT_MS,
    pycurl.DNS_CACHE_TIMEOUT: 0,  # the system's resolver knows how long an answer may be kept; we do not
    pycurl.MAXAGE_CONN: KEPT_S,
    pycurl.MAXLIFETIME_CONN: KEPT_S,
}

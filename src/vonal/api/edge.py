"""The outermost layer of every request: its id, its size, its line in the log, and the last word on what failed."""

import re
import secrets
import time
from typing import Any

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from vonal.api.errors import MEDIA_TYPE, classified, problem
from vonal.api.metrics import Metrics
from vonal.domain.errors import InvalidRequest, PayloadTooLarge, VonalError

log = structlog.get_logger(__name__)

MAX_QUERY = 16_384  # bytes; `custom` at its largest, percent-encoded, still fits
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class Edge:
    """Wraps the application. Query strings and tokens are never logged: passwords, keys and people's numbers."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        reply = _Reply(send, request_id)
        began = time.perf_counter()
        try:
            if fault := _fault(scope):
                await reply.problem(fault)
            else:
                await self.app(scope, receive, reply)
        except Exception as error:
            log.exception("a request failed", request_id=request_id)
            if reply.status is None:
                await reply.problem(classified(error))
        finally:
            self._record(scope, reply.status, time.perf_counter() - began, request_id)

    def _record(self, scope: Any, status: int | None, seconds: float, request_id: str) -> None:
        route = scope.get("path_template") or "unmatched"
        self._metrics.answered(scope["method"], route, status or 0, seconds)
        client = scope.get("client")
        log.info(
            "request",
            method=scope["method"],
            # A link's token is a password as long as the link is good.
            path=route if "token" in scope.get("path_params", {}) else scope["path"][:256],
            status=status,
            ms=round(seconds * 1000, 1),
            client=client[0] if client else None,
            request_id=request_id,
        )


class _Reply:
    """`send` with the request's id in every answer."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = [(b"x-request-id", self._request_id.encode()), (b"x-content-type-options", b"nosniff")]
            message["headers"] = [*message["headers"], *own]
        await self._send(message)

    async def problem(self, error: VonalError) -> None:
        body = msgspec.json.encode(problem(error, self._request_id))
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self({"type": "http.response.start", "status": error.status, "headers": headers})
        await self({"type": "http.response.body", "body": body, "more_body": False})


def _request_id(scope: Any) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _GIVEN_ID.fullmatch(given) else f"req_{secrets.token_hex(10)}"


def _fault(scope: Any) -> VonalError | None:
    if len(scope["query_string"]) > MAX_QUERY or len(scope.get("raw_path") or b"") > MAX_QUERY:
        return PayloadTooLarge(f"The address may have at most {MAX_QUERY} bytes; send long values in the body.")
    if "\ufffd" in scope["path"] or "\x00" in scope["path"]:
        return InvalidRequest("The address is not UTF-8 text.")
    return None

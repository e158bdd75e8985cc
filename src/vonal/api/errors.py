"""The one place where errors become answers: `application/problem+json` (RFC 9457, contract section 3)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, Struct, UnsetType

from vonal.domain.errors import (
    AuthFailed,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RecordingNotReady,
    VonalError,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="vonal", Basic realm="vonal", charset="UTF-8"'
_OF_LITESTAR: dict[int, type[VonalError]] = {
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: PayloadTooLarge,
}


class FaultyPart(Struct, frozen=True, kw_only=True):
    """One of several things that are wrong: where, and why."""

    path: str
    reason: str


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong. `code` is stable; `param`: the parameter at fault; `retryable`: the same may succeed later.

    `faults`: all that is wrong, where a whole document was sent.
    """

    type: str
    title: str
    status: int
    code: str
    detail: str
    param: str | None
    retryable: bool
    request_id: str
    faults: list[FaultyPart] | UnsetType = UNSET


def answer_to(error: VonalError, request_id: str, *, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The answer that tells of `error`."""
    return Response(
        content=msgspec.json.encode(problem(error, request_id)),
        status_code=error.status,
        media_type=MEDIA_TYPE,
        headers={**_headers(error), **(headers or {})},
    )


def problem(error: VonalError, request_id: str) -> Problem:
    """The error as the world sees it."""
    return Problem(
        type=f"urn:vonal:problem:{error.code}",
        title=error.title,
        status=error.status,
        code=error.code,
        detail=error.detail,
        param=error.param,
        retryable=error.retryable,
        request_id=request_id,
        faults=[FaultyPart(path=path, reason=reason) for path, reason in error.faults] or UNSET,
    )


def classified(error: Exception) -> VonalError:
    """Errors of the web framework, in our own words; everything unknown is our fault."""
    if isinstance(error, VonalError):
        return error
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _OF_LITESTAR.get(error.status_code, InvalidRequest)
        return kind(f"{error.detail.rstrip('.')}.")
    return VonalError("The request could not be handled. The log has the reason, under the request's id.")


def handle(
    request: Request[Any, Any, Any],
    error: Exception,
    *,
    for_people: Callable[[Request[Any, Any, Any], VonalError], Response[bytes] | None],
) -> Response[bytes]:
    """Litestar's exception handler for everything. `for_people`: see `create_app`."""
    found = classified(error)
    request_id = request_id_of(request.scope)
    if not isinstance(error, VonalError) and found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("a request failed", request_id=request_id, exc_info=error)
    if (page := for_people(request, found)) is not None:
        return page
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return answer_to(found, request_id, headers=headers)


def request_id_of(scope: Any) -> str:
    """The id that the edge gave the request."""
    return str(scope.get("state", {}).get("request_id", ""))


def _headers(error: VonalError) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, AuthFailed):
        headers["WWW-Authenticate"] = CHALLENGE
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    elif isinstance(error, RateLimited | RecordingNotReady):
        headers["Retry-After"] = "1"
    return headers

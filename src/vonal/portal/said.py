"""What was just done, told on the next page: kept for a moment in a cookie of its own."""

from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec
from litestar import Request
from litestar.datastructures import Cookie
from msgspec import Struct

SECONDS = 60
_LONGEST = 1000


class Said(Struct, frozen=True, kw_only=True):
    """`undo`: the path that a POST takes it back with."""

    text: str
    kind: Literal["success", "warning"] = "success"
    undo: str | None = None


def cookie(said: Said | None, *, secure: bool) -> Cookie:
    """Carries it to the next page; None takes it away."""
    value = quote(msgspec.json.encode(said).decode(), safe="") if said else ""
    return Cookie(
        key=_name(secure=secure),
        value=value,
        max_age=SECONDS if said else 0,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def found(request: Request[Any, Any, Any], *, secure: bool) -> Said | None:
    """What the page before has said."""
    value = request.cookies.get(_name(secure=secure), "")
    try:
        return msgspec.json.decode(unquote(value), type=Said) if 0 < len(value) <= _LONGEST * 3 else None
    except ValueError:
        return None


def _name(*, secure: bool) -> str:
    # With this prefix no page of a sibling's domain can put words into ours.
    return "__Host-vonal_said" if secure else "vonal_said"

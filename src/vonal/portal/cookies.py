"""The portal's cookies: none that a script can read, and over https none that another host could have set."""

from typing import Any

from litestar import Response

from vonal.portal.services import Portal
from vonal.users.sessions import LIVES_MS

COOKIE = "vonal_session"


def session_cookie(portal: Portal) -> str:
    """What the session's cookie is called."""
    return cookie_name(portal, COOKIE)


def cookie_name(portal: Portal, name: str) -> str:
    """The cookie's whole name: browsers take one with `__Host-` from this very host, and over https, only."""
    return f"__Host-{name}" if portal.secure else name


def with_session(portal: Portal, answer: Response[Any], token: str) -> Response[Any]:
    """The answer, which signs the browser in."""
    return with_cookie(portal, answer, COOKIE, token, seconds=LIVES_MS // 1000)


def without_session(portal: Portal, answer: Response[Any]) -> Response[Any]:
    """The answer, which signs the browser out."""
    return with_cookie(portal, answer, COOKIE, "", seconds=0)


def with_cookie(portal: Portal, answer: Response[Any], name: str, value: str, *, seconds: int) -> Response[Any]:
    """The answer with a cookie; for no seconds, it is taken away."""
    answer.set_cookie(
        key=cookie_name(portal, name),
        value=value,
        max_age=seconds,
        path="/",
        secure=portal.secure,
        httponly=True,
        samesite="lax",
    )
    return answer

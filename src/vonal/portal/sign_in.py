"""Signing in and out."""

from typing import Any
from urllib.parse import quote, urlsplit

from litestar import Response

from vonal.domain.errors import AuthFailed, RequestError
from vonal.portal.asked import Asked
from vonal.portal.cookies import with_session, without_session
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.users.guard import TooMany


def sign_in_address(asked: Asked) -> str:
    """The form, which leads back to the page that was asked for."""
    path = asked.request.url.path
    query = asked.request.scope["query_string"].decode("latin-1")
    if asked.request.method != "GET" or path == "/" or asked.is_fragment:
        return "/sign-in"
    return f"/sign-in?then={quote(path + ('?' + query if query else ''), safe='/')}"


def then(asked: Asked) -> str:
    """Where to go afterwards, as the address or the form says: a page of ours, or the first one."""
    where = asked.one("then", "/")
    parts = urlsplit(where)
    ours = where.startswith("/") and not where.startswith("//") and "\\" not in where and where.isprintable()
    return where if ours and not parts.netloc and not parts.scheme and not where.startswith("/sign-") else "/"


def further(asked: Asked, passed: str) -> str:
    """The next page after a step of signing in."""
    if passed == "all":
        return then(asked)
    step = "/sign-in/factor" if passed == "password" else "/account/app"
    return step if then(asked) == "/" else f"{step}?then={quote(then(asked), safe='/')}"


def browser_of(asked: Asked) -> str:
    """What the browser says that it is."""
    return asked.request.headers.get("user-agent", "")


async def form(portal: Portal, asked: Asked) -> Response[Any]:
    """The form to sign in with."""
    if asked.viewer is not None:
        return go(asked, further(asked, asked.me.session.passed))
    return _form(portal, asked)


async def enter(portal: Portal, asked: Asked) -> Response[Any]:
    """E-mail address and password were sent."""
    email, password = asked.one("email"), asked.form.get("password", [""])[-1]
    try:
        token, passed = await portal.people.sign_in.by_password(
            email, password, address=asked.address, browser=browser_of(asked)
        )
    except (AuthFailed, TooMany) as fault:
        return _form(portal, asked, fault=fault)
    if asked.viewer is not None:
        await portal.sessions.end(asked.me.session)
    return with_session(portal, go(asked, further(asked, passed)), token)


async def leave(portal: Portal, asked: Asked) -> Response[Any]:
    """The browser is signed out."""
    if asked.viewer is not None:
        await portal.sessions.end(asked.me.session)
    return without_session(portal, go(asked, "/sign-in"))


def _form(portal: Portal, asked: Asked, *, fault: RequestError | None = None) -> Response[bytes]:
    status = fault.status if fault else 200
    offers = {
        "sign_on": portal.people.oidc.name if portal.people.oidc else None,
        "passkeys_usable": portal.people.passkeys.usable,
    }
    return page(asked, "sign_in/password.html", status=status, fault=fault, then=then(asked), **offers)


ROUTES = (
    Route(path="/sign-in", handler=form, needs="anybody"),
    Route(path="/sign-in", handler=enter, needs="anybody", method="POST"),
    Route(path="/sign-out", handler=leave, needs="anybody", method="POST"),
)

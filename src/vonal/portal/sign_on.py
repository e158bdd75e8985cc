"""Signing in through the company's OpenID provider, where one is set up."""

from typing import Any

from litestar import Response
from litestar.response import Redirect

from vonal.domain.errors import AuthFailed, NotFound
from vonal.portal.asked import Asked
from vonal.portal.cookies import cookie_name, with_cookie, with_session
from vonal.portal.page import HEADERS, go
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import browser_of, then
from vonal.users.ceremony import MINUTES
from vonal.users.oidc import Oidc

STEP = "vonal_sign_on"  # the cookie that holds what is begun


async def begin(portal: Portal, asked: Asked) -> Response[Any]:
    """Sends the browser to the provider."""
    address, begun = await _oidc(portal).begin()
    answer = Redirect(address, status_code=303, headers=HEADERS)
    step = portal.people.ceremonies.begin("sign-on", then=then(asked), **begun)
    return with_cookie(portal, answer, STEP, step, seconds=MINUTES * 60)


async def back(portal: Portal, asked: Asked) -> Response[Any]:
    """The browser comes back with a code."""
    oidc, ceremonies = _oidc(portal), portal.people.ceremonies
    step = asked.request.cookies.get(cookie_name(portal, STEP), "")
    begun = ceremonies.read("sign-on", step)
    if begun is None or asked.one("state") != begun["state"]:
        raise AuthFailed("This sign-in was not begun here, or took too long. Try again.")
    ceremonies.finish(step)
    if not asked.one("code"):
        raise AuthFailed("The single sign-on was cancelled, or has refused. Try again, or use your password.")
    user, is_first = await oidc.finish(asked.one("code"), begun)
    sign_in = portal.people.sign_in
    told = sign_in.entries(user, "linked", asked.address, with_=oidc.name) if is_first else []
    told += sign_in.entries(user, "sign_in", asked.address, with_=oidc.name)
    token = await portal.sessions.begin(user, passed="all", address=asked.address, browser=browser_of(asked), told=told)
    answer = with_session(portal, go(asked, begun["then"]), token)
    return with_cookie(portal, answer, STEP, "", seconds=0)


def _oidc(portal: Portal) -> Oidc:
    if portal.people.oidc is None:
        raise NotFound("No single sign-on is set up.")
    return portal.people.oidc


ROUTES = (
    Route(path="/sign-in/oidc", handler=begin, needs="anybody"),
    Route(path="/sign-in/oidc/back", handler=back, needs="anybody"),
)

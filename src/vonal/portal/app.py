"""Puts the portal together: one route for each page, with the same steps in front of every one."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from vonal.domain.errors import InvalidRequest, ScopeMissing, VonalError
from vonal.domain.users import Language
from vonal.portal import delivery_log, overview, sign_in, webhook_list
from vonal.portal.asked import Asked, Form, Viewer
from vonal.portal.page import go, page
from vonal.portal.route import Needs, Route
from vonal.portal.services import Portal
from vonal.users.sessions import SignedIn, is_csrf_token

COOKIE = "vonal_session"
MAX_FIELDS = 1000
ROUTES: tuple[Route, ...] = (
    *sign_in.ROUTES,
    *overview.ROUTES,
    *webhook_list.ROUTES,
    *delivery_log.ROUTES,
)


def routes(portal: Portal) -> list[HTTPRouteHandler]:
    """The portal's part of the application."""
    return [_handler(one, portal) for one in ROUTES]


def _handler(route: Route, portal: Portal) -> HTTPRouteHandler:
    async def serve(request: Request[Any, Any, Any]) -> Response[Any] | ASGIApp:
        asked = await _asked(request, route, portal)
        try:
            if (elsewhere := _refused(asked, route, portal)) is not None:
                return elsewhere
            return await route.handler(portal, asked)
        except VonalError as fault:
            return page(asked, "fault.html", status=fault.status, fault=fault)

    handler = HTTPRouteHandler(
        re.sub(r"{(\w+)}", r"{\1:str}", route.path),
        http_method=[HttpMethod(route.method)],
        name=route.name,
        status_code=200,
        request_max_body_size=route.max_body,
    )
    return handler(serve)


async def _asked(request: Request[Any, Any, Any], route: Route, portal: Portal) -> Asked:
    signed_in = await portal.sessions.find(request.cookies.get(COOKIE, ""))
    viewer = _viewer(signed_in, portal) if signed_in else None
    body = await request.body() if route.method == "POST" else b""
    return Asked(
        request=request,
        language=viewer.user.language if viewer else _language(request),
        viewer=viewer,
        query=_fields(request.scope["query_string"]),
        form=_fields(body),
    )


def _refused(asked: Asked, route: Route, portal: Portal) -> Response[Any] | None:
    """Where the browser is sent instead. Raises ScopeMissing, NotFound, InvalidRequest."""
    if route.method == "POST":
        _check_origin(asked, portal)
    if route.needs == "anybody":
        return None
    if asked.viewer is None or (asked.me.session.passed != "all"):
        return go(asked, "/sign-in")
    if route.method == "POST" and not is_csrf_token(asked.me.signed_in.token, asked.one("csrf")):
        raise InvalidRequest("This page has been open for too long; load it again, and repeat what you did.")
    if not _may(asked.me, route.needs):
        # Whoever runs the service has no company of his own to look at.
        if asked.me.tenant is None and asked.me.user.operator and route.path == "/":
            return go(asked, "/operator")
        raise ScopeMissing("Your role may not do this; an administrator of your company can change it.")
    return None


def _check_origin(asked: Asked, portal: Portal) -> None:
    """Refuses forms of other sites (Fetch Metadata, and Origin for browsers without it)."""
    headers = asked.request.headers
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        hosts = {headers.get("host", ""), urlsplit(portal.base_url).netloc}
        foreign = origin is not None and urlsplit(origin).netloc not in hosts
    if foreign:
        raise ScopeMissing("This form was sent from another site.")


def _may(viewer: Viewer, needs: Needs) -> bool:
    match needs:
        case "anybody" | "user":
            return True
        case "operator":
            return viewer.user.operator
        case "member":
            return viewer.tenant is not None
        case _:
            return viewer.tenant is not None and viewer.may(needs)


def _viewer(signed_in: SignedIn, portal: Portal) -> Viewer:
    tenant = portal.tenant(signed_in.session.tenant_id) if signed_in.session.tenant_id else None
    place = signed_in.user.in_tenant(tenant.id) if tenant else None
    if tenant is None or (place is None and not signed_in.user.operator):
        return Viewer(signed_in=signed_in, tenant=None, role=None)
    return Viewer(signed_in=signed_in, tenant=tenant, role=place.role if place else "owner", acting=place is None)


def _language(request: Request[Any, Any, Any]) -> Language:
    accepted = request.headers.get("accept-language", "").lower()
    first = min(((accepted.find(one), one) for one in ("hu", "en") if one in accepted), default=(0, "en"))[1]
    return "hu" if first == "hu" else "en"


def _fields(text: bytes) -> Form:
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as fault:
        raise InvalidRequest("The form cannot be read.") from fault

"""Puts the portal together: one route for each page, with the same steps in front of every one."""

import re
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from litestar import HttpMethod, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from vonal.domain.errors import InvalidRequest, ScopeMissing, VonalError
from vonal.portal import (
    access,
    account,
    assets,
    audit,
    call_export,
    call_log,
    call_page,
    company,
    delivery_log,
    extensions,
    faults,
    language,
    links,
    live,
    numbers,
    operator,
    operator_tenants,
    operator_trunks,
    overview,
    passkeys,
    people,
    phone_setup,
    proof,
    recording_rules,
    second_factor,
    sign_in,
    sign_on,
    undo,
    webhook_guide,
    webhook_list,
    webhook_replay,
    words,
)
from vonal.portal.asked import Asked, Form, Viewer
from vonal.portal.cookies import session_cookie
from vonal.portal.page import go
from vonal.portal.route import Needs, Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import sign_in_address
from vonal.users.sessions import SignedIn, is_csrf_token

MAX_FIELDS = 1000
ROUTES: tuple[Route, ...] = (
    *sign_in.ROUTES,
    *second_factor.ROUTES,
    *sign_on.ROUTES,
    *passkeys.ROUTES,
    *links.ROUTES,
    *proof.ROUTES,
    *account.ROUTES,
    *people.ROUTES,
    *audit.ROUTES,
    *overview.ROUTES,
    *call_log.ROUTES,
    *call_export.ROUTES,
    *call_page.ROUTES,
    *live.ROUTES,
    *webhook_list.ROUTES,
    *webhook_guide.ROUTES,
    *webhook_replay.ROUTES,
    *delivery_log.ROUTES,
    *language.ROUTES,
    *extensions.ROUTES,
    *phone_setup.ROUTES,
    *numbers.ROUTES,
    *recording_rules.ROUTES,
    *company.ROUTES,
    *access.ROUTES,
    *undo.ROUTES,
    *operator.ROUTES,
    *operator_tenants.ROUTES,
    *operator_trunks.ROUTES,
)
_STRICT_TRANSPORT = "max-age=31536000"


def routes(portal: Portal) -> list[HTTPRouteHandler]:
    """The portal's part of the application."""
    return [*(_handler(one, portal) for one in ROUTES), *assets.routes()]


def _handler(route: Route, portal: Portal) -> HTTPRouteHandler:
    async def serve(request: Request[Any, Any, Any]) -> ASGIApp:  # by this Litestar sends streams too
        asked = await _asked(request, portal)
        try:
            asked = await _with_fields(asked, route)
            elsewhere = _refused(asked, route, portal)
            answer = await route.handler(portal, asked) if elsewhere is None else elsewhere
        except VonalError as fault:
            answer = faults.shown(asked, fault)
        if portal.secure and isinstance(answer, Response):
            answer.headers["Strict-Transport-Security"] = _STRICT_TRANSPORT
        return cast("ASGIApp", answer)

    handler = HTTPRouteHandler(
        re.sub(r"{(\w+)}", r"{\1:str}", route.path),
        http_method=[HttpMethod(route.method)],
        name=route.name,
        status_code=200,
        request_max_body_size=route.max_body,
    )
    return handler(serve)


async def _asked(request: Request[Any, Any, Any], portal: Portal) -> Asked:
    signed_in = await portal.sessions.find(request.cookies.get(session_cookie(portal), ""))
    viewer = _viewer(signed_in, portal) if signed_in else None
    spoken = viewer.user.language if viewer else words.asked_for(request)
    return Asked(request=request, language=spoken, viewer=viewer, secure=portal.secure)


async def _with_fields(asked: Asked, route: Route) -> Asked:
    body = await asked.request.body() if route.method == "POST" else b""
    return replace(asked, query=_fields(asked.request.scope["query_string"]), form=_fields(body))


def _refused(asked: Asked, route: Route, portal: Portal) -> Response[Any] | None:
    """Where the browser is sent instead. Raises ScopeMissing, NotFound, InvalidRequest."""
    if route.method == "POST":
        _check_origin(asked, portal)
    if route.needs == "anybody":
        return None
    if (elsewhere := _owed(asked, route)) is not None:
        return go(asked, elsewhere)
    if route.method == "POST" and not is_csrf_token(asked.me.signed_in.token, _token(asked)):
        raise InvalidRequest("This page has been open for too long; load it again, and repeat what you did.")
    if not _may(asked.me, route.needs):
        # Whoever runs the service has no company of his own to look at.
        if asked.me.tenant is None and asked.me.user.operator and route.path == "/":
            return go(asked, "/operator")
        raise ScopeMissing("Your role may not do this; an administrator of your company can change it.")
    return None


def _token(asked: Asked) -> str:
    return asked.request.headers.get("x-csrf-token") or asked.one("csrf")


def _owed(asked: Asked, route: Route) -> str | None:
    """Where the one who asks still has to go first."""
    if asked.viewer is None:
        return sign_in_address(asked)
    passed = asked.me.session.passed
    if (route.needs, passed) in (("factor", "password"), ("enrolment", "enrol")):
        return None
    match passed:
        case "password":
            return "/sign-in/factor"
        case "enrol":
            return "/account/app"
        case "all":
            return "/" if route.needs == "factor" else None


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
        case "anybody" | "factor" | "enrolment" | "user":
            return True
        case "operator":
            return viewer.user.operator
        case "member":
            return viewer.tenant is not None
        case _:
            return viewer.tenant is not None and viewer.may(needs)


def _viewer(signed_in: SignedIn, portal: Portal) -> Viewer:
    if signed_in.session.passed != "all":
        return Viewer(signed_in=signed_in, tenant=None, role=None)
    tenant = portal.tenant(signed_in.session.tenant_id) if signed_in.session.tenant_id else None
    place = signed_in.user.in_tenant(tenant.id) if tenant else None
    if tenant is None or (place is None and not signed_in.user.operator):
        return Viewer(signed_in=signed_in, tenant=None, role=None)
    return Viewer(signed_in=signed_in, tenant=tenant, role=place.role if place else "owner", acting=place is None)


def _fields(text: bytes) -> Form:
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as fault:
        raise InvalidRequest("The form cannot be read.") from fault

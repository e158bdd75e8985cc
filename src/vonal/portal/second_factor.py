"""The second factor: asked for while signing in; set up, removed and written down on the account's pages."""

from typing import Any

from litestar import Response

from vonal.domain.errors import InvalidParts, RequestError
from vonal.portal.asked import Asked
from vonal.portal.cookies import cookie_name, with_cookie, with_session
from vonal.portal.page import go, page
from vonal.portal.proof import WRONG, proof_owed
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import browser_of, then
from vonal.users.ceremony import MINUTES
from vonal.users.factors import new_secret, qr_code
from vonal.users.guard import TooMany

STEP = "vonal_step"  # the cookie that holds what is begun
APP = "/account/app"


async def form(portal: Portal, asked: Asked) -> Response[Any]:
    """Asks for the second factor."""
    return await _form(portal, asked)


async def check(portal: Portal, asked: Asked) -> Response[Any]:
    """A code was sent."""
    user, session = asked.me.user, asked.me.session
    try:
        with_ = await portal.people.factors.verify(user, asked.one("code"), address=asked.address)
    except TooMany as fault:
        return await _form(portal, asked, fault=fault)
    if with_ is None:
        return await _form(portal, asked, fault=RequestError(WRONG))
    token = await portal.people.sign_in.complete(
        session, user, address=asked.address, browser=browser_of(asked), with_=f"password, {with_}"
    )
    return with_session(portal, go(asked, then(asked)), token)


async def app(portal: Portal, asked: Asked) -> Response[Any]:
    """Shows the picture that an app reads."""
    if (elsewhere := proof_owed(portal, asked, APP)) is not None:
        return elsewhere
    return _app(portal, asked, new_secret())


async def enable_app(portal: Portal, asked: Asked) -> Response[Any]:
    """The app's first code was sent."""
    if (elsewhere := proof_owed(portal, asked, APP)) is not None:
        return elsewhere
    user, session = asked.me.user, asked.me.session
    begun = asked.request.cookies.get(cookie_name(portal, STEP), "")
    data = portal.people.ceremonies.read("app", begun, whom=user.id)
    if data is None:
        return go(asked, APP)
    try:
        codes = await portal.people.factors.enable_app(
            session, user, data["secret"], asked.one("code"), address=asked.address
        )
    except InvalidParts:
        return _app(portal, asked, data["secret"], fault=True)
    portal.people.ceremonies.finish(begun)
    return await _enrolled(portal, asked, codes)


async def remove_app(portal: Portal, asked: Asked) -> Response[Any]:
    """The app shows no good codes any more."""
    if (elsewhere := proof_owed(portal, asked)) is not None:
        return elsewhere
    await portal.people.factors.remove_app(asked.me.session, asked.me.user, address=asked.address)
    return go(asked, "/account", said=asked.say("The app is removed."))


async def renew_recovery(portal: Portal, asked: Asked) -> Response[Any]:
    """New recovery codes, shown once."""
    if (elsewhere := proof_owed(portal, asked)) is not None:
        return elsewhere
    user = asked.me.user
    if not (await portal.people.factors.state(user)).second_factor:
        return go(asked, "/account")
    codes = await portal.people.factors.renew_recovery(asked.me.session, user, address=asked.address)
    return page(asked, "account/recovery.html", codes=codes, then="/account")


async def _enrolled(portal: Portal, asked: Asked, codes: list[str]) -> Response[Any]:
    """The recovery codes; who was just signing in is signed in by this."""
    enrolling = asked.me.session.passed == "enrol"
    answer = page(asked, "account/recovery.html", codes=codes, then=then(asked) if enrolling else "/account")
    if enrolling:
        token = await portal.people.sign_in.complete(
            asked.me.session, asked.me.user, address=asked.address, browser=browser_of(asked), with_="password, code"
        )
        answer = with_session(portal, answer, token)
    return with_cookie(portal, answer, STEP, "", seconds=0)


def _app(portal: Portal, asked: Asked, secret: str, *, fault: bool = False) -> Response[Any]:
    user = asked.me.user
    answer = page(
        asked,
        "account/app.html",
        status=422 if fault else 200,
        fault=fault,
        picture=qr_code(user, secret),
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        enrolling=asked.me.session.passed == "enrol",
        then=then(asked),
    )
    begun = portal.people.ceremonies.begin("app", whom=user.id, secret=secret)
    return with_cookie(portal, answer, STEP, begun, seconds=MINUTES * 60)


async def _form(portal: Portal, asked: Asked, *, fault: RequestError | None = None) -> Response[bytes]:
    state = await portal.people.factors.state(asked.me.user)
    status = (fault.status if fault.retry_after else 422) if fault else 200
    return page(asked, "sign_in/factor.html", status=status, fault=fault, state=state, then=then(asked))


ROUTES = (
    Route(path="/sign-in/factor", handler=form, needs="factor"),
    Route(path="/sign-in/factor", handler=check, needs="factor", method="POST"),
    Route(path=APP, handler=app, needs="enrolment"),
    Route(path=APP, handler=enable_app, needs="enrolment", method="POST"),
    Route(path="/account/app/remove", handler=remove_app, needs="user", method="POST"),
    Route(path="/account/recovery", handler=renew_recovery, needs="user", method="POST"),
)

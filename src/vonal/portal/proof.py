"""Before somebody changes how he signs in he shows that it is he who sits there: nobody else's hand at his desk may."""

from typing import Any
from urllib.parse import quote

from litestar import Response

from vonal.domain.errors import RequestError
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import then
from vonal.users.guard import TooMany

WRONG = "wrong"  # the pages say it in words


def proof_owed(portal: Portal, asked: Asked, path: str = "/account") -> Response[Any] | None:
    """Where he is sent first, to come back to `path`; None when he has shown it a moment ago, or is just signing in."""
    session = asked.me.session
    if session.passed == "enrol" or portal.sessions.has_proved(session):
        return None
    return go(asked, f"/account/prove?then={quote(path, safe='/')}")


async def form(portal: Portal, asked: Asked) -> Response[Any]:
    """Asks for password or code."""
    return await _form(portal, asked)


async def prove(portal: Portal, asked: Asked) -> Response[Any]:
    """Password or code was sent."""
    people, user = portal.people, asked.me.user
    try:
        if code := asked.one("code"):
            right = await people.factors.verify(user, code, address=asked.address) is not None
        else:
            password = asked.form.get("password", [""])[-1]
            right = await people.sign_in.proves(user, password, address=asked.address)
    except TooMany as fault:
        return await _form(portal, asked, fault=fault)
    if not right:
        return await _form(portal, asked, fault=RequestError(WRONG))
    await portal.sessions.prove(asked.me.session)
    return go(asked, then(asked))


async def _form(portal: Portal, asked: Asked, *, fault: RequestError | None = None) -> Response[bytes]:
    state = await portal.people.factors.state(asked.me.user)
    status = (fault.status if fault.retry_after else 422) if fault else 200
    return page(asked, "account/prove.html", status=status, fault=fault, state=state, then=then(asked))


ROUTES = (
    Route(path="/account/prove", handler=form, needs="user"),
    Route(path="/account/prove", handler=prove, needs="user", method="POST"),
)

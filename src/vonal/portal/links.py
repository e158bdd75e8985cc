"""Pages that a link leads to: accepting an invitation, and choosing a new password; and asking for such a link."""

from typing import Any

from litestar import Response

from vonal.domain.errors import InvalidParts, RequestError
from vonal.portal.asked import Asked
from vonal.portal.cookies import with_session
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import browser_of, further
from vonal.store.user_links import LinkKind
from vonal.users.guard import TooMany
from vonal.users.passwords import Opened


async def forgotten(portal: Portal, asked: Asked) -> Response[Any]:
    """The form to ask for a link with."""
    return page(asked, "sign_in/forgotten.html", can_mail=portal.people.can_mail, sent=False, fault=None)


async def ask(portal: Portal, asked: Asked) -> Response[Any]:
    """A link is asked for; the answer is the same for everybody."""
    fault: RequestError | None = None
    try:
        await portal.people.passwords.forgotten(asked.one("email"), address=asked.address)
    except TooMany as failure:
        fault = failure
    return page(
        asked,
        "sign_in/forgotten.html",
        status=fault.status if fault else 200,
        can_mail=portal.people.can_mail,
        sent=fault is None,
        fault=fault,
    )


async def welcome(portal: Portal, asked: Asked) -> Response[Any]:
    """Somebody was invited."""
    return await _show(portal, asked, kind="invitation")


async def reset(portal: Portal, asked: Asked) -> Response[Any]:
    """Somebody chooses a new password."""
    return await _show(portal, asked, kind="reset")


async def accept(portal: Portal, asked: Asked) -> Response[Any]:
    """The invited person has chosen a password."""
    return await _choose(portal, asked, kind="invitation")


async def choose(portal: Portal, asked: Asked) -> Response[Any]:
    """A new password was chosen."""
    return await _choose(portal, asked, kind="reset")


async def _show(portal: Portal, asked: Asked, *, kind: LinkKind) -> Response[Any]:
    opened = await portal.people.passwords.opened(asked.path["token"], kind=kind, address=asked.address)
    return _form(asked, opened)


async def _choose(portal: Portal, asked: Asked, *, kind: LinkKind) -> Response[Any]:
    token, password = asked.path["token"], asked.form.get("password", [""])[-1]
    passwords = portal.people.passwords
    opened = await passwords.opened(token, kind=kind, address=asked.address)
    if password != asked.form.get("again", [""])[-1]:
        return _form(asked, opened, fault="different")
    try:
        user, owed = await passwords.choose(token, password, kind=kind, address=asked.address)
    except InvalidParts as fault:
        return _form(asked, opened, fault=fault.faults[0][1])
    if asked.viewer is not None:
        await portal.sessions.end(asked.me.session)
    told = portal.people.sign_in.entries(user, "sign_in", asked.address, with_=kind) if owed == "all" else []
    session = await portal.sessions.begin(
        user, passed=owed, address=asked.address, browser=browser_of(asked), told=told
    )
    return with_session(portal, go(asked, further(asked, owed)), session)


def _form(asked: Asked, opened: Opened, *, fault: str | None = None) -> Response[bytes]:
    return page(asked, "sign_in/choose.html", status=422 if fault else 200, opened=opened, fault=fault)


ROUTES = (
    Route(path="/forgotten", handler=forgotten, needs="anybody"),
    Route(path="/forgotten", handler=ask, needs="anybody", method="POST"),
    Route(path="/welcome/{token}", handler=welcome, needs="anybody"),
    Route(path="/welcome/{token}", handler=accept, needs="anybody", method="POST"),
    Route(path="/reset/{token}", handler=reset, needs="anybody"),
    Route(path="/reset/{token}", handler=choose, needs="anybody", method="POST"),
)

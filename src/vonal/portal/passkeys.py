"""Passkeys: what web/src/lib/passkey.ts asks for, and brings back."""

from typing import Any

from litestar import Response

from vonal.domain.users import User
from vonal.portal.asked import Asked
from vonal.portal.cookies import cookie_name, with_cookie, with_session
from vonal.portal.page import HEADERS, go
from vonal.portal.proof import proof_owed
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.sign_in import browser_of, then
from vonal.users.ceremony import MINUTES

STEP = "vonal_passkey"  # the cookie that holds what is begun
LARGEST = 32_768


async def begin_using(portal: Portal, asked: Asked) -> Response[Any]:
    """What the browser asks the device."""
    options, begun = await portal.people.passkeys.begin_using(_whose(asked))
    return _options(portal, options, begun)


async def sign_in(portal: Portal, asked: Asked) -> Response[Any]:
    """The device has signed: alone, or after the password."""
    people = portal.people
    attempt = await people.guard.address(asked.address)
    user = await people.passkeys.use(_whose(asked), _begun(portal, asked), asked.one("credential"))
    await people.guard.right(attempt)
    if asked.viewer is not None:
        token = await people.sign_in.complete(
            asked.me.session, user, address=asked.address, browser=browser_of(asked), with_="passkey"
        )
    else:
        told = people.sign_in.entries(user, "sign_in", asked.address, with_="passkey")
        token = await portal.sessions.begin(
            user, passed="all", address=asked.address, browser=browser_of(asked), told=told
        )
    return with_session(portal, _lead(then(asked)), token)


async def prove(portal: Portal, asked: Asked) -> Response[Any]:
    """The device has signed: it is he who sits there."""
    attempt = await portal.people.guard.address(asked.address)
    await portal.people.passkeys.use(asked.me.user, _begun(portal, asked), asked.one("credential"))
    await portal.people.guard.right(attempt)
    await portal.sessions.prove(asked.me.session)
    return _lead(then(asked))


async def begin_adding(portal: Portal, asked: Asked) -> Response[Any]:
    """What the browser asks a new device."""
    if proof_owed(portal, asked) is not None:
        return _lead("/account/prove?then=/account")
    options, begun = await portal.people.passkeys.begin_adding(asked.me.user)
    return _options(portal, options, begun)


async def add(portal: Portal, asked: Asked) -> Response[Any]:
    """The device has made a passkey."""
    if proof_owed(portal, asked) is not None:
        return _lead("/account/prove?then=/account")
    await portal.people.passkeys.add(
        asked.me.session,
        asked.me.user,
        _begun(portal, asked),
        asked.one("credential"),
        name=asked.one("name"),
        address=asked.address,
    )
    return _lead("/account")


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """The passkey is no longer good."""
    passkeys = portal.people.passkeys
    if (elsewhere := proof_owed(portal, asked)) is not None:
        return elsewhere
    await passkeys.remove(asked.me.session, asked.me.user, asked.path["id"], address=asked.address)
    return go(asked, "/account", said=asked.say("The passkey is removed."))


def _whose(asked: Asked) -> User | None:
    return asked.viewer.user if asked.viewer else None


def _begun(portal: Portal, asked: Asked) -> str:
    return asked.request.cookies.get(cookie_name(portal, STEP), "")


def _options(portal: Portal, options: str, begun: str) -> Response[Any]:
    answer = Response(content=options.encode(), media_type="application/json", headers=HEADERS)
    return with_cookie(portal, answer, STEP, begun, seconds=MINUTES * 60)


def _lead(path: str) -> Response[Any]:
    return Response(content={"go": path}, media_type="application/json", headers=HEADERS)


ROUTES = (
    Route(path="/sign-in/passkey/options", handler=begin_using, needs="anybody", method="POST"),
    Route(path="/sign-in/passkey", handler=sign_in, needs="anybody", method="POST"),
    Route(path="/account/prove/passkey", handler=prove, needs="user", method="POST"),
    Route(path="/account/passkeys/options", handler=begin_adding, needs="user", method="POST"),
    Route(path="/account/passkeys", handler=add, needs="user", method="POST"),
    Route(path="/account/passkeys/{id}/remove", handler=remove, needs="user", method="POST"),
)

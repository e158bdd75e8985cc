"""The page about oneself: name and language, password, second factors, and the browsers one is signed in with."""

from functools import partial
from typing import Any

from litestar import Response

from vonal.domain.audit import Entry
from vonal.domain.errors import InvalidParts, NotFound, RequestError
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.proof import proof_owed
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.words import language_of
from vonal.store import sessions, users
from vonal.users.browsers import described

LONGEST_NAME = 128
PASSWORD = "/account/password"  # noqa: S105 - an address


def zone_of(asked: Asked) -> str:
    """The time zone in which times are shown."""
    return asked.me.tenant.timezone if asked.me.tenant else "UTC"


async def show(portal: Portal, asked: Asked) -> Response[Any]:
    """Everything about oneself."""
    return await _account(portal, asked)


async def change_profile(portal: Portal, asked: Asked) -> Response[Any]:
    """Name and language."""
    user, name, language = asked.me.user, asked.one("name"), language_of(asked.one("language"))
    if language is None:
        raise RequestError("The portal does not speak this language.", param="language")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        return await _account(portal, asked, name=name, faults={"name": asked.say("Enter how you are called.")})
    await portal.db.write(partial(users.any_tenant_set_profile, user_id=user.id, name=name, language=language))
    return go(asked, "/account", said=asked.say("Saved."))


async def password(portal: Portal, asked: Asked) -> Response[Any]:
    """The form for another password."""
    return proof_owed(portal, asked, PASSWORD) or page(asked, "account/password.html", fault=None)


async def change_password(portal: Portal, asked: Asked) -> Response[Any]:
    """Another password."""
    if (elsewhere := proof_owed(portal, asked, PASSWORD)) is not None:
        return elsewhere
    new, again = asked.form.get("password", [""])[-1], asked.form.get("again", [""])[-1]
    if new != again:
        return page(asked, "account/password.html", status=422, fault="different")
    try:
        await portal.people.passwords.change(asked.me.session, asked.me.user, new, address=asked.address)
    except InvalidParts as fault:
        return page(asked, "account/password.html", status=422, fault=fault.faults[0][1])
    return go(asked, "/account", said=asked.say("Your password is changed; all other browsers are signed out."))


async def end_session(portal: Portal, asked: Asked) -> Response[Any]:
    """Signs another browser out."""
    mine = await portal.sessions.of_user(asked.me.user.id)
    if asked.path["id"] not in [one.id for one in mine]:
        raise NotFound("This browser is no longer signed in.")
    await _end(portal, asked, only=asked.path["id"])
    return go(asked, "/account", said=asked.say("The browser is signed out."))


async def end_others(portal: Portal, asked: Asked) -> Response[Any]:
    """Signs all other browsers out."""
    await _end(portal, asked, but=asked.me.session.id)
    return go(asked, "/account", said=asked.say("All other browsers are signed out."))


async def switch(portal: Portal, asked: Asked) -> Response[Any]:
    """Looks at another of one's companies."""
    place = asked.me.user.in_tenant(asked.one("tenant"))
    if place is None:
        raise NotFound("You have no access to this company.")
    await portal.sessions.switch(asked.me.session, place.tenant_id)
    return go(asked, "/")


async def _end(portal: Portal, asked: Asked, *, but: str | None = None, only: str | None = None) -> None:
    user = asked.me.user
    told: list[Entry] = portal.people.sign_in.entries(user, "sessions_ended", asked.address, with_="account")
    await portal.people.sign_in.tell(told, partial(sessions.any_tenant_end, user_id=user.id, but=but, only=only))


async def _account(
    portal: Portal, asked: Asked, *, name: str | None = None, faults: dict[str, str] | None = None
) -> Response[bytes]:
    user = asked.me.user
    state = await portal.people.factors.state(user)
    listed = await portal.sessions.of_user(user.id)
    return page(
        asked,
        "account/show.html",
        status=422 if faults else 200,
        name=user.name if name is None else name,
        faults=faults,
        state=state,
        passkeys_usable=portal.people.passkeys.usable,
        zone=zone_of(asked),
        sessions=[(one, described(one.browser), one.id == asked.me.session.id) for one in listed],
        companies=[one for place in user.memberships if (one := portal.tenant(place.tenant_id)) is not None],
    )


ROUTES = (
    Route(path="/account", handler=show, needs="user"),
    Route(path="/account/profile", handler=change_profile, needs="user", method="POST"),
    Route(path=PASSWORD, handler=password, needs="user"),
    Route(path=PASSWORD, handler=change_password, needs="user", method="POST"),
    Route(path="/account/sessions/{id}/end", handler=end_session, needs="user", method="POST"),
    Route(path="/account/sessions/end-others", handler=end_others, needs="user", method="POST"),
    Route(path="/switch", handler=switch, needs="user", method="POST"),
)

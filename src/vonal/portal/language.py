"""The switch between the languages: for the browser, and for the person who is signed in."""

from functools import partial
from typing import Any

from litestar import Response
from litestar.datastructures import Cookie

from vonal.domain.errors import InvalidRequest
from vonal.portal.asked import Asked
from vonal.portal.page import go
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.words import COOKIE, language_of
from vonal.store import users

_YEAR = 365 * 24 * 3600


async def choose(portal: Portal, asked: Asked) -> Response[Any]:
    """Takes the language up, and goes back to where the person was."""
    chosen = language_of(asked.one("language"))
    if chosen is None:
        raise InvalidRequest("The portal does not speak this language.", param="language")
    if asked.viewer is not None:
        user = asked.viewer.user
        await portal.db.write(partial(users.any_tenant_set_profile, user_id=user.id, name=user.name, language=chosen))
    back = asked.one("back")
    own = back.startswith("/") and not back.startswith(("//", "/\\"))
    answer = go(asked, back if own else "/")
    kept = Cookie(key=COOKIE, value=chosen, path="/", max_age=_YEAR, secure=portal.secure, httponly=True)
    answer.cookies.append(kept)
    return answer


ROUTES = (Route(path="/language", handler=choose, needs="anybody", method="POST"),)

"""The call log: newest first, with filters in the address, page by page."""

from functools import partial
from typing import Any

from litestar import Response

from vonal.domain.call import Call
from vonal.domain.errors import InvalidRequest
from vonal.portal import call_filters
from vonal.portal.asked import Asked
from vonal.portal.own_calls import NOBODYS
from vonal.portal.page import page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import calls

PATH = "/calls"
ROWS = 50


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """A page of it; only its rows for a script."""
    search = await call_filters.read(portal, asked)
    after = asked.one("after") or None
    found: list[Call] = []
    cursor: str | None = None
    if search.wanted is not None:
        look = partial(calls.listing, asked.tenant.id, wanted=search.wanted, after=after, limit=ROWS)
        try:
            found, cursor = await portal.db.read(look)
        except ValueError as fault:
            raise InvalidRequest("This address is cut off; begin with the newest calls.") from fault
    given: dict[str, Any] = {
        "search": search,
        "calls": found,
        "faults": {name: asked.say(text) for name, text in search.faults.items()},
        "people": [(one.number, f"{one.number} {one.name}".strip()) for one in asked.tenant.extensions],
        "first": after is None,
        "older": search.address(PATH, after=cursor) if cursor else None,
        "here": search.address(PATH),
        "export": search.address("/calls.csv"),
        "no_extension": search.wanted is not None and search.wanted.own == NOBODYS,
    }
    return page(asked, "calls/rows.html" if asked.is_fragment else "calls/list.html", **given)


ROUTES = (Route(path=PATH, handler=listing, needs="member"),)

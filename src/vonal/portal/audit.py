"""The audit log: who did what, when and from where, and what it changed."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from litestar import Response

from vonal.domain.audit import Entry
from vonal.domain.errors import InvalidRequest
from vonal.portal.account import zone_of
from vonal.portal.asked import Asked
from vonal.portal.page import page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import audit as store
from vonal.users.difference import Change, changes_of, has_hidden

ROWS = 50


async def listing(portal: Portal, asked: Asked) -> Response[Any]:
    """The tenant's."""
    find = partial(store.listing, asked.tenant.id)
    kinds = await portal.db.read(partial(store.kinds, asked.tenant.id))
    return await _page(portal, asked, find, kinds=kinds, everywhere=False)


async def everything(portal: Portal, asked: Asked) -> Response[Any]:
    """Of all tenants, and of the service itself."""
    kinds = await portal.db.read(store.any_tenant_kinds)
    return await _page(portal, asked, store.any_tenant_listing, kinds=kinds, everywhere=True)


async def _page(portal: Portal, asked: Asked, find: Any, *, kinds: list[str], everywhere: bool) -> Response[Any]:
    kind, who, after = asked.one("kind"), asked.one("who"), asked.one("after")
    try:
        look = partial(find, kind=kind or None, who=who or None, after=after or None, limit=ROWS)
        found, cursor = await portal.db.read(look)
    except ValueError as fault:
        raise InvalidRequest("This page of the list does not exist.", param="after") from fault
    filters = {name: value for name, value in (("kind", kind), ("who", who)) if value}
    path = "/operator/audit" if everywhere else "/audit"
    return page(
        asked,
        "audit/list.html",
        rows=[(one, *_changes(one)) for one in found],
        kinds=kinds,
        kind=kind,
        who=who,
        path=path,
        everywhere=everywhere,
        zone=zone_of(asked),
        newer=f"{path}?{urlencode(filters)}" if after else None,
        older=f"{path}?{urlencode({**filters, 'after': cursor})}" if cursor else None,
    )


def _changes(entry: Entry) -> tuple[list[Change], bool]:
    """The members that changed; and whether what changed is a secret, which is not shown."""
    changes = changes_of(entry.before, entry.after)
    return changes, not changes and entry.action == "change" and has_hidden(entry.after)


ROUTES = (
    Route(path="/audit", handler=listing, needs="see_audit"),
    Route(path="/operator/audit", handler=everything, needs="operator"),
)

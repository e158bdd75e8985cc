"""Whose calls somebody sees: everybody's, or those of his own extension. Everything about calls asks here."""

from vonal.domain.call import Call
from vonal.domain.errors import CallNotFound
from vonal.portal.asked import Asked, Viewer
from vonal.portal.services import Portal
from vonal.store.call_keys import extensions_of

NOBODYS = "-"  # no extension is called so


def own(viewer: Viewer) -> str | None:
    """The extension that must have taken part; None: all calls are seen."""
    return None if viewer.may("all_calls") else viewer.extension or NOBODYS


def may_see(viewer: Viewer, call: Call) -> bool:
    """Whether it is one of those."""
    mine = own(viewer)
    return mine is None or mine in extensions_of(call)


async def find(portal: Portal, asked: Asked, call_id: str) -> Call:
    """The call. Raises CallNotFound, also for one that the viewer may not see."""
    call = await portal.control.find(asked.tenant.id, call_id)
    if not may_see(asked.me, call):
        raise CallNotFound("There is no call of this id.")
    return call

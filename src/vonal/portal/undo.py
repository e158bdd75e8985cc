"""Taking a removal back, for a quarter of an hour; what was removed waits on the server, secrets and all."""

from dataclasses import dataclass
from typing import Any

from litestar import Response

from vonal.directory.editing import CredentialsEdit, TenantEdit
from vonal.domain.errors import NotFound
from vonal.domain.users import Permission
from vonal.portal.asked import Asked
from vonal.portal.page import go
from vonal.portal.route import Route
from vonal.portal.services import Portal


@dataclass(frozen=True, kw_only=True)
class Undo:
    """`edit` takes back what was done; `back`: the page to show then. `needs`: who may."""

    back: str
    needs: Permission
    edit: TenantEdit | None = None
    credentials: CredentialsEdit | None = None


def kept(portal: Portal, asked: Asked, undo: Undo) -> str:
    """The path that takes it back, for a quarter of an hour."""
    return f"/undo/{portal.shelf.put(asked.tenant.id, undo)}"


async def undo(portal: Portal, asked: Asked) -> Response[Any]:
    """It is again as it was."""
    found = portal.shelf.look(asked.path["name"], Undo, tenant_id=asked.tenant.id)
    if found is None or not asked.me.may(found.needs):
        raise NotFound("It is too late to take this back.")
    if found.edit:
        await portal.editor.tenant(asked.tenant.id, found.edit, by=asked.actor)
    if found.credentials:
        await portal.editor.credentials(asked.tenant.id, found.credentials, by=asked.actor)
    portal.shelf.take(asked.path["name"], Undo, tenant_id=asked.tenant.id)
    return go(asked, found.back, said=asked.say("Taken back: it is as it was."))


ROUTES = (Route(path="/undo/{name}", handler=undo, needs="member", method="POST"),)

"""The operator's trunks: the ways to the telephone network."""

from typing import Any

from litestar import Response

from vonal.directory import editing, tenancy
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import Trunk
from vonal.domain.errors import InvalidParts
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of, lines
from vonal.portal.operator import actor
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal

_EMPTY = {"id": "", "address": "", "match": "", "username": "", "register": ""}


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """All of them, and who calls out by each."""
    directory = portal.directory()
    users = {one.id: tenancy.calling_out_by(directory, one.id) for one in directory.trunks}
    return page(asked, "operator/trunks.html", trunks=directory.trunks, users=users)


async def new(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form for another one."""
    return _form(asked, None)


async def add(portal: Portal, asked: Asked) -> Response[Any]:
    """It is there."""
    return await _save(portal, asked, None)


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """One of them, with its form."""
    return _form(asked, _trunk(portal, asked))


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """It is reached otherwise from now on."""
    return await _save(portal, asked, _trunk(portal, asked))


async def ask_to_remove(portal: Portal, asked: Asked) -> Response[bytes]:
    """What would be gone, or why it cannot go."""
    return _removal(portal, asked, _trunk(portal, asked))


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """It is no more."""
    trunk = _trunk(portal, asked)
    try:
        await portal.editor.directory(tenancy.without_trunk(trunk.id), by=actor(asked))
    except InvalidParts:
        return _removal(portal, asked, trunk, status=409)
    return go(asked, "/operator/trunks", said=asked.say("%(name)s is removed.", name=trunk.id))


async def _save(portal: Portal, asked: Asked, stored: Trunk | None) -> Response[Any]:
    typed = {name: asked.one(name) for name in _EMPTY}
    if stored:
        typed["id"] = stored.id
    try:
        sent = {
            **typed,
            "match": lines(typed["match"]),
            "username": typed["username"] or None,
            "password": asked.one("password") or None,
            "register": "true" if typed["register"] else "false",
        }
        trunk = editing.read(sent, Trunk)
        edit = tenancy.with_trunk(trunk, shown=asked.one("shown") if stored else None)
        await portal.editor.directory(edit, by=actor(asked))
    except InvalidParts as fault:
        return _form(asked, stored, typed=typed, faults=faults_of(asked, fault, under=f"{typed['id']}."), status=422)
    except ChangedMeanwhile:
        return _form(asked, _trunk(portal, asked), typed=typed, changed=True, status=409)
    return go(asked, "/operator/trunks", said=asked.say(SAVED))


def _trunk(portal: Portal, asked: Asked) -> Trunk:
    return tenancy.find_trunk(portal.directory(), asked.path["id"])


def _form(
    asked: Asked,
    trunk: Trunk | None,
    *,
    typed: dict[str, str] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    stored = _EMPTY
    if trunk:
        stored = {
            "id": trunk.id,
            "address": trunk.address,
            "match": "\n".join(trunk.match),
            "username": trunk.username or "",
            "register": "on" if trunk.register else "",
        }
    return page(
        asked,
        "operator/trunk.html",
        status=status,
        trunk=trunk,
        stored=stored,
        typed=typed or stored,
        shown=editing.digest(trunk) if trunk else "",
        faults=faults or {},
        changed=changed,
    )


def _removal(portal: Portal, asked: Asked, trunk: Trunk, *, status: int = 200) -> Response[bytes]:
    users = tenancy.calling_out_by(portal.directory(), trunk.id)
    return page(asked, "operator/trunk_remove.html", status=status, trunk=trunk, users=users)


ROUTES = (
    Route(path="/operator/trunks", handler=listing, needs="operator"),
    Route(path="/operator/new-trunk", handler=new, needs="operator"),
    Route(path="/operator/new-trunk/add", handler=add, needs="operator", method="POST"),
    Route(path="/operator/trunks/{id}", handler=show, needs="operator"),
    Route(path="/operator/trunks/{id}/save", handler=save, needs="operator", method="POST"),
    Route(path="/operator/trunks/{id}/remove", handler=ask_to_remove, needs="operator"),
    Route(path="/operator/trunks/{id}/remove-now", handler=remove, needs="operator", method="POST"),
)

"""Recordings: which calls are recorded, as what, and for how long that is kept."""

from typing import Any

import msgspec
from litestar import Response
from msgspec.structs import replace

from vonal.calls import shortening
from vonal.directory import editing
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import RecordingPolicy, Tenant
from vonal.domain.errors import InvalidParts
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal

_FIELDS = ("mode", "format", "retention_days")


async def show(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The rules as they are."""
    return _form(asked, asked.tenant.recording)


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """Others from now on; what is kept for a shorter time is asked about first."""
    stored, typed = asked.tenant.recording, {name: asked.one(name) for name in _FIELDS}
    older = asked.one("older")
    try:
        wanted = editing.read(typed, RecordingPolicy)
        if wanted.retention_days < stored.retention_days and older not in ("keep", "delete"):
            over = await shortening.over(portal.db, asked.tenant.id, wanted.retention_days)
            return page(
                asked,
                "recordings/shorten.html",
                typed=typed,
                stored=stored,
                over=over,
                most=shortening.MOST_COUNTED,
                shown=asked.one("shown"),
            )
        await portal.editor.tenant(asked.tenant.id, _changed(wanted, shown=asked.one("shown")), by=asked.actor)
    except InvalidParts as fault:
        return _form(asked, stored, typed=typed, faults=faults_of(asked, fault, under="recording."), status=422)
    except ChangedMeanwhile:
        fresh = portal.tenant(asked.tenant.id) or asked.tenant
        return _form(asked, fresh.recording, typed=typed, changed=True, status=409)
    if older != "delete":
        return go(asked, "/recordings", said=asked.say(SAVED))
    count = await shortening.shorten(portal.db, asked.tenant.id, wanted.retention_days, by=asked.actor)
    text = asked.say("Saved, and in effect. Recordings that are deleted sooner than was meant: %(count)s.", count=count)
    return go(asked, "/recordings", said=text)


def _changed(wanted: RecordingPolicy, *, shown: str) -> editing.TenantEdit:
    def edit(tenant: Tenant) -> Tenant:
        editing.unchanged(tenant.recording, shown)
        return replace(tenant, recording=wanted)

    return edit


def _form(
    asked: Asked,
    policy: RecordingPolicy,
    *,
    typed: dict[str, str] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    stored = {name: str(value) for name, value in msgspec.to_builtins(policy).items()}
    return page(
        asked,
        "recordings/rules.html",
        status=status,
        stored=stored,
        typed=typed or stored,
        shown=editing.digest(policy),
        faults=faults or {},
        changed=changed,
    )


ROUTES = (
    Route(path="/recordings", handler=show, needs="change_directory"),
    Route(path="/recordings/save", handler=save, needs="change_directory", method="POST"),
)

"""Settings: what the company is called, how it is spoken to, who is told of trouble, and which number it shows."""

from typing import Any

from litestar import Response
from msgspec import Struct
from msgspec.structs import replace

from vonal.directory import check, editing
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import Name, Tenant
from vonal.domain.errors import InvalidParts
from vonal.domain.users import Language
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of, lines
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal


class Sent(Struct, frozen=True, kw_only=True):
    """What the form sends. `caller_id` is empty where nobody may call out."""

    name: Name
    language: Language
    timezone: str
    notify: list[str] = []
    caller_id: str | None = None


async def show(_portal: Portal, asked: Asked) -> Response[bytes]:
    """As they are."""
    return _form(asked, asked.tenant)


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """Others from now on. The line, the countries and how many calls at once are the operator's, against toll fraud."""
    typed = {name: asked.one(name) for name in ("name", "language", "timezone", "notify", "caller_id")}
    try:
        sent = {**typed, "notify": lines(typed["notify"]), "caller_id": typed["caller_id"] or None}
        edit = _changed(editing.read(sent, Sent), shown=asked.one("shown"))
        await portal.editor.tenant(asked.tenant.id, edit, by=asked.actor)
    except InvalidParts as fault:
        return _form(asked, asked.tenant, typed=typed, faults=faults_of(asked, fault, under="outbound."), status=422)
    except ChangedMeanwhile:
        fresh = portal.tenant(asked.tenant.id) or asked.tenant
        return _form(asked, fresh, typed=typed, changed=True, status=409)
    return go(asked, "/settings", said=asked.say(SAVED))


def _changed(wanted: Sent, *, shown: str) -> editing.TenantEdit:
    def edit(tenant: Tenant) -> Tenant:
        editing.unchanged(_face(tenant), shown)
        outbound = tenant.outbound
        if outbound and wanted.caller_id:
            outbound = replace(outbound, caller_id=wanted.caller_id)
        return replace(
            tenant,
            name=wanted.name,
            language=wanted.language,
            timezone=wanted.timezone,
            notify=wanted.notify,
            outbound=outbound,
        )

    return edit


def _face(tenant: Tenant) -> dict[str, str]:
    return {
        "name": tenant.name,
        "language": tenant.language,
        "timezone": tenant.timezone,
        "notify": "\n".join(tenant.notify),
        "caller_id": tenant.outbound.caller_id if tenant.outbound else "",
    }


def _form(
    asked: Asked,
    tenant: Tenant,
    *,
    typed: dict[str, str] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    stored = _face(tenant)
    return page(
        asked,
        "settings/company.html",
        status=status,
        tenant=tenant,
        stored=stored,
        typed=typed or stored,
        shown=editing.digest(stored),
        faults=faults or {},
        changed=changed,
        timezones=sorted(check.timezones()),
    )


ROUTES = (
    Route(path="/settings", handler=show, needs="change_directory"),
    Route(path="/settings/save", handler=save, needs="change_directory", method="POST"),
)

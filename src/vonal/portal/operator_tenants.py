"""The operator's tenants: made, changed, their numbers given and taken, and removed."""

from typing import Any

from litestar import Response

from vonal.directory import check, editing, tenancy
from vonal.directory import numbers as number_edits
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import Number, Outbound, Tenant
from vonal.domain.errors import InvalidParts
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of, lines, refusing
from vonal.portal.operator import actor, tenant_of
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.said import Said
from vonal.portal.services import Portal

_ABOUT = ("name", "country", "language", "timezone")
_OUTBOUND = ("trunk", "caller_id", "countries", "max_calls")


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """All of them, or those that are looked for."""
    tenants, wanted = portal.directory().tenants, asked.one("q").casefold()
    shown = [one for one in tenants if wanted in f"{one.id} {one.name} {_numbers(one)}".casefold()]
    template = "operator/tenant_rows.html" if asked.is_fragment else "operator/tenants.html"
    return page(asked, template, tenants=shown, total=len(tenants), q=asked.one("q"))


async def new(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form for another one."""
    typed = {"id": "", "name": "", "country": "HU", "language": "hu", "timezone": "Europe/Budapest"}
    return _new_form(asked, typed)


async def add(portal: Portal, asked: Asked) -> Response[Any]:
    """It is there: empty, for its people or the operator to fill."""
    typed = {name: asked.one(name) for name in ("id", *_ABOUT)}
    try:
        tenant = editing.read(typed, Tenant)
        await portal.editor.directory(tenancy.with_tenant(tenant), by=actor(asked))
    except InvalidParts as fault:
        return _new_form(asked, typed, faults_of(asked, fault, under=f"{typed['id']}."), status=422)
    return go(asked, f"/operator/tenants/{tenant.id}", said=asked.say("The company is made."))


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """One of them, with its forms."""
    return _form(portal, asked, tenant_of(portal, asked))


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """It is called, spoken to and allowed otherwise from now on."""
    tenant = tenant_of(portal, asked)
    typed = {name: asked.one(name) for name in (*_ABOUT, *_OUTBOUND)}
    try:
        about = editing.read({"id": tenant.id, **{name: typed[name] for name in _ABOUT}}, tenancy.About)
        edit = tenancy.changed(about, _outbound(typed), shown=asked.one("shown"))
        await portal.editor.tenant(tenant.id, edit, by=actor(asked))
    except InvalidParts as fault:
        return _form(portal, asked, tenant, typed=typed, faults=faults_of(asked, fault, under="outbound."), status=422)
    except ChangedMeanwhile:
        return _form(portal, asked, tenant_of(portal, asked), typed=typed, changed=True, status=409)
    return go(asked, f"/operator/tenants/{tenant.id}", said=asked.say(SAVED))


async def add_number(portal: Portal, asked: Asked) -> Response[Any]:
    """Another number is the tenant's, and rings an extension; its people change whom."""
    tenant = tenant_of(portal, asked)
    typed = {"number": asked.one("number"), "number_name": asked.one("number_name"), "ring": asked.many("ring")}
    try:
        refusing([] if typed["ring"] else [("ring", "needs a phone to ring")])
        sent = {"number": typed["number"], "name": typed["number_name"], "ring": typed["ring"]}
        await portal.editor.tenant(tenant.id, number_edits.added(editing.read(sent, Number)), by=actor(asked))
    except InvalidParts as fault:
        faults = faults_of(asked, fault, under="numbers[0].")
        faults = {"number_name" if field == "name" else field: reason for field, reason in faults.items()}
        return _form(portal, asked, tenant, number=typed, faults=faults, status=422)
    return go(asked, f"/operator/tenants/{tenant.id}", said=asked.say(SAVED))


async def ask_to_remove_number(portal: Portal, asked: Asked) -> Response[bytes]:
    """Who can no longer be called, or why the number cannot go."""
    tenant = tenant_of(portal, asked)
    return _number_removal(asked, tenant, number_edits.find(tenant, f"+{asked.path['number']}"))


async def remove_number(portal: Portal, asked: Asked) -> Response[Any]:
    """The number is the tenant's no more."""
    tenant = tenant_of(portal, asked)
    number = number_edits.find(tenant, f"+{asked.path['number']}")
    try:
        await portal.editor.tenant(tenant.id, number_edits.without(number.number), by=actor(asked))
    except InvalidParts:
        return _number_removal(asked, tenant, number, status=409)
    text = asked.say("Number %(number)s is removed.", number=number.number)
    return go(asked, f"/operator/tenants/{tenant.id}", said=Said(text=text))


async def ask_to_remove(portal: Portal, asked: Asked) -> Response[bytes]:
    """What would be gone."""
    return page(asked, "operator/tenant_remove.html", tenant=tenant_of(portal, asked), faults={})


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """The tenant is no more; its past calls and recordings stay. The id must have been typed."""
    tenant = tenant_of(portal, asked)
    if asked.one("confirm") != tenant.id:
        faults = faults_of(asked, InvalidParts([("confirm", "type the id to confirm")]))
        return page(asked, "operator/tenant_remove.html", status=422, tenant=tenant, faults=faults)
    await portal.editor.directory(tenancy.without_tenant(tenant.id), by=actor(asked))
    return go(asked, "/operator/tenants", said=asked.say("%(name)s is removed.", name=tenant.name or tenant.id))


def _numbers(tenant: Tenant) -> str:
    return " ".join(one.number for one in tenant.numbers)


def _outbound(typed: dict[str, str]) -> Outbound | None:
    """Raises InvalidParts."""
    if not typed["trunk"]:
        return None
    refusing([] if typed["caller_id"] else [("caller_id", "needs a number of its own")])
    sent = {name: typed[name] for name in ("trunk", "caller_id", "max_calls")}
    return editing.read({**sent, "countries": [one.upper() for one in lines(typed["countries"])]}, Outbound)


def _new_form(
    asked: Asked, typed: dict[str, str], faults: Faults | None = None, *, status: int = 200
) -> Response[bytes]:
    zones = sorted(check.timezones())
    return page(asked, "operator/tenant_new.html", status=status, typed=typed, faults=faults or {}, timezones=zones)


def _stored(tenant: Tenant) -> dict[str, str]:
    out = tenant.outbound
    return {
        "name": tenant.name,
        "country": tenant.country,
        "language": tenant.language,
        "timezone": tenant.timezone,
        "trunk": out.trunk if out else "",
        "caller_id": out.caller_id if out else "",
        "countries": ", ".join(out.countries) if out else tenant.country,
        "max_calls": str(out.max_calls if out else 10),
    }


def _form(  # noqa: PLR0913 - what a form shows
    portal: Portal,
    asked: Asked,
    tenant: Tenant,
    *,
    typed: dict[str, str] | None = None,
    number: dict[str, Any] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    stored = _stored(tenant)
    first = [one.number for one in tenant.extensions][:1]
    return page(
        asked,
        "operator/tenant.html",
        status=status,
        tenant=tenant,
        stored=stored,
        typed=typed or stored,
        number=number or {"number": "", "number_name": "", "ring": first},
        shown=editing.digest(tenancy.face(tenant)),
        faults=faults or {},
        changed=changed,
        trunks=[one.id for one in portal.directory().trunks],
        timezones=sorted(check.timezones()),
    )


def _number_removal(asked: Asked, tenant: Tenant, number: Number, *, status: int = 200) -> Response[bytes]:
    found = number_edits.in_use(tenant, number.number)
    faults = faults_of(asked, InvalidParts(found)) if found else {}
    return page(asked, "operator/number_remove.html", status=status, tenant=tenant, number=number, faults=faults)


_ONE = "/operator/tenants/{id}"
ROUTES = (
    Route(path="/operator/tenants", handler=listing, needs="operator"),
    Route(path="/operator/new-tenant", handler=new, needs="operator"),
    Route(path="/operator/new-tenant/add", handler=add, needs="operator", method="POST"),
    Route(path=_ONE, handler=show, needs="operator"),
    Route(path=f"{_ONE}/save", handler=save, needs="operator", method="POST"),
    Route(path=f"{_ONE}/add-number", handler=add_number, needs="operator", method="POST"),
    Route(path=f"{_ONE}/numbers/{{number}}/remove", handler=ask_to_remove_number, needs="operator"),
    Route(path=f"{_ONE}/numbers/{{number}}/remove-now", handler=remove_number, needs="operator", method="POST"),
    Route(path=f"{_ONE}/remove", handler=ask_to_remove, needs="operator"),
    Route(path=f"{_ONE}/remove-now", handler=remove, needs="operator", method="POST"),
)

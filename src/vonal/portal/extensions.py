"""Extensions: who has which phone, whether it is reachable, and what is done to one."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from litestar import Response

from vonal.directory import editing
from vonal.directory import extensions as edits
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.directory import Extension
from vonal.domain.errors import InvalidParts, TelephonyUnavailable
from vonal.domain.telephony import Phone
from vonal.portal import phone_setup
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.said import Said
from vonal.portal.services import Portal
from vonal.portal.undo import Undo, kept
from vonal.store import calls

_UNDER = "extensions[0]."


@dataclass(frozen=True, kw_only=True)
class Row:
    """An extension and its phone; `phone` is None while the phone system does not tell.

    `since`: when the call began that it is in, where that is known.
    """

    extension: Extension
    phone: Phone | None
    since: datetime | None = None


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """All of them, or those that are looked for."""
    rows, known = await _rows(portal, asked)
    wanted = asked.one("q").casefold()
    shown = [one for one in rows if wanted in _searched(one.extension)]
    given: dict[str, Any] = {"rows": shown, "known": known, "total": len(rows), "q": asked.one("q")}
    if asked.is_fragment:
        return page(asked, "extensions/rows.html", **given)
    return page(asked, "extensions/list.html", **given)


async def new(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form for another one."""
    taken = {int(one.number) for one in asked.tenant.extensions}
    free = next((str(number) for number in range(101, 999) if number not in taken), "")
    return _new_form(asked, {"number": free, "name": "", "email": ""})


async def add(portal: Portal, asked: Asked) -> Response[bytes]:
    """It is there, and its secret is shown this once."""
    typed = {name: asked.one(name) for name in ("number", "name", "email")}
    try:
        sent = {**typed, "email": typed["email"] or None, "secret": edits.new_secret()}
        extension = editing.read(sent, Extension)
        await portal.editor.tenant(asked.tenant.id, edits.added(extension), by=asked.actor)
    except InvalidParts as fault:
        return _new_form(asked, typed, faults_of(asked, fault, under=_UNDER), status=422)
    return phone_setup.shown(portal, asked, extension, fresh=True)


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """One of them, and the form to change it."""
    return await _form(portal, asked, edits.find(asked.tenant, asked.path["number"]))


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """It has another name, e-mail address, or for the operator contact."""
    stored = edits.find(asked.tenant, asked.path["number"])
    names = ("name", "email", "contact") if asked.me.user.operator else ("name", "email")
    typed = {name: asked.one(name) for name in names}
    try:
        sent = {"number": stored.number, "contact": stored.contact, **{name: typed[name] or None for name in names}}
        wanted = editing.read(sent, Extension)
        edit = edits.changed(wanted, shown=asked.one("shown"))
        await portal.editor.tenant(asked.tenant.id, edit, by=asked.actor)
    except InvalidParts as fault:
        told = faults_of(asked, fault, under=_UNDER)
        return await _form(portal, asked, stored, typed=typed, faults=told, status=422)
    except ChangedMeanwhile:
        fresh = edits.find(portal.tenant(asked.tenant.id) or asked.tenant, stored.number)
        return await _form(portal, asked, fresh, typed=typed, changed=True, status=409)
    return go(asked, f"/extensions/{stored.number}", said=asked.say(SAVED))


async def ask_to_renew(_portal: Portal, asked: Asked) -> Response[bytes]:
    """What a new secret means."""
    return page(asked, "extensions/renew.html", extension=edits.find(asked.tenant, asked.path["number"]))


async def renew(portal: Portal, asked: Asked) -> Response[bytes]:
    """Its phone has another secret, shown this once."""
    secret = edits.new_secret()
    number = asked.path["number"]
    tenant = await portal.editor.tenant(asked.tenant.id, edits.with_secret(number, secret), by=asked.actor)
    return phone_setup.shown(portal, asked, edits.find(tenant, number), fresh=False)


async def ask_to_remove(_portal: Portal, asked: Asked) -> Response[bytes]:
    """What would be gone, or why it cannot go."""
    return _removal(asked, edits.find(asked.tenant, asked.path["number"]))


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """It is no more; for a while that can be taken back."""
    gone = edits.find(asked.tenant, asked.path["number"])
    try:
        await portal.editor.tenant(asked.tenant.id, edits.without(gone.number), by=asked.actor)
    except InvalidParts:
        return _removal(asked, gone, status=409)
    undo = Undo(back="/extensions", needs="change_directory", edit=edits.added(gone))
    text = asked.say("Extension %(number)s is removed.", number=gone.number)
    return go(asked, "/extensions", said=Said(text=text, undo=kept(portal, asked, undo)))


async def _rows(portal: Portal, asked: Asked) -> tuple[list[Row], bool]:
    known = True
    phones: dict[str, Phone] = {}
    try:
        phones = await portal.phones(asked.tenant.id)
    except TelephonyUnavailable:
        known = False
    extensions = sorted(asked.tenant.extensions, key=lambda one: (len(one.number), one.number))
    away = Phone(registered=False) if known else None
    since = await _since(portal, asked) if any(one.channels for one in phones.values()) else {}
    rows = [Row(extension=one, phone=phones.get(one.number, away), since=since.get(one.number)) for one in extensions]
    return rows, known


async def _since(portal: Portal, asked: Asked) -> dict[str, datetime]:
    """When the calls began that the extensions are in."""
    found: dict[str, datetime] = {}
    for call in await portal.db.read(partial(calls.under_way, asked.tenant.id)):
        for leg in call.legs:
            if leg.extension and leg.ended_at is None:
                began = leg.answered_at or leg.started_at
                found[leg.extension] = min(began, found.get(leg.extension, began))
    return found


def _searched(extension: Extension) -> str:
    return f"{extension.number} {extension.name} {extension.email or ''}".casefold()


def _new_form(
    asked: Asked, typed: dict[str, str], faults: Faults | None = None, *, status: int = 200
) -> Response[bytes]:
    return page(asked, "extensions/new.html", status=status, typed=typed, faults=faults or {})


async def _form(
    portal: Portal,
    asked: Asked,
    extension: Extension,
    *,
    typed: dict[str, str] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    rows, known = await _rows(portal, asked)
    here = next((one for one in rows if one.extension.number == extension.number), Row(extension=extension, phone=None))
    stored = {"name": extension.name, "email": extension.email or "", "contact": extension.contact or ""}
    return page(
        asked,
        "extensions/show.html",
        status=status,
        row=Row(extension=extension, phone=here.phone, since=here.since),
        known=known,
        stored=stored,
        typed={**stored, **(typed or {})},
        shown=editing.digest(edits.face(extension)),
        faults=faults or {},
        changed=changed,
        rung_by=edits.ringing(asked.tenant, extension.number),
        login=phone_setup.login(asked.tenant.id, extension),
        server=portal.sip_server,
    )


def _removal(asked: Asked, extension: Extension, *, status: int = 200) -> Response[bytes]:
    faults = faults_of(asked, InvalidParts(found)) if (found := edits.in_use(asked.tenant, extension.number)) else {}
    return page(asked, "extensions/remove.html", status=status, extension=extension, faults=faults)


ROUTES = (
    Route(path="/extensions", handler=listing, needs="all_calls"),
    Route(path="/extensions/new", handler=new, needs="change_directory"),
    Route(path="/extensions/add", handler=add, needs="change_directory", method="POST"),
    Route(path="/extensions/{number}", handler=show, needs="all_calls"),
    Route(path="/extensions/{number}/save", handler=save, needs="change_directory", method="POST"),
    Route(path="/extensions/{number}/new-secret", handler=ask_to_renew, needs="change_directory"),
    Route(path="/extensions/{number}/renew", handler=renew, needs="change_directory", method="POST"),
    Route(path="/extensions/{number}/remove", handler=ask_to_remove, needs="change_directory"),
    Route(path="/extensions/{number}/remove-now", handler=remove, needs="change_directory", method="POST"),
)

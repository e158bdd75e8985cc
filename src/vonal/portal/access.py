"""API access: users and keys of other programs, and lines to try them with."""

from collections.abc import Sequence
from functools import partial
from typing import Any, get_args
from urllib.parse import urlencode

from litestar import Response
from msgspec import Struct

from vonal.directory import access as edits
from vonal.directory import editing
from vonal.directory.editing import ChangedMeanwhile
from vonal.domain.audit import Entry
from vonal.domain.directory import SCOPES
from vonal.domain.errors import InvalidParts
from vonal.domain.principal import Credential, CredentialKind
from vonal.portal import curl
from vonal.portal.asked import Asked
from vonal.portal.forms import SAVED, Faults, faults_of, lines
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.said import Said
from vonal.portal.services import Portal
from vonal.portal.undo import Undo, kept
from vonal.store import audit
from vonal.store import directory as store
from vonal.store.calls import CallFilter
from vonal.store.calls import listing as calls

LOOKED_THROUGH = 20  # of the newest calls, for one with a recording


class Known(Struct, frozen=True, kw_only=True):
    """A credential; `made` tells by whom and when, where that is known."""

    credential: Credential
    made: Entry | None

    @property
    def query(self) -> str:
        """Names it in an address: its name may hold anything."""
        return urlencode({"kind": self.credential.kind, "name": self.credential.name})


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """All of them, and how to use one."""
    lines_ = await _lines(portal, asked)
    if asked.is_fragment:
        return page(asked, "access/lines.html", **lines_)
    return page(asked, "access/list.html", known=await _known(portal, asked), **lines_)


async def new(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form for another one."""
    typed = {"kind": "key", "name": "", "scopes": list(SCOPES), "networks": ""}
    return page(asked, "access/new.html", typed=typed, faults={})


async def add(portal: Portal, asked: Asked) -> Response[bytes]:
    """It works from now on; its secret is shown this once."""
    typed = {"kind": asked.one("kind"), "name": asked.one("name"), **_typed(asked)}
    try:
        made = edits.make(
            asked.tenant.id,
            kind=_kind(typed["kind"]),
            name=typed["name"],
            scopes=typed["scopes"],
            networks=lines(typed["networks"]),
        )
        await portal.editor.credentials(asked.tenant.id, edits.added(made.credential), by=asked.actor)
    except InvalidParts as fault:
        return page(asked, "access/new.html", status=422, typed=typed, faults=faults_of(asked, fault))
    given = await _lines(portal, asked, made=made)
    return page(asked, "access/secret.html", made=made, **given)


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """One of them, with its rights."""
    return _form(asked, await _one(portal, asked))


async def save(portal: Portal, asked: Asked) -> Response[Any]:
    """It may do other things from now on; its secret stays."""
    known, typed = await _one(portal, asked), _typed(asked)
    stored = known.credential
    shown = asked.one("shown")
    try:
        edit = edits.with_rights(
            stored.kind,
            stored.name,
            scopes=typed["scopes"],
            networks=lines(typed["networks"]),
            seen=lambda one: editing.unchanged(_face(one), shown),
        )
        await portal.editor.credentials(asked.tenant.id, edit, by=asked.actor)
    except InvalidParts as fault:
        return _form(asked, known, typed=typed, faults=faults_of(asked, fault), status=422)
    except ChangedMeanwhile:
        return _form(asked, await _one(portal, asked), typed=typed, changed=True, status=409)
    return go(asked, "/access", said=asked.say(SAVED))


async def ask_to_remove(portal: Portal, asked: Asked) -> Response[bytes]:
    """What stops working."""
    return page(asked, "access/remove.html", known=await _one(portal, asked))


async def remove(portal: Portal, asked: Asked) -> Response[Any]:
    """It works no more; for a while that can be taken back, with the same secret."""
    gone = (await _one(portal, asked)).credential
    await portal.editor.credentials(asked.tenant.id, edits.without(gone.kind, gone.name), by=asked.actor)
    undo = Undo(back="/access", needs="change_access", credentials=edits.added(gone))
    text = asked.say("%(name)s is deleted, and works no more.", name=gone.name[:80])
    return go(asked, "/access", said=Said(text=text, undo=kept(portal, asked, undo)))


async def _known(portal: Portal, asked: Asked) -> list[Known]:
    found = await portal.db.read(partial(store.credentials, asked.tenant.id))
    made = {
        "user": await portal.db.read(partial(audit.made, asked.tenant.id, kind="api_user")),
        "key": await portal.db.read(partial(audit.made, asked.tenant.id, kind="api_key")),
    }
    return [Known(credential=one, made=made[one.kind].get(one.name)) for one in found]


async def _one(portal: Portal, asked: Asked) -> Known:
    known = await _known(portal, asked)
    found = edits.find([one.credential for one in known], asked.one("kind"), (asked.many("name") or [""])[-1])
    return next(one for one in known if one.credential is found)


def _kind(text: str) -> CredentialKind:
    return "user" if text == "user" else "key"


def _typed(asked: Asked) -> dict[str, Any]:
    return {"scopes": asked.many("scopes"), "networks": asked.one("networks")}


def _face(credential: Credential) -> tuple[Sequence[str], Sequence[str]]:
    return credential.scopes, credential.networks


def _form(
    asked: Asked,
    known: Known,
    *,
    typed: dict[str, Any] | None = None,
    faults: Faults | None = None,
    changed: bool = False,
    status: int = 200,
) -> Response[bytes]:
    one = known.credential
    stored = {"scopes": list(one.scopes), "networks": "\n".join(one.networks)}
    return page(
        asked,
        "access/show.html",
        status=status,
        known=known,
        stored=stored,
        typed=typed or stored,
        shown=editing.digest(_face(one)),
        faults=faults or {},
        changed=changed,
    )


async def _lines(portal: Portal, asked: Asked, *, made: edits.Made | None = None) -> dict[str, Any]:
    """Lines for curl, with an extension, a number and a recording that are there."""
    forms = curl.OF_KIND[made.credential.kind] if made else curl.FORMS
    wanted = asked.one("form")
    form = next((one for one in get_args(curl.Form) if one == wanted and one in forms), forms[0])
    tenant = asked.tenant
    extension = asked.me.extension or min((one.number for one in tenant.extensions), default="101")
    shown = curl.Shown(
        base_url=portal.base_url,
        extension=extension,
        number=min((one.number for one in tenant.numbers), default="+3612345678"),
        recording_id=await _recording(portal, asked),
        form=form,
        user=made.credential.name if made else curl.YOUR_USER,
        secret=made.secret if made else "",
    )
    texts = {"call": curl.click_to_call(shown), "read": curl.calls(shown), "recording": curl.recording(shown)}
    return {"form": form, "forms": forms, "lines": texts, "extension": extension}


async def _recording(portal: Portal, asked: Asked) -> str:
    newest, _ = await portal.db.read(partial(calls, asked.tenant.id, wanted=CallFilter(), limit=LOOKED_THROUGH))
    ready = [one.id for call in newest for one in call.recordings if one.state == "ready"]
    return ready[0] if ready else "rec_…"


ROUTES = (
    Route(path="/access", handler=listing, needs="change_access"),
    Route(path="/access/new", handler=new, needs="change_access"),
    Route(path="/access/add", handler=add, needs="change_access", method="POST"),
    Route(path="/access/one", handler=show, needs="change_access"),
    Route(path="/access/save", handler=save, needs="change_access", method="POST"),
    Route(path="/access/remove", handler=ask_to_remove, needs="change_access"),
    Route(path="/access/remove-now", handler=remove, needs="change_access", method="POST"),
)

"""The page of a call: what happened, its events, its deliveries, its recordings; and what can be done about it."""

import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
import structlog
from litestar import Response
from litestar.types import ASGIApp

from vonal.calls.converter import ConversionFailed
from vonal.calls.originate import Click
from vonal.domain.audit import Entry
from vonal.domain.call import Call, Recording
from vonal.domain.errors import InvalidRequest, RecordingDeleted, RecordingNotFound, RecordingNotReady
from vonal.domain.events import wire
from vonal.file_answer import Sent, answer
from vonal.portal import own_calls
from vonal.portal.asked import Asked
from vonal.portal.call_times import line
from vonal.portal.page import HEADERS, go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.words import N_
from vonal.store import audit, deliveries, events, recordings
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter

log = structlog.get_logger(__name__)
MOST_DELIVERIES = 50
MOST_REMEMBERED = 10_000  # who has listened to what, so that it is noted once
_heard: WeakKeyDictionary[Database, OrderedDict[tuple[str, str], None]] = WeakKeyDictionary()
_RINGS = N_("Your phone rings; pick it up, and the call goes out.")
_ENDING = N_("The call is being ended.")
_NO_PHONE = N_("You have no extension, and so no phone that could ring.")


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """Everything about one call."""
    call = await own_calls.find(portal, asked, asked.path["id"])
    now = datetime.now(UTC)
    running = call.state in ("requested", "live")
    tenant_id = asked.tenant.id
    told = await portal.db.read(partial(events.of_call, tenant_id, call_id=call.id))
    sent: list[Delivery] = []
    more: str | None = None
    if asked.me.may("see_webhooks"):
        only = DeliveryFilter(call=call.id)
        sent, more = await portal.db.read(partial(deliveries.listing, tenant_id, wanted=only, limit=MOST_DELIVERIES))
    given: dict[str, Any] = {
        "call": call,
        "running": running,
        "unsettled": call.state != "completed",
        "times": wire(call, now if running else None)["times"],
        "line": line(call, now),
        "events": [(one, msgspec.json.format(msgspec.json.encode(one.data), indent=2).decode()) for one in told],
        "deliveries": sorted(sent, key=lambda one: one.created_at),
        "more_deliveries": more is not None,
        "recordings": [await _recording(portal, tenant_id, one) for one in call.recordings],
        "names": {one.number: one.name for one in asked.tenant.extensions},
        "may_hang_up": running and may_hang_up(asked, call),
        "other_number": number_of_other(call),
    }
    return page(asked, "calls/part.html" if asked.is_fragment else "calls/show.html", **given)


async def _recording(portal: Portal, tenant_id: str, one: Recording) -> tuple[Recording, str | None]:
    """The recording, and why it failed."""
    if one.state != "failed":
        return one, None
    row = await portal.db.read(partial(recordings.find, tenant_id, recording_id=one.id))
    return one, row.reason if row else None


def may_hang_up(asked: Asked, call: Call) -> bool:
    """One's own call, or anybody's for who may."""
    mine = asked.me.extension
    return asked.me.may("live_calls") or any(
        leg.extension == mine and leg.ended_at is None for leg in call.legs if mine is not None
    )


def number_of_other(call: Call) -> str | None:
    """The number at the other end, seen from the company: who can be called back."""
    other = call.to if call.direction == "outbound" else call.from_
    return None if other.anonymous else other.number or other.raw or None


async def ask_hang_up(portal: Portal, asked: Asked) -> Response[Any]:
    """Asks before it. A page of its own, for the rows of the live page change under an open dialog."""
    call = await own_calls.find(portal, asked, asked.path["id"])
    if call.state not in ("requested", "live"):
        return go(asked, f"/calls/{call.id}")
    return page(asked, "calls/hang_up.html", call=call)


async def hang_up(portal: Portal, asked: Asked) -> Response[Any]:
    """Ends the call; who did it is noted."""
    call = await own_calls.find(portal, asked, asked.path["id"])
    if not may_hang_up(asked, call):
        raise InvalidRequest(N_("Only your own calls can be hung up."))
    await note(portal, asked, action="hang_up", kind="call", name=call.id)
    await portal.control.hang_up(asked.tenant.id, call.id)
    return go(asked, "/live" if asked.one("from") == "live" else f"/calls/{call.id}", said=asked.say(_ENDING))


async def call_back(portal: Portal, asked: Asked) -> Response[Any]:
    """Rings the viewer's own phone, and then the other end's."""
    call = await own_calls.find(portal, asked, asked.path["id"])
    number = number_of_other(call)
    if asked.me.extension is None or number is None:
        raise InvalidRequest(_NO_PHONE)
    started = await portal.originator.start(
        asked.tenant.id,
        Click(extension=asked.me.extension, number=number),
        credential=f"user/{asked.me.user.id}",
    )
    await note(portal, asked, action="call", kind="call", name=started.call_id)
    return go(asked, f"/calls/{started.call_id}", said=asked.say(_RINGS))


async def sound(portal: Portal, asked: Asked) -> ASGIApp | Response[bytes]:
    """The recording; with `save` as a file. Listening is noted once for each recording and session."""
    recording_id = asked.path["id"]
    row = await portal.db.read(partial(recordings.find, asked.tenant.id, recording_id=recording_id))
    if row is None:
        raise RecordingNotFound("There is no such recording.")
    await own_calls.find(portal, asked, row.call_id)
    try:
        opened = await portal.open_recording(asked.tenant.id, recording_id, None)
        saved = bool(asked.one("save"))
        made = await answer(
            asked.request,
            Sent(
                path=opened.path,
                etag=opened.etag,
                filename=opened.filename,
                media_type=opened.media_type,
                attached=saved,
                more={name: value for name, value in HEADERS.items() if name not in ("Cache-Control", "Vary")},
            ),
            beyond=lambda fault, headers: Response(content=fault.detail.encode(), status_code=416, headers=headers),
        )
    except ConversionFailed as fault:
        raise RecordingNotReady("The recording cannot be converted at this moment.", retry_after=60) from fault
    except FileNotFoundError:
        raise RecordingDeleted("The recording was deleted.") from None
    await _note_listening(portal, asked, recording_id, row.call_id, saved=saved)
    return made


async def _note_listening(portal: Portal, asked: Asked, recording_id: str, call_id: str, *, saved: bool) -> None:
    action = "download" if saved else "listen"
    heard = _heard.setdefault(portal.db, OrderedDict())
    key = (asked.me.session.id, f"{action} {recording_id}")
    if key in heard:
        return
    heard[key] = None
    if len(heard) > MOST_REMEMBERED:
        heard.popitem(last=False)
    await note(portal, asked, action=action, kind="recording", name=recording_id, after={"call": call_id})


async def note(portal: Portal, asked: Asked, *, action: str, kind: str, name: str, after: Any = None) -> None:
    """Writes what somebody did into the audit log."""
    tenant_id = asked.tenant.id
    entry = Entry(
        tenant_id=tenant_id,
        at=time.time_ns() // 1_000_000,
        actor=asked.actor,
        action=action,
        kind=kind,
        name=name,
        after=after,
    )
    await portal.db.write(lambda tx: audit.add(tenant_id, tx, entry))


ROUTES = (
    Route(path="/calls/{id}", handler=show, needs="member"),
    Route(path="/calls/{id}/hang-up", handler=ask_hang_up, needs="member"),
    Route(path="/calls/{id}/hang-up-now", handler=hang_up, needs="member", method="POST"),
    Route(path="/calls/{id}/call-back", handler=call_back, needs="member", method="POST"),
    Route(path="/recordings/{id}/sound", handler=sound, needs="member"),
)

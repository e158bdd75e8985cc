"""Call events: what happened to a call, told with the whole state of the call so far (contract, section 4)."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from vonal.domain.call import Agent, Call, Leg, Party, Recording, Transfer, event_id

LIVE = ("call.incoming", "call.outgoing", "call.ringing", "call.answered", "call.transferred", "call.ended")
RECORDS = ("call.completed", "call.updated", "recording.ready", "recording.failed", "click_to_call.failed")
MISSED = "call.missed"  # a filter of call.completed, never an event of its own
TEST = "webhook.test"
SUBSCRIBABLE = (*LIVE, *RECORDS, MISSED, TEST)
LIVE_SECONDS = 60  # a screen pop is worth nothing after that


class CallEvent(Struct, frozen=True, kw_only=True):
    """Event number `sequence` of a call; `data` is the contract's `data` object with all its fields."""

    id: str
    type: str
    tenant_id: str
    call_id: str
    sequence: int
    at: datetime
    data: dict[str, Any]


def next_event(call: Call, type_: str, at: datetime) -> CallEvent:
    """The call's next event; moves `call.sequence` on. The caller has put the call into its new state before."""
    call.sequence += 1
    return CallEvent(
        id=event_id(call.id, call.sequence),
        type=type_,
        tenant_id=call.tenant_id,
        call_id=call.id,
        sequence=call.sequence,
        at=at,
        data=wire(call, at),
    )


def wire(call: Call, now: datetime | None = None) -> dict[str, Any]:
    """The call as the contract's `data` object. `now` ends what still runs (talk, ring) in a live call."""
    return {
        "call": {
            "id": call.id,
            "revision": call.revision,
            "state": call.state,
            "direction": call.direction,
            "disposition": call.disposition,
            "cause": call.cause,
            "ended_by": call.ended_by,
            "interrupted": call.interrupted,
            "external_id": call.external_id,
            "origin": call.origin,
            "refused": call.refused,
        },
        "from": _party(call.from_),
        "to": _party(call.to, called=True),
        "times": _times(call, now),
        "agent": _agent(call.agent),
        "legs": [_leg(leg) for leg in call.legs],
        "transfers": [_transfer(one) for one in call.transfers],
        "recordings": [_recording(one) for one in call.recordings],
        "custom": dict(call.custom),
    }


def iso(at: datetime | None) -> str | None:
    """UTC ISO 8601 with milliseconds and a Z, as everywhere on the wire."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _party(party: Party, *, called: bool = False) -> dict[str, Any]:
    shown = {"number": party.number, "raw": party.raw, "name": party.name}
    return shown if called else {**shown, "anonymous": party.anonymous}


def _agent(agent: Agent | None) -> dict[str, Any] | None:
    return None if agent is None else {"extension": agent.extension, "name": agent.name, "email": agent.email}


def _times(call: Call, now: datetime | None) -> dict[str, Any]:
    end = call.ended_at or now
    talking = (now - call.talk_from).total_seconds() if call.talk_from and now else 0.0
    holding = (now - call.hold_from).total_seconds() if call.hold_from and now else 0.0
    ring_end = call.answered_at or end
    return {
        "started_at": iso(call.started_at),
        "answered_at": iso(call.answered_at),
        "ended_at": iso(call.ended_at),
        "ring_s": _seconds((ring_end - call.started_at).total_seconds()) if ring_end else None,
        "talk_s": _seconds(call.talk_s + talking),
        "hold_s": _seconds(call.hold_s + holding),
        "total_s": _seconds((end - call.started_at).total_seconds()) if end else None,
    }


def _seconds(value: float) -> float:
    return round(max(value, 0.0), 3)


def _leg(leg: Leg) -> dict[str, Any]:
    return {
        "id": leg.id,
        "kind": leg.kind,
        "party": leg.party,
        "number": leg.number,
        "extension": leg.extension,
        "started_at": iso(leg.started_at),
        "answered_at": iso(leg.answered_at),
        "ended_at": iso(leg.ended_at),
        "disposition": leg.disposition,
        "cause": leg.cause,
    }


def _transfer(one: Transfer) -> dict[str, Any]:
    return {"type": one.type, "from": one.from_, "to": one.to, "at": iso(one.at)}


def _recording(one: Recording) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "format": one.format,
        "channels": one.channels,
        "duration_s": one.duration_s,
        "size_bytes": one.size_bytes,
        "sha256": one.sha256,
        "url": None,
        "content_base64": None,
    }

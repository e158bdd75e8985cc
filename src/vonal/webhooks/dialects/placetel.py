"""Placetel's Notify API: https://github.com/Placetel/call-control-notify-api. Pure.

Numbers are as dialled in Germany, where Placetel is: 0 before a German number, 00 before any other. `call_id` is the
SHA-256 of our call id, in hex. A peer is the phone's SIP user (`TENANT-EXTENSION`) at our host.
"""

import hashlib
import hmac

from vonal.domain.events import CallEvent
from vonal.webhooks.dialects import words
from vonal.webhooks.dialects.words import Data, Fields

SIGNATURE = "X-PLACETEL-SIGNATURE"
_GERMANY = "+49"
_OUTBOUND_TYPES = {"busy": "busy", "cancelled": "canceled"}  # "limited to outbound calls"


def fields(event: CallEvent, data: Data, host: str) -> Fields | None:
    """The form's fields in alphabetical order, as in Placetel's example of a payload."""
    direction, agent = words.direction(data), data["agent"] or {}
    peer = _peer(event, agent.get("extension"), host)
    told = {
        "call_id": hashlib.sha256(event.call_id.encode()).hexdigest(),
        "direction": direction,
        "from": _number(data["from"]),
        "to": _number(data["to"]),
    }
    match words.moment(event):
        case "newCall" if direction == "in":
            told |= {"event": "IncomingCall"}
        case "newCall":
            told |= {"event": "OutgoingCall", **peer}
        case "answer" if direction == "in":
            told |= {"event": "CallAccepted", **peer}
        case "hangup":
            told |= {
                "event": "HungUp",
                "type": _type(data),
                "duration": str(_duration(data)),
                **_ends(event, data, host),
            }
        case _:
            return None  # "Call accepted: only for incoming calls"
    return sorted(told.items())


def signature(key: bytes, body: bytes) -> str:
    """The value of X-PLACETEL-SIGNATURE."""
    return hmac.digest(key, body, hashlib.sha256).hex()


def _number(party: Data) -> str:
    number = party["number"] or ""
    if party.get("anonymous") or not number.startswith("+"):
        return words.number(party)
    return f"0{number[3:]}" if number.startswith(_GERMANY) else f"00{number[1:]}"


def _peer(event: CallEvent, extension: str | None, host: str) -> dict[str, str]:
    return {"peer": f"{event.tenant_id}-{extension}@{host}"} if extension else {}


def _ends(event: CallEvent, data: Data, host: str) -> dict[str, str]:
    """Of calls among colleagues: "from and to for outgoing internal calls are the SIP IDs of caller and callee"."""
    if data["call"]["direction"] != "internal":
        return {}
    agent = data["agent"] or {}
    ends = {"from": agent.get("extension"), "to": data["to"]["raw"]}
    return {end: _peer(event, one, host)["peer"] for end, one in ends.items() if one}


def _type(data: Data) -> str:
    call = data["call"]
    if call["disposition"] == "answered":
        return "accepted"
    if words.direction(data) == "in":
        return "blocked" if call["refused"] else "missed"
    if call["disposition"] == "failed":
        return "unavailable" if words.not_there(data) else "congestion"
    return _OUTBOUND_TYPES.get(call["disposition"], "missed")


def _duration(data: Data) -> int:
    times = data["times"]
    return round(times["total_s"] - times["ring_s"]) if data["call"]["disposition"] == "answered" else 0

"""What the dialects have in common: all three tell a call's beginning, its answer and its end. Pure."""

from typing import Any, Literal

from vonal.domain.events import TEST, CallEvent

Data = dict[str, Any]
Fields = list[tuple[str, str | list[str]]]  # a list is a field that may stand several times
Moment = Literal["newCall", "answer", "hangup"]
ANONYMOUS = "anonymous"
NOT_THERE = frozenset({1, 20, 22, 28})  # Q.850: unallocated, absent, number changed, invalid format
_UNREADABLE = ("invalid_number", "extension_unknown")
_MOMENTS: dict[str, Moment] = {
    "call.incoming": "newCall",
    "call.outgoing": "newCall",
    TEST: "newCall",
    "call.answered": "answer",
    "call.ended": "hangup",
}
_CAUSES = {
    "answered": "normalClearing",
    "busy": "busy",
    "cancelled": "cancel",
    "no_answer": "noAnswer",
    "rejected": "noAnswer",  # "The called party rejected the call (e.g. through a DND setting)"
}


def moment(event: CallEvent) -> Moment | None:
    """The part of the call that the event tells, or None when no dialect has a word for it."""
    never_began = event.type == "call.ended" and not event.data["legs"]  # a click that Asterisk refused
    return None if never_began else _MOMENTS.get(event.type)


def direction(data: Data) -> Literal["in", "out"]:
    """A call among colleagues goes out: it begins at one of the tenant's phones."""
    return "in" if data["call"]["direction"] == "inbound" else "out"


def call_id(event: CallEvent) -> str:
    """Our call id without its prefix: the vendors' ids are alphanumeric."""
    return event.call_id.removeprefix("call_")


def number(party: Data) -> str:
    """E.164 without the plus; the extension or whatever else was dialled when there is no number."""
    if party.get("anonymous"):
        return ANONYMOUS
    return (party["number"] or party["raw"] or ANONYMOUS).removeprefix("+")


def name(person: Data) -> str | None:
    """The person's name, else the extension."""
    found: str | None = person["name"] or person["extension"]
    return found


def people(data: Data) -> list[Data]:
    """Whom the beginning of the call concerns: who dials, or all whom the called number rings."""
    if direction(data) == "in" and data["ringing"]:
        return list(data["ringing"])
    return [data["agent"]] if data["agent"] else []


def cause(data: Data) -> str:
    """sipgate's word for how the call ended, which Zammad took over."""
    call = data["call"]
    if found := _CAUSES.get(call["disposition"]):
        return found
    return "notFound" if not_there(data) else "congestion"


def not_there(data: Data) -> bool:
    """Whether the call failed because there is no such number, or nobody behind it."""
    return data["call"]["refused"] in _UNREADABLE or data["call"]["cause"] in NOT_THERE

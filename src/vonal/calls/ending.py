"""How a call, a leg and a talk end, and what the end is called. Pure; the call is changed in place."""

from datetime import datetime

from vonal.domain.call import Call, Disposition, Leg
from vonal.domain.events import CallEvent, next_event


def end(call: Call, at: datetime) -> list[CallEvent]:
    """Ends the call; returns what is to be told. `call.completed` is among it unless recordings are still to come."""
    call.ended_at = at
    for leg in call.legs:
        end_leg(call, leg, at)
    call.state = "ended"
    call.disposition = call.disposition or _unanswered(call)
    for leg in call.legs:
        leg.disposition = _leg_disposition(call, leg)
    call.cause = next((leg.cause for leg in call.legs if leg.cause), None)
    if call.ended_by is None or call.disposition == "no_answer":
        call.ended_by = "system"
    for one in call.recordings:
        one.state = "processing"
    events = [next_event(call, "call.ended", at)]
    if call.origin == "click_to_call" and not (call.legs and call.legs[0].answered_at):
        events.append(next_event(call, "click_to_call.failed", at))
    return events if unsettled(call) else events + completed(call, at)


def completed(call: Call, at: datetime) -> list[CallEvent]:
    """Makes the call's record final."""
    call.state = "completed"
    return [next_event(call, "call.completed", at)]


def _unanswered(call: Call) -> Disposition:
    """What became of a call that nobody answered: the most telling of what its legs came to."""
    if call.interrupted or call.refused:
        return "failed"
    if call.outcome == "cancelled":
        return "cancelled"
    found = {leg.disposition for leg in _rung(call)} | {call.outcome}
    if call.outcome is None and any(leg.disposition is None for leg in _rung(call)):
        return "no_answer"
    return next((one for one in ("no_answer", "rejected", "busy") if one in found), "failed")


def _rung(call: Call) -> list[Leg]:
    """The legs that were asked to answer: those called, and a click-to-call's own agent."""
    return [
        leg for leg in call.legs if leg.party == "called" or (call.origin == "click_to_call" and not leg.answered_at)
    ]


def _leg_disposition(call: Call, leg: Leg) -> Disposition:
    if leg.answered_at:
        return "answered"
    if leg is call.legs[0]:
        return call.disposition or "failed"  # what its caller was told
    if leg.disposition is not None:
        return leg.disposition
    return "cancelled" if call.disposition == "cancelled" else "no_answer"  # perhaps a neighbour was quicker


def unsettled(call: Call) -> bool:
    """Whether a recording of the call is still being made, or made ready."""
    return any(one.state in ("recording", "processing") for one in call.recordings)


def end_leg(call: Call, leg: Leg, at: datetime) -> None:
    """Takes the leg out of its talk and ends it, if it has not ended before."""
    leave(call, leg, at)
    leg.ended_at = leg.ended_at or at


def leave(call: Call, leg: Leg, at: datetime) -> None:
    """Takes the leg out of its bridge; the talk ends when nobody is left to talk with."""
    bridge, leg.bridge = leg.bridge, None
    if call.talk_from is None or bridge is None:
        return
    if not any(talking(call, one.bridge) for one in call.legs):
        call.talk_s += (at - call.talk_from).total_seconds()
        call.talk_from = None
        end_hold(call, at)


def talking(call: Call, bridge: str | None) -> bool:
    """Whether two of the call's legs are in this bridge."""
    return bridge is not None and sum(leg.bridge == bridge for leg in call.legs) > 1


def end_hold(call: Call, at: datetime) -> None:
    """Adds up the hold that lasted until now."""
    if call.hold_from is not None:
        call.hold_s += (at - call.hold_from).total_seconds()
        call.hold_from = None

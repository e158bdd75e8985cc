"""Turns journal rows into calls and their events. Pure: (call so far, row) → (call, events).

The story of a call is told by Asterisk's channel events and a few words of our own dialplan (`user.…`). A call begins
with `user.call`, which says what it is, and ends with LINKEDID_END, when its last channel is gone. Rows of calls that
never began (an unknown caller that was refused, a journal whose head was cut off) are passed over.
"""

from collections.abc import Callable
from copy import copy
from datetime import datetime
from typing import Literal, cast

from msgspec import Struct

from vonal.calls.people import People
from vonal.domain.call import Call, Direction, Disposition, Leg, Party, Recording, Transfer, call_id
from vonal.domain.events import CallEvent, next_event
from vonal.domain.journal import JournalRow, endpoint_of

NORMAL_CLEARING = 16  # Q.850: somebody hung up
_OVER = ("ended", "completed")


class Turn(Struct):
    """One row's turn: the call it is about (a copy, free to be changed) and the events it makes."""

    call: Call
    row: JournalRow
    people: People
    other: Call | None
    events: list[CallEvent]

    def tell(self, type_: str) -> None:
        """Adds an event with the state of the call as it is now."""
        self.events.append(next_event(self.call, type_, self.row.at))


def is_urgent(row: JournalRow) -> bool:
    """Whether the row begins a call: a screen waits for it. All others may be a few hundredths of a second late."""
    return row.event == "user.call"


def may_begin(row: JournalRow) -> bool:
    """Whether the row may be the first of a call: its announcement, or the first channel of a requested one."""
    return row.event == "user.call" or (row.event == "CHAN_START" and _is_ours(row))


def other_call(row: JournalRow, node: str) -> str | None:
    """The id of the second call that a row is about: an attended transfer joins two."""
    channel = row.extra.get("channel2_uniqueid")
    return call_id(node, channel) if channel else None


def track(
    call: Call | None, row: JournalRow, people: People, other: Call | None = None
) -> tuple[Call | None, list[CallEvent]]:
    """The call after `row`, and what is to be told about it. `call` itself stays as it was.

    `other`: the call whose id is `other_call(row)`.
    """
    if call is not None and call.state in _OVER:
        return call, []
    if call is None and row.event != "user.call":
        return None, []
    turn = Turn(_copied(call) if call else _new(row), row, people, other, [])
    if (handle := _HANDLERS.get(row.event)) is not None:
        handle(turn)
    return turn.call, turn.events


def interrupt(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """Closes a call whose channels are gone without a word: Asterisk died in the middle of it."""
    call = _copied(call)
    call.interrupted = True
    return call, _end(call, at)


def abandon(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """Closes a requested call that Asterisk refused to start."""
    call = _copied(call)
    return call, _end(call, at)


def settle(call: Call, recording: Recording, at: datetime) -> tuple[Call, list[CallEvent]]:
    """The recording is ready, failed or deleted. The last one that an ended call waited for completes it."""
    call = _copied(call)
    known = next((one for one in call.recordings if one.id == recording.id), None)
    if known is None or known.state == recording.state:
        return call, []
    call.recordings[call.recordings.index(known)] = recording
    events = []
    if call.state == "completed":
        call.revision += 1
    if recording.state in ("ready", "failed"):
        events.append(next_event(call, f"recording.{recording.state}", at))
    if call.state == "completed":
        events.append(next_event(call, "call.updated", at))
    elif call.state == "ended" and not _unsettled(call):
        events += _completed(call, at)
    return call, events


def complete(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """`call.completed` of an ended call whose recordings take too long; what comes later is `call.updated`."""
    call = _copied(call)
    return call, _completed(call, at) if call.state == "ended" else []


def hold(call: Call, at: datetime, *, held: bool) -> Call:
    """Decorates a live call with what only the ephemeral events know: a party was put on hold, or taken back."""
    call = _copied(call)
    if call.state == "live" and held and call.hold_from is None:
        call.hold_from = at
    elif not held and call.hold_from is not None:
        _end_hold(call, at)
    return call


def _is_ours(row: JournalRow) -> bool:
    return row.linkedid == call_id("", row.linkedid)


def _new(row: JournalRow) -> Call:
    return Call(
        id=row.linkedid,
        tenant_id=row.extra.get("tenant", ""),
        linkedid=row.linkedid,
        started_at=row.at,
    )


def _copied(call: Call) -> Call:
    call = copy(call)
    call.legs = [copy(leg) for leg in call.legs]
    call.transfers = [copy(one) for one in call.transfers]
    call.recordings = [copy(one) for one in call.recordings]
    return call


# --- a call begins ---------------------------------------------------------------------------------------------------


def _begin(turn: Turn) -> None:
    call, row, people = turn.call, turn.row, turn.people
    if call.sequence and call.origin == "phone":
        return  # a transferred call that runs through the dialplan again is still the same call
    call.id = call_id(people.node, row.linkedid)
    call.state = "live"
    call.direction = cast(Direction, row.extra.get("direction", "inbound"))
    if call.direction == "inbound":
        number = row.extra.get("number")
        call.from_ = people.caller(call.tenant_id, row.caller_number, row.caller_name)
        call.to = Party(number=number, raw=row.extra.get("raw", ""), name=people.number_name(call.tenant_id, number))
    else:
        _begin_outbound(turn)
    _leg(turn)
    if not call.sequence:
        turn.tell("call.incoming" if call.direction == "inbound" else "call.outgoing")


def _begin_outbound(turn: Turn) -> None:
    call, row, people = turn.call, turn.row, turn.people
    extension, to = row.extra.get("extension", ""), row.extra.get("to", "")
    call.agent = people.agent(call.tenant_id, extension)
    call.from_ = Party(number=row.extra.get("number") or None, raw=extension, name=call.agent.name)
    name = people.agent(call.tenant_id, to).name if call.direction == "internal" else None
    raw = call.to.raw or row.extra.get("raw") or to
    call.to = Party(number=to if to.startswith("+") else None, raw=raw, name=name)


def _channel_started(turn: Turn) -> None:
    call = turn.call
    leg = _leg(turn)
    if leg is None:
        return
    if call.state == "requested":
        call.state = "live"
        turn.tell("call.outgoing")
    if leg.extension and leg.answered_at is None:
        turn.tell("call.ringing")


# --- its legs come and go --------------------------------------------------------------------------------------------


def _leg(turn: Turn) -> Leg | None:
    """The leg of the row's channel; a channel that joins from another call (a transfer, a pickup) gets one here."""
    return _leg_of(turn, turn.row.channel, turn.row.channel_name)


def _leg_of(turn: Turn, channel: str, name: str) -> Leg | None:
    call, endpoint = turn.call, endpoint_of(name)
    if (known := _find(call, channel)) is not None or endpoint is None:
        return known
    tenant, number = endpoint
    caller = not call.legs
    outside = (call.from_ if caller else call.to) if tenant is None else None
    leg = Leg(
        id=f"leg_{len(call.legs) + 1}",
        channel=channel,
        channel_name=name,
        kind="trunk" if tenant is None else "extension",
        party="caller" if caller else "called",
        number=outside.number if outside else None,
        extension=None if tenant is None else number,
        started_at=turn.row.at,
    )
    call.legs.append(leg)
    return leg


def _find(call: Call, channel: str | None) -> Leg | None:
    return next((leg for leg in call.legs if leg.channel == channel), None)


def _answered(turn: Turn) -> None:
    if (leg := _leg(turn)) is not None and leg.answered_at is None:
        leg.answered_at = turn.row.at


def _entered(turn: Turn) -> None:
    if (leg := _leg(turn)) is not None:
        leg.answered_at = leg.answered_at or turn.row.at
        leg.bridge = turn.row.extra.get("bridge_id")
        if turn.row.app == "Dial" and not _talking(turn.call, leg.bridge):
            _let_in_partner(turn, leg)
        _joined(turn, leg.bridge)


def _let_in_partner(turn: Turn, dialling: Leg) -> None:
    """Who was called enters first; if unseen, he came from another call: by a pickup or a blonde transfer."""
    called = (leg for leg in turn.call.legs if leg is not dialling and leg.party == "called")
    waiting = [leg for leg in called if leg.ended_at is None and leg.bridge is None]
    partner = max(waiting, key=lambda leg: leg.answered_at is not None, default=None)
    if partner is not None:
        partner.answered_at = partner.answered_at or turn.row.at
        partner.bridge = dialling.bridge


def _joined(turn: Turn, bridge: str | None) -> None:
    call, at = turn.call, turn.row.at
    joined = [one for one in call.legs if bridge and one.bridge == bridge]
    if len(joined) < 2 or call.talk_from is not None:  # noqa: PLR2004 - it takes two to talk
        return
    call.talk_from = at
    if call.answered_at is None:
        call.answered_at = at
        call.disposition = "answered"
        answering = next((one for one in reversed(joined) if one.extension and one.party == "called"), None)
        if answering is not None and call.direction == "inbound":
            call.agent = turn.people.agent(call.tenant_id, answering.extension or "")
        turn.tell("call.answered")


def _left(turn: Turn) -> None:
    if (leg := _find(turn.call, turn.row.channel)) is not None:
        _leave(turn.call, leg, turn.row.at)


def _leave(call: Call, leg: Leg, at: datetime) -> None:
    bridge, leg.bridge = leg.bridge, None
    if call.talk_from is None or bridge is None:
        return
    if not any(_talking(call, one.bridge) for one in call.legs):
        call.talk_s += (at - call.talk_from).total_seconds()
        call.talk_from = None
        _end_hold(call, at)


def _talking(call: Call, bridge: str | None) -> bool:
    return bridge is not None and sum(leg.bridge == bridge for leg in call.legs) > 1


def _end_hold(call: Call, at: datetime) -> None:
    if call.hold_from is not None:
        call.hold_s += (at - call.hold_from).total_seconds()
        call.hold_from = None


def _hung_up(turn: Turn) -> None:
    call, row = turn.call, turn.row
    if (leg := _find(call, row.channel)) is None:
        return
    _end_leg(call, leg, row.at)
    leg.cause = row.cause
    leg.disposition = "answered" if leg.answered_at else _own_end(row)
    source = row.extra.get("hangupsource")
    by = next((one for one in call.legs if one.channel_name == source), None) if source else None
    call.ended_by = by.party if by else call.ended_by
    if leg is call.legs[0] and call.answered_at is None and row.cause == NORMAL_CLEARING:
        call.outcome = "cancelled"


def _own_end(row: JournalRow) -> Disposition | None:
    """How an unanswered leg ended by itself; None when the call's end, or another leg, was what ended it."""
    return row.disposition if row.cause and row.disposition in ("busy", "rejected", "failed") else None


def _channel_gone(turn: Turn) -> None:
    if (leg := _find(turn.call, turn.row.channel)) is not None:
        _end_leg(turn.call, leg, turn.row.at)


def _end_leg(call: Call, leg: Leg, at: datetime) -> None:
    _leave(call, leg, at)
    leg.ended_at = leg.ended_at or at


def _dialled(turn: Turn) -> None:
    turn.call.outcome = turn.row.disposition or turn.call.outcome


def _refused(turn: Turn) -> None:
    turn.call.refused = turn.row.extra.get("reason")
    turn.call.outcome = "failed"


# --- it is handed on -------------------------------------------------------------------------------------------------


def _blind_transfer(turn: Turn) -> None:
    by = _find(turn.call, turn.row.channel)
    _transferred(turn, "blind", by, turn.row.extra.get("extension"))


def _attended_transfer(turn: Turn) -> None:
    extra, by = turn.row.extra, _find(turn.call, turn.row.channel)
    bridge = extra.get("bridge2_id")
    target = _consulted(turn)
    if target is not None and bridge:
        target.answered_at = target.answered_at or turn.row.at
        target.bridge = bridge
    to = (target.extension or target.number) if target else None
    if to is None and turn.other is not None:
        to = turn.other.to.number or turn.other.to.raw
    _transferred(turn, "attended" if bridge else "blonde", by, to)
    _joined(turn, bridge)


def _consulted(turn: Turn) -> Leg | None:
    """The leg of the one whom the call is handed to, taken over from the call that consulted him."""
    there = [leg for leg in turn.other.legs if leg.party == "called" and leg.ended_at is None] if turn.other else []
    name = turn.row.extra.get("transfer_target_channel_name", "")
    if there:
        channel, name = there[-1].channel, there[-1].channel_name
    else:
        channel = turn.row.extra.get("transfer_target_channel_uniqueid", "")
    leg = _leg_of(turn, channel, name)
    if leg is not None and there:
        leg.started_at, leg.answered_at, leg.number = there[-1].started_at, there[-1].answered_at, there[-1].number
    return leg


def _picked_up(turn: Turn) -> None:
    extra = turn.row.extra
    leg = _leg_of(turn, extra.get("pickup_channel_uniqueid", ""), extra.get("pickup_channel", ""))
    if leg is not None:
        leg.answered_at = turn.row.at


def _transferred(turn: Turn, kind: Literal["blind", "attended", "blonde"], by: Leg | None, to: str | None) -> None:
    from_ = (by.extension or by.number) if by else None
    turn.call.transfers.append(Transfer(type=kind, from_=from_, to=to, at=turn.row.at))
    turn.tell("call.transferred")


# --- it is recorded --------------------------------------------------------------------------------------------------


def _recording(turn: Turn) -> None:
    call, file = turn.call, turn.row.extra.get("file", "")
    if file and all(one.file != file for one in call.recordings):
        made = turn.people.mint(call.tenant_id, call.id, file)
        first = turn.row.extra.get("customer") == "self"
        call.recordings.append(Recording(id=made, file=file, customer_first=first))


def _unsettled(call: Call) -> bool:
    return any(one.state in ("recording", "processing") for one in call.recordings)


# --- and it ends -----------------------------------------------------------------------------------------------------


def _linkedid_ended(turn: Turn) -> None:
    turn.events.extend(_end(turn.call, turn.row.at))


def _end(call: Call, at: datetime) -> list[CallEvent]:
    call.ended_at = at
    for leg in call.legs:
        _end_leg(call, leg, at)
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
    return events if _unsettled(call) else events + _completed(call, at)


def _completed(call: Call, at: datetime) -> list[CallEvent]:
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


_HANDLERS: dict[str, Callable[[Turn], None]] = {
    "user.call": _begin,
    "user.dialled": _dialled,
    "user.refused": _refused,
    "user.recording": _recording,
    "CHAN_START": _channel_started,
    "ANSWER": _answered,
    "BRIDGE_ENTER": _entered,
    "BRIDGE_EXIT": _left,
    "HANGUP": _hung_up,
    "CHAN_END": _channel_gone,
    "BLINDTRANSFER": _blind_transfer,
    "ATTENDEDTRANSFER": _attended_transfer,
    "PICKUP": _picked_up,
    "LINKEDID_END": _linkedid_ended,
}

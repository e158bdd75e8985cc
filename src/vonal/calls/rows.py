"""What each kind of journal row does to its call. Pure but for the call itself, which is a copy made for the row."""

from collections.abc import Callable
from typing import Literal, cast

from msgspec import Struct

from vonal.calls.ending import end, end_leg, leave, talking
from vonal.calls.people import People
from vonal.domain.call import Call, Direction, Disposition, Leg, Party, Recording, Transfer, call_id
from vonal.domain.events import CallEvent, next_event
from vonal.domain.journal import JournalRow, endpoint_of

NORMAL_CLEARING = 16  # Q.850: somebody hung up


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
        if turn.row.app == "Dial" and not talking(turn.call, leg.bridge):
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
        leave(turn.call, leg, turn.row.at)


def _hung_up(turn: Turn) -> None:
    call, row = turn.call, turn.row
    if (leg := _find(call, row.channel)) is None:
        return
    end_leg(call, leg, row.at)
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
        end_leg(turn.call, leg, turn.row.at)


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


# --- and it ends -----------------------------------------------------------------------------------------------------


def _ended(turn: Turn) -> None:
    turn.events.extend(end(turn.call, turn.row.at))


HANDLERS: dict[str, Callable[[Turn], None]] = {
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
    "LINKEDID_END": _ended,
}

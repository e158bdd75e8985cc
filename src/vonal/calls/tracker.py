"""Turns journal rows into calls and their events. Pure: (call so far, row) → (call, events).

The story of a call is told by Asterisk's channel events and a few words of our own dialplan (`user.…`). A call begins
with `user.call`, which says what it is, and ends with LINKEDID_END, when its last channel is gone. Rows of calls that
never began (an unknown caller that was refused, a journal whose head was cut off) are passed over.
"""

from copy import copy
from datetime import datetime

from vonal.calls.ending import completed, end, end_hold, unsettled
from vonal.calls.people import People
from vonal.calls.rows import HANDLERS, Turn
from vonal.domain.call import Call, Recording, call_id
from vonal.domain.events import CallEvent, next_event
from vonal.domain.journal import JournalRow

_OVER = ("ended", "completed")


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
    if (handle := HANDLERS.get(row.event)) is not None:
        handle(turn)
    return turn.call, turn.events


def interrupt(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """Closes a call whose channels are gone without a word: Asterisk died in the middle of it."""
    call = _copied(call)
    call.interrupted = True
    return call, end(call, at)


def abandon(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """Closes a requested call that Asterisk refused to start."""
    call = _copied(call)
    return call, end(call, at)


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
    elif call.state == "ended" and not unsettled(call):
        events += completed(call, at)
    return call, events


def complete(call: Call, at: datetime) -> tuple[Call, list[CallEvent]]:
    """`call.completed` of an ended call whose recordings take too long; what comes later is `call.updated`."""
    call = _copied(call)
    return call, completed(call, at) if call.state == "ended" else []


def hold(call: Call, at: datetime, *, held: bool) -> Call:
    """Decorates a live call with what only the ephemeral events know: a party was put on hold, or taken back."""
    call = _copied(call)
    if call.state == "live" and held and call.hold_from is None:
        call.hold_from = at
    elif not held and call.hold_from is not None:
        end_hold(call, at)
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

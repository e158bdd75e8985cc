"""A call as the world sees it (contract, section 4), and the little more that the tracker needs to go on with it.

Times are UTC datetimes with microseconds; they become ISO 8601 with milliseconds only in `vonal.domain.events`.
"""

import hashlib
import re
import secrets
import time
from base64 import b32hexencode
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

Direction = Literal["inbound", "outbound", "internal"]
Disposition = Literal["answered", "no_answer", "busy", "cancelled", "rejected", "failed"]
EndedBy = Literal["caller", "called", "system"]
Origin = Literal["phone", "click_to_call"]
RecordingState = Literal["recording", "processing", "ready", "failed", "deleted"]


class Party(Struct, kw_only=True):
    """One end of a call: E.164 `number` (None for an extension or an unreadable number) beside the `raw` digits."""

    number: str | None = None
    raw: str = ""
    name: str | None = None
    anonymous: bool = False


class Agent(Struct, kw_only=True):
    """The person of the tenant in the call: who answered, else who was rung or who dialled."""

    extension: str
    name: str | None = None
    email: str | None = None


class Leg(Struct, kw_only=True):
    """One party's part of a call, on one channel."""

    id: str
    channel: str
    channel_name: str = ""
    kind: Literal["trunk", "extension"]
    party: Literal["caller", "called"]
    number: str | None = None
    extension: str | None = None
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    disposition: Disposition | None = None
    cause: int | None = None
    bridge: str | None = None


class Transfer(Struct, kw_only=True):
    """Who handed the call to whom. `blonde`: an attended transfer completed while the target was still ringing."""

    type: Literal["blind", "attended", "blonde"]
    from_: str | None = field(name="from", default=None)
    to: str | None = None
    at: datetime


class Recording(Struct, kw_only=True):
    """A call's sound. `file`: its raw file in Asterisk's spool; `customer_first`: whether channel 1 is the customer."""

    id: str
    file: str
    customer_first: bool
    state: RecordingState = "recording"
    format: str | None = None
    channels: int | None = None
    duration_s: float | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    path: str | None = None


class Call(Struct, kw_only=True):
    """One conversation attempt end to end, threaded by Asterisk's `linkedid`.

    `sequence` is the number of the last event; `talk_from` is set while two parties are joined. `state` says where in
    its life the call is: "requested" (click-to-call, not yet in the journal), "live", "ended" (over, its recordings not
    settled), "completed" (`call.completed` is out).
    """

    id: str
    tenant_id: str
    linkedid: str
    state: Literal["requested", "live", "ended", "completed"] = "live"
    revision: int = 1
    sequence: int = 0
    direction: Direction = "inbound"
    disposition: Disposition | None = None
    cause: int | None = None
    ended_by: EndedBy | None = None
    interrupted: bool = False
    external_id: str | None = None
    origin: Origin = "phone"
    from_: Party = field(name="from", default_factory=Party)
    to: Party = field(default_factory=Party)
    started_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    talk_s: float = 0.0
    talk_from: datetime | None = None
    hold_s: float = 0.0
    hold_from: datetime | None = None
    agent: Agent | None = None
    refused: str | None = None
    outcome: Disposition | None = None  # what the last dial came to, should nobody answer
    legs: list[Leg] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    recordings: list[Recording] = field(default_factory=list)
    custom: dict[str, Any] = field(default_factory=dict)


def call_id(node: str, linkedid: str) -> str:
    """The id of the call that Asterisk threads as `linkedid` on `node`: a fact read twice is one call.

    A click-to-call's linkedid is our own call id already, and stays.
    """
    if linkedid.startswith("call_"):
        return linkedid
    began = _BEGAN.search(linkedid)
    return f"call_{_stamp(int(began[1]) * 1000 if began else 0)}{_digest(f'{node}/{linkedid}')}"


def event_id(call: str, sequence: int) -> str:
    """The id of a call's event number `sequence`; it begins with the same time as the call's."""
    return f"evt_{call[5 : 5 + _STAMP]}{_digest(f'{call}/{sequence}')}"


def new_id(prefix: str) -> str:
    """A fresh id, such as `call_…`: the time, and 80 random bits."""
    return f"{prefix}_{_stamp(time.time_ns() // 1_000_000)}{_text(secrets.token_bytes(10))}"


# Ids begin with a time, in letters that sort as the time does: new rows then stand side by side in every index, instead
# of touching a page each. See docs/decisions/0012-ids-begin-with-the-time.md.
_BEGAN = re.compile(r"(\d{1,11})\.\d+$")  # Asterisk's ids: …seconds.number
_STAMP = 10


def _stamp(ms: int) -> str:
    return _text((ms << 8).to_bytes(7, "big"))[:_STAMP]


def _digest(text: str) -> str:
    return _text(hashlib.sha256(text.encode()).digest()[:10])


def _text(raw: bytes) -> str:
    return b32hexencode(raw).decode().lower()

"""The shapes of answers, for the OpenAPI: a call as `vonal.domain.events.wire` tells it (contract, section 4)."""

from typing import Any, Literal

from msgspec import Struct, field

from vonal.domain.call import Direction, Disposition, EndedBy, Origin, RecordingState

Time = str  # UTC ISO 8601 with milliseconds


class CallShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """The call itself."""

    id: str
    revision: int
    state: Literal["requested", "live", "ended", "completed"]
    direction: Direction
    disposition: Disposition | None
    cause: int | None
    ended_by: EndedBy | None
    interrupted: bool
    external_id: str | None
    origin: Origin
    refused: str | None


class CallerShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who calls: E.164 `number` beside the `raw` digits."""

    number: str | None
    raw: str
    name: str | None
    anonymous: bool


class CalledShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is called: E.164 `number` beside the `raw` digits."""

    number: str | None
    raw: str
    name: str | None


class TimesShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """When, and for how many seconds."""

    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    ring_s: float | None
    talk_s: float
    hold_s: float
    total_s: float | None


class AgentShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """The tenant's person in the call."""

    extension: str
    name: str | None
    email: str | None


class LegShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """One party's part of the call."""

    id: str
    kind: Literal["trunk", "extension"]
    party: Literal["caller", "called"]
    number: str | None
    extension: str | None
    started_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    disposition: Disposition | None
    cause: int | None


class TransferShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who handed the call to whom."""

    type: Literal["blind", "attended", "blonde"]
    from_: str | None = field(name="from")
    to: str | None
    at: Time | None


class RecordingShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """The call's sound; `url` is set once it can be fetched."""

    id: str
    state: RecordingState
    format: str | None
    channels: int | None
    duration_s: float | None
    size_bytes: int | None
    sha256: str | None
    url: str | None
    content_base64: str | None


class CallRecord(Struct, kw_only=True, forbid_unknown_fields=True):
    """A call: the `data` of its events."""

    call: CallShape
    from_: CallerShape = field(name="from")
    to: CalledShape
    times: TimesShape
    agent: AgentShape | None
    legs: list[LegShape]
    transfers: list[TransferShape]
    recordings: list[RecordingShape]
    custom: dict[str, Any]


class TenantShape(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose call it is."""

    id: str
    timezone: str


class Envelope(Struct, kw_only=True, forbid_unknown_fields=True):
    """An event as webhooks and the feed tell it. `data` is a call, or the part of it that `fields` chooses."""

    id: str
    type: str
    timestamp: Time
    schema: str
    sequence: int
    tenant: TenantShape
    data: dict[str, Any]


class CallPage(Struct, kw_only=True):
    """Calls, newest first. `next_cursor` goes into `after`; null on the last page."""

    items: list[CallRecord]
    next_cursor: str | None

"""Finished recordings: formats, names, and what became of one."""

import re
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from vonal.domain.call import Call, Recording

Format = Literal["mp3", "wav", "ogg"]
FORMATS: tuple[Format, ...] = ("mp3", "wav", "ogg")
MEDIA_TYPES: dict[Format, str] = {"mp3": "audio/mpeg", "wav": "audio/wav", "ogg": "audio/ogg"}
Reason = Literal["missing", "empty"]  # why a recording failed: no raw file came, or nobody's sound is in it


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a recording: `recording.state` is ready, failed (then with `reason`) or deleted."""

    tenant_id: str
    call_id: str
    recording: Recording
    reason: Reason | None = None


def stored_path(tenant_id: str, recording_id: str, at: datetime, format_: str) -> str:
    """Where a recording lies inside the recordings folder; made of nothing that a caller could supply."""
    return f"{tenant_id}/{at:%Y/%m}/{recording_id}.{format_}"


def download_name(call: Call, timezone: str, format_: str) -> str:
    """The file name a person sees, such as `2026-11-22_10-20_inbound_+36305550123_101.mp3`, in the tenant's time."""
    at = call.started_at.astimezone(ZoneInfo(timezone))
    other = call.from_ if call.direction == "inbound" else call.to
    extension = call.agent.extension if call.agent else ""
    parts = (f"{at:%Y-%m-%d_%H-%M}", call.direction, other.number or other.raw, extension)
    safe = (re.sub(r"[^0-9A-Za-z+-]", "", part[:32]) if index else part for index, part in enumerate(parts))
    return "_".join(part for part in safe if part) + f".{format_}"

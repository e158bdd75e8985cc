"""What a webhook may mask: texts that tell of people. Ids, times and the words for what happened always stay."""

import re

MASKABLE = (
    "from.number", "from.raw", "from.name", "to.number", "to.raw", "to.name",
    "agent.extension", "agent.name", "agent.email",
    "legs.number", "legs.extension", "transfers.from", "transfers.to", "call.external_id",
)  # fmt: skip
FIXED = (
    "call.id", "call.revision", "call.state", "call.direction", "call.disposition", "call.cause", "call.ended_by",
    "call.interrupted", "call.origin", "call.refused", "from.anonymous",
    "times.started_at", "times.answered_at", "times.ended_at", "times.ring_s", "times.talk_s", "times.hold_s",
    "times.total_s",
    "legs.id", "legs.kind", "legs.party", "legs.started_at", "legs.answered_at", "legs.ended_at", "legs.disposition",
    "legs.cause", "transfers.type", "transfers.at",
    "recordings.id", "recordings.state", "recordings.format", "recordings.channels", "recordings.duration_s",
    "recordings.size_bytes", "recordings.sha256", "recordings.url", "recordings.content_base64",
)  # fmt: skip
CUSTOM = "custom."
_OWN = re.compile(r"custom\.[^.\s]{1,64}")


def maskable(path: str) -> bool:
    """Whether a mask may stand at this path; below `custom.` every name of the CRM's own may."""
    return path in MASKABLE or _OWN.fullmatch(path) is not None

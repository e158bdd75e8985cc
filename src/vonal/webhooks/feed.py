"""The feed's events: the envelopes of a webhook that exists for one reader only. Pure."""

from collections.abc import Sequence
from typing import Any, Literal

from vonal.domain.directory import Webhook, WebhookScope
from vonal.domain.events import LIVE, RECORDS, CallEvent
from vonal.webhooks.envelope import Setting, enveloped, with_recordings
from vonal.webhooks.match import matches

Fields = Literal["minimal", "standard", "full"] | list[str]


class Reader:
    """What one reader wants: `events` as a webhook's (none: all but tests), `extension`, `fields` as a webhook's."""

    def __init__(self, *, events: Sequence[str] = (), extension: str | None = None, fields: Fields = "full") -> None:
        self._webhook = Webhook(
            id="feed",
            url="",
            events=list(events) or [*LIVE, *RECORDS],
            fields=fields,
            recording="reference",
            scope=WebhookScope(extensions=[extension] if extension else []),
        )

    def wants(self, event: CallEvent) -> bool:
        """Whether the event is for this reader."""
        return matches(self._webhook, event)

    def envelope(self, event: CallEvent, setting: Setting) -> dict[str, Any]:
        """The event as the reader gets it."""
        return enveloped(event, with_recordings(event.data, self._webhook, setting), self._webhook, setting, params={})

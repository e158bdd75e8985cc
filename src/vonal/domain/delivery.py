"""What is owed to a webhook, one attempt at giving it, and what became of it. Times are milliseconds UTC."""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from vonal.domain.directory import Tls
from vonal.domain.errors import Fault
from vonal.domain.events import CallEvent

EVENTS_OWN_FAULT = (400, 413, 415, 422)  # statuses that tell of one delivery, not of the webhook
DOWN = 2  # failures in a row: from then on a webhook is only asked whether it is back
State = Literal["open", "delivered", "parked", "dropped", "disabled"]


class Owed(Struct, frozen=True, kw_only=True):
    """An open delivery. `attempts` were ever made, `tries` since it was last opened; `expires_at` is a live event's."""

    id: str
    webhook_id: str
    event: CallEvent
    due_at: int
    attempts: int = 0
    tries: int = 0
    expires_at: int | None = None

    @property
    def live(self) -> bool:
        """Worth nothing late."""
        return self.expires_at is not None

    @property
    def lane(self) -> tuple[str, str]:
        """(tenant, webhook): whose queue it stands in."""
        return self.event.tenant_id, self.webhook_id


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request to a webhook. `url` and `headers` hold `secrets`, which no log and no error may show.

    Nor may `tls.key` be shown; of `tls` nothing stands in the request itself. `still` is asked right before the first
    byte is written; if it says no, nothing is sent, and the sender raises Withdrawn.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: dict[str, str]
    body: bytes = b""
    timeout_s: int = 10
    secrets: tuple[str, ...] = ()
    tls: Tls | None = None
    still: Callable[[], bool] | None = None


class Withdrawn(Exception):
    """The request was not sent, for it is no longer ours to send."""


class Unsendable(Struct, frozen=True, kw_only=True):
    """Why there is no request.

    The webhook was removed (`gone`) or switched off (`paused`); or it did not ask for this event (`unwanted`): its
    dialect does not tell it, or tells it only to those who asked when the call began. Or another process has it by now
    (`lost`).
    """

    reason: Literal["gone", "paused", "unwanted", "lost"]


class Outcome(Struct, frozen=True, kw_only=True):
    """What one attempt came to: the `status`, or the class of `error` when there was none.

    `answer` is the beginning of the answer, or what went wrong in words, free of secrets and control characters.
    `endless`: it was longer, or took longer, than anybody waits for, and was cut off.
    """

    status: int | None = None
    error: str | None = None
    fault: Fault | None = None
    answer: str = ""
    took_ms: int = 0
    retry_after_s: int | None = None
    endless: bool = False


class LaneState(Struct, frozen=True, kw_only=True):
    """A lane's retry clock: `fails` in a row, since when, and when records may be tried again."""

    fails: int = 0
    next_at: int = 0
    failing_since: int | None = None


class Settled(Struct, frozen=True, kw_only=True):
    """An attempt's consequences, to be written in one transaction.

    `at` is when it was sent. Without an `outcome` no attempt is counted: the fault was ours, or `note` says why nothing
    was sent. `revived`: the webhook answers again after it was down, so what waits for it is due now.
    `given_up_before`: records older than this are parked, the webhook has been down since. `notice`: what the tenant's
    people are told. `shard`, `epoch`: the lease under which it was sent.
    """

    owed: Owed
    state: State
    at: int
    done_at: int
    due_at: int = 0
    outcome: Outcome | None = None
    note: str | None = None
    lane: LaneState | None = None
    revived: bool = False
    given_up_before: int | None = None
    shard: int = 0
    epoch: int = 0
    notice: Literal["webhook.down", "webhook.up", "webhook.disabled"] | None = None

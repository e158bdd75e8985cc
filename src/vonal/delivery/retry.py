"""When a delivery is tried again, and when no more (contract, section 4). Pure; times are milliseconds UTC."""

from typing import Literal

from msgspec import Struct

from vonal.domain.delivery import EVENTS_OWN_FAULT, Outcome, State

LIVE_STEPS_S = (1, 2, 5, 10, 20)
RECORD_STEPS_S = (5, 30, 120, 600, 1800, 3600, 7200, 18_000, 36_000, 43_200, 43_200, 43_200, 43_200)  # up to 72 h
GIVE_UP_MS = 72 * 3600 * 1000
LONGEST_RETRY_AFTER_S = 3600
SPREAD = 0.1  # jitter: up to so much later, never earlier
OWN_FAULT_MS = 30_000
GONE = 410

# A webhook that is down is asked by one request at a time, this long after each failure: the first failure may be of
# the one event only, so it stops nobody else.
LIVE_GATES_S = (0, 1, 2, 5, 10, 20)
RECORD_GATES_S = (0, 5, 30, 60)

# One that is back gets its backlog at a bounded rate, which grows as long as it goes well.
DRAIN_PER_S = 20
DRAIN_DOUBLES_MS = 60_000
DRAIN_DOUBLINGS = 6  # after that there is no bound any more


class Verdict(Struct, frozen=True, kw_only=True):
    """What becomes of a delivery after an attempt. `blame`: who has to wait because of it."""

    state: State
    due_at: int = 0
    blame: Literal["nobody", "event", "webhook"] = "nobody"


def judge(outcome: Outcome, *, tries: int, expires_at: int | None, now: int, chance: float) -> Verdict:
    """The verdict on try number `tries` (from 1); `expires_at` is a live event's; `chance` in 0…1 spreads retries."""
    status = outcome.status or 0
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's successes
        return Verdict(state="delivered")
    if status == GONE:
        return Verdict(state="disabled")
    blame: Literal["event", "webhook"] = "event" if status in EVENTS_OWN_FAULT else "webhook"
    steps = RECORD_STEPS_S if expires_at is None else LIVE_STEPS_S
    if tries > len(steps):
        return Verdict(state="parked" if expires_at is None else "dropped", blame=blame)
    due_at = now + max(_spread(steps[tries - 1], chance), asked_to_wait(outcome))
    if expires_at is not None and due_at >= expires_at:
        return Verdict(state="dropped", blame=blame)
    return Verdict(state="open", due_at=due_at, blame=blame)


def asked_to_wait(outcome: Outcome) -> int:
    """`Retry-After` within reason, in ms."""
    return min(max(outcome.retry_after_s or 0, 0), LONGEST_RETRY_AFTER_S) * 1000


def drain_gap(since_ms: int) -> float:
    """Ms between two records to a webhook that is back since so many ms: 20/s at first, each minute twice as many."""
    doublings = since_ms // DRAIN_DOUBLES_MS
    return 0.0 if doublings >= DRAIN_DOUBLINGS else 1000 / (DRAIN_PER_S << doublings)


def gate(fails: int, *, live: bool, chance: float = 0.0) -> int:
    """How long (ms) after its last of `fails` failures in a row a webhook is asked again; `chance` as for `judge`."""
    steps = LIVE_GATES_S if live else RECORD_GATES_S
    return 0 if fails == 0 else _spread(steps[min(fails, len(steps)) - 1], chance)


def _spread(seconds: int, chance: float) -> int:
    return int(seconds * 1000 * (1 + SPREAD * chance))

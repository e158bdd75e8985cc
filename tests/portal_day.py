"""A working day at acme, so that the portal's pages have something to show: calls of every kind, and what was sent."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sample_calls import answered_call, recording
from vonal.domain.call import Agent, Call, Party
from vonal.domain.directory import Webhook
from vonal.domain.events import next_event
from vonal.store import calls, deliveries, events
from vonal.store.database import Database

CALLERS = (
    ("+36305550123", "Kiss Anna"),
    ("+36209876543", "Horváth Éva"),
    ("+36701112233", None),
    ("+43155512345", "Wiener Installationen und Sanitärtechnik GmbH"),
)
OUTCOMES = ("answered", "answered", "answered", "no_answer", "busy", "cancelled", "failed")
LOG = Webhook(id="log", url="https://crm.example/calls", events=["call.completed"])


def fill(db: Database, *, count: int = 60) -> None:
    """Stores the day that ends now."""
    now = datetime.now(UTC)
    day = [_call(number, now - timedelta(minutes=7 * number + 1)) for number in range(count)]
    db.submit(partial(calls.any_tenant_save, calls=day)).result()
    db.submit(partial(_told, day=day, now=now)).result()


def _call(number: int, at: datetime) -> Call:
    phone, name = CALLERS[number % len(CALLERS)]
    outcome = OUTCOMES[number % len(OUTCOMES)]
    call = answered_call(at=at, from_=Party(number=phone, raw=phone, name=name))
    if number % 3 == 2:
        call.direction = "outbound"
        call.from_, call.to = Party(number="101", raw="101", name="Kovács Anna"), call.from_
    call.state = "completed"
    if outcome == "answered":
        call.recordings = [recording()] if number % 2 else []
        call.agent = Agent(extension="101", name="Kovács Anna") if number % 3 else call.agent
        return call
    call.disposition, call.answered_at, call.talk_s, call.agent = outcome, None, 0.0, None  # type: ignore[assignment]
    call.cause, call.ended_at = 17 if outcome == "busy" else 19, at + timedelta(seconds=25)
    return call


def _told(tx: Any, *, day: list[Call], now: datetime) -> None:
    told = [next_event(one, "call.completed", one.ended_at or now) for one in day[:12]]
    events.any_tenant_add(tx, told)
    deliveries.any_tenant_enqueue(tx, [(one, LOG) for one in told], now=now)

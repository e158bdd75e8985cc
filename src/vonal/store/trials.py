"""Tests of webhooks in the delivery log: written when they are over, so that no sender takes them up."""

from datetime import timedelta

from sqlalchemy import Connection

from vonal.domain.delivery import Outcome, Owed
from vonal.domain.events import LIVE_SECONDS
from vonal.store import events
from vonal.store.sql import to_ms
from vonal.store.tables import DELIVERED, DROPPED, attempt, delivery


def save(tenant_id: str, tx: Connection, owed: Owed, outcome: Outcome, *, done_at: int) -> None:
    """The test's event, its delivery and the one attempt. Times in ms UTC; `owed.due_at` is when it was sent."""
    event = owed.event
    events.any_tenant_add(tx, [event])
    row = {
        "id": owed.id,
        "tenant_id": tenant_id,
        "webhook_id": owed.webhook_id,
        "event_id": event.id,
        "call_id": event.call_id,
        "type": event.type,
        "state": DROPPED if outcome.fault else DELIVERED,
        "attempts": 1,
        "tries": 1,
        "created_at": owed.due_at,
        "due_at": owed.due_at,
        "expires_at": to_ms(event.at + timedelta(seconds=LIVE_SECONDS)),
        "done_at": done_at,
        "last_status": outcome.status,
        "last_error": outcome.error,
    }
    tried = {
        "tenant_id": tenant_id,
        "delivery_id": owed.id,
        "n": 1,
        "at": owed.due_at,
        "took_ms": outcome.took_ms,
        "status": outcome.status,
        "error": outcome.error,
        "fault": outcome.fault,
        "answer": outcome.answer,
    }
    tx.execute(delivery.insert(), row)
    tx.execute(attempt.insert(), tried)

"""Call events as they were told: the outbox's content, and the feed's."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from vonal.domain.events import CallEvent
from vonal.store.sql import from_ms, to_ms
from vonal.store.tables import event as table

_encode = msgspec.json.Encoder().encode


def any_tenant_add(tx: Connection, events: list[CallEvent]) -> None:
    """Appends the events. A second one with the same id, or a second `call.completed`, is an IntegrityError."""
    if events:
        tx.execute(table.insert(), [_row(one) for one in events])


def find(tenant_id: str, tx: Connection, event_ids: list[str]) -> dict[str, CallEvent]:
    """The tenant's events with these ids, by id."""
    # The tenant is looked at here: SQLite would rather walk through all events of the tenant than look up a few ids.
    rows = tx.execute(select(table).where(table.c.id.in_(event_ids)))
    return {row.id: _event(row) for row in rows if row.tenant_id == tenant_id}


def of_call(tenant_id: str, tx: Connection, call_id: str) -> list[CallEvent]:
    """All events of a call, in order."""
    query = select(table).where(table.c.tenant_id == tenant_id, table.c.call_id == call_id)
    return [_event(row) for row in tx.execute(query.order_by(table.c.sequence))]


def newest(tenant_id: str, tx: Connection, types: Sequence[str], *, among: int, limit: int) -> list[CallEvent]:
    """The tenant's events of these types, newest first: up to `limit` of its newest `among` events of all types."""
    latest = select(table.c.position).where(table.c.tenant_id == tenant_id).order_by(table.c.position.desc())
    within = latest.limit(among).subquery()
    of_types = select(table).join(within, within.c.position == table.c.position).where(table.c.type.in_(types))
    return [_event(row) for row in tx.execute(of_types.order_by(table.c.position.desc()).limit(limit))]


def _row(one: CallEvent) -> dict[str, object]:
    return {
        "id": one.id,
        "tenant_id": one.tenant_id,
        "call_id": one.call_id,
        "sequence": one.sequence,
        "type": one.type,
        "at": to_ms(one.at),
        "data": _encode(one.data),
    }


def _event(row: Row[Any]) -> CallEvent:
    return CallEvent(
        id=row.id,
        type=row.type,
        tenant_id=row.tenant_id,
        call_id=row.call_id,
        sequence=row.sequence,
        at=from_ms(row.at),
        data=msgspec.json.decode(row.data),
    )

"""Call events as they were told: the outbox's content, and the feed's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, bindparam, select, text

from vonal.domain.events import CallEvent
from vonal.store import sql
from vonal.store.sql import from_ms, to_ms
from vonal.store.tables import event as table

_encode = msgspec.json.Encoder().encode
_IN_TURN = text("SELECT pg_advisory_xact_lock(7166401)")  # any number, as long as nobody else takes it


_by_id = select(table).where(table.c.id.in_(bindparam("ids", expanding=True)))


class Told(Struct, frozen=True):
    """An event, and its position in the order in which events became known: the feed's order."""

    position: int
    event: CallEvent


def any_tenant_add(tx: Connection, events: list[CallEvent]) -> None:
    """Appends the events. A second one with the same id, or a second `call.completed`, is an IntegrityError.

    Until the transaction ends no other one appends.
    """
    # PostgreSQL gives positions before the commit: a reader would pass over a smaller one that is committed later.
    if events and tx.dialect.name == "postgresql":
        tx.execute(_IN_TURN)
    sql.insert(tx, table, [_row(one) for one in events])


def after(tenant_id: str, tx: Connection, position: int, *, limit: int) -> list[Told]:
    """The tenant's events behind this position, in order."""
    query = select(table).where(table.c.tenant_id == tenant_id, table.c.position > position)
    return [Told(row.position, of_row(row)) for row in tx.execute(query.order_by(table.c.position).limit(limit))]


def position_of(tenant_id: str, tx: Connection, event_id: str) -> int | None:
    """Where the tenant's event with this id stands; None when there is none, or no longer."""
    row = tx.execute(select(table.c.position, table.c.tenant_id).where(table.c.id == event_id)).first()
    return row.position if row and row.tenant_id == tenant_id else None


def last(tenant_id: str, tx: Connection) -> tuple[int, str] | None:
    """Position and id of the tenant's newest event."""
    query = select(table.c.position, table.c.id).where(table.c.tenant_id == tenant_id)
    row = tx.execute(query.order_by(table.c.position.desc()).limit(1)).first()
    return (row.position, row.id) if row else None


def before_time(tenant_id: str, tx: Connection, at: datetime) -> tuple[int, str] | None:
    """Position and id of the last event before the first one that happened at `at` or later; None: it is the first."""
    since = select(table.c.position).where(table.c.tenant_id == tenant_id, table.c.at >= to_ms(at))
    first = tx.execute(since.order_by(table.c.position).limit(1)).scalar()
    if first is None:
        return last(tenant_id, tx)
    query = select(table.c.position, table.c.id).where(table.c.tenant_id == tenant_id, table.c.position < first)
    row = tx.execute(query.order_by(table.c.position.desc()).limit(1)).first()
    return (row.position, row.id) if row else None


def find(tenant_id: str, tx: Connection, event_ids: list[str]) -> dict[str, CallEvent]:
    """The tenant's events with these ids, by id."""
    # The tenant is looked at here: SQLite would rather walk through all events of the tenant than look up a few ids.
    rows = tx.execute(_by_id, {"ids": event_ids})
    return {row.id: of_row(row) for row in rows if row.tenant_id == tenant_id}


def of_call(tenant_id: str, tx: Connection, call_id: str) -> list[CallEvent]:
    """All events of a call, in order."""
    query = select(table).where(table.c.tenant_id == tenant_id, table.c.call_id == call_id)
    return [of_row(row) for row in tx.execute(query.order_by(table.c.sequence))]


def newest(tenant_id: str, tx: Connection, types: Sequence[str], *, among: int, limit: int) -> list[CallEvent]:
    """The tenant's events of these types, newest first: up to `limit` of its newest `among` events of all types."""
    latest = select(table.c.position).where(table.c.tenant_id == tenant_id).order_by(table.c.position.desc())
    within = latest.limit(among).subquery()
    of_types = select(table).join(within, within.c.position == table.c.position).where(table.c.type.in_(types))
    return [of_row(row) for row in tx.execute(of_types.order_by(table.c.position.desc()).limit(limit))]


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


def of_row(row: Row[Any]) -> CallEvent:
    """The event in a row with all columns of its table."""
    return CallEvent(
        id=row.id,
        type=row.type,
        tenant_id=row.tenant_id,
        call_id=row.call_id,
        sequence=row.sequence,
        at=from_ms(row.at),
        data=msgspec.json.decode(row.data),
    )

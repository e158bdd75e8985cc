"""Deliveries: one row for each call event that a webhook is owed, with every attempt at it."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Row, Select, select, update

from vonal.domain.delivery import Owed, State
from vonal.domain.directory import Webhook
from vonal.domain.errors import DeliveryNotFound, Fault, InvalidRequest
from vonal.domain.events import LIVE, LIVE_SECONDS, TEST, CallEvent, iso
from vonal.store import sql
from vonal.store.sql import from_ms, to_ms
from vonal.store.tables import DELIVERED, DISABLED, DROPPED, OPEN, PARKED, attempt, webhook
from vonal.store.tables import delivery as table

Matches = Callable[[Webhook, CallEvent], bool]
NUMBER_OF: dict[State, int] = {
    "open": OPEN,
    "delivered": DELIVERED,
    "parked": PARKED,
    "dropped": DROPPED,
    "disabled": DISABLED,
}
STATE_OF = {number: name for name, number in NUMBER_OF.items()}
STATES: tuple[State, ...] = get_args(State)
REPLAYABLE = timedelta(days=30)
_DISABLED = "SELECT tenant_id, webhook_id FROM lane WHERE disabled_at IS NOT NULL"
TOO_LATE = "worth nothing any more: the call has moved on"
SWITCHED_OFF = "the webhook is disabled: it answered 410"


class Attempt(Struct, frozen=True, kw_only=True):
    """One HTTP request: the `status` or the class of `error`, whose `fault` it was, the beginning of the answer."""

    n: int
    at: str
    took_ms: int
    status: int | None
    error: str | None
    fault: Fault | None
    answer: str | None


class Delivery(Struct, frozen=True, kw_only=True):
    """A delivery as the API and the command line show it; times are ISO 8601. `next_at` is set while it is open."""

    id: str
    tenant_id: str
    webhook: str
    event_id: str
    type: str
    call_id: str | None
    state: State
    created_at: str
    next_at: str | None
    done_at: str | None
    last_status: int | None
    last_error: str | None
    attempts: list[Attempt]


class DeliveryFilter(Struct, frozen=True, kw_only=True):
    """What `listing` lets through; None lets all through."""

    webhook: str | None = None
    state: State | None = None
    call: str | None = None
    type: str | None = None


def enqueue(
    tenant_id: str,
    tx: Connection,
    *,
    events: Sequence[CallEvent],
    webhooks: Sequence[Webhook],
    matches: Matches,
    now: datetime,
) -> list[Owed]:
    """Owes each event to every webhook that `matches` it; returns what is to be sent, in order.

    Owing the same again changes nothing and returns nothing. The caller stores the events in the same transaction, and
    hands what is returned to the delivery's worker after the commit.
    """
    mine = [one for one in events if one.tenant_id == tenant_id]
    return any_tenant_enqueue(tx, [(one, hook) for one in mine for hook in webhooks if matches(hook, one)], now=now)


def any_tenant_enqueue(tx: Connection, pairs: Sequence[tuple[CallEvent, Webhook]], *, now: datetime) -> list[Owed]:
    """`enqueue` for events of several tenants, each with a webhook of its own tenant that wants it."""
    if not pairs:
        return []
    off = any_tenant_disabled(tx)
    ids = _new_ids(len(pairs), to_ms(now))
    owed = [_owe(id_, event, hook, to_ms(now)) for id_, (event, hook) in zip(ids, pairs, strict=True)]
    rows = [_row(one, off=one.lane in off, now=to_ms(now)) for one in owed]
    open_ = [one for one, row in zip(owed, rows, strict=True) if row["state"] == OPEN]
    if sql.insert(tx, table, rows, ending=sql.NOTHING) == len(rows):
        return open_
    fresh = set(tx.execute(select(table.c.id).where(table.c.id.in_(ids))).scalars())  # some were owed already
    return [one for one in open_ if one.id in fresh]


def find(tenant_id: str, tx: Connection, delivery_id: str) -> Delivery:
    """The tenant's delivery with this id, with its attempts; raises DeliveryNotFound."""
    row = tx.execute(select(table).where(table.c.tenant_id == tenant_id, table.c.id == delivery_id)).first()
    if row is None:
        raise DeliveryNotFound(f"there is no delivery {delivery_id[:80]}", param="id")
    return _shown(tx, [row])[0]


def listing(
    tenant_id: str,
    tx: Connection,
    wanted: DeliveryFilter,
    *,
    after: str | None = None,
    limit: int = 100,
    among: int | None = None,
) -> tuple[list[Delivery], str | None]:
    """The tenant's deliveries, newest first, with their attempts, and the cursor of the next page (None on the last).

    `after`: a cursor got before. Raises ValueError when it is none of ours. `among`: how many are looked through for
    one page, which may hold few, or none, and still not be the last.
    """
    query = select(table).where(table.c.tenant_id == tenant_id)
    if among is None or wanted.call is not None:
        return _page(tx, query, wanted, after=after, limit=limit)
    newest = select(table.c.position).where(table.c.tenant_id == tenant_id)
    if after is not None:
        newest = newest.where(table.c.position < sql.read_cursor(after))
    floor = tx.execute(newest.order_by(table.c.position.desc()).offset(among - 1).limit(1)).scalar()
    query = query.where(table.c.position >= floor) if floor is not None else query
    found, cursor = _page(tx, query, wanted, after=after, limit=limit)
    return found, cursor or (None if floor is None else str(floor))


def any_tenant_listing(
    tx: Connection, wanted: DeliveryFilter, *, after: str | None = None, limit: int = 100
) -> tuple[list[Delivery], str | None]:
    """`listing` for the operator: of all tenants."""
    return _page(tx, select(table), wanted, after=after, limit=limit)


def replay(tenant_id: str, tx: Connection, delivery_id: str, *, now: datetime) -> Delivery:
    """Owes the delivery again, from the start of its retry schedule; an open one stays as it is.

    Raises DeliveryNotFound, and InvalidRequest when the delivery is older than 30 days, or its webhook takes nothing.
    """
    found = find(tenant_id, tx, delivery_id)
    if found.state == "open":
        return found
    if found.created_at < (iso(now - REPLAYABLE) or ""):
        raise InvalidRequest(f"delivery {found.id} is older than {REPLAYABLE.days} days", param="id")
    if fault := _webhook_fault(tenant_id, tx, found.webhook):
        raise InvalidRequest(f"webhook {found.webhook} {fault}", param="id")
    late = to_ms(now + timedelta(seconds=LIVE_SECONDS)) if _is_live(found.type) else None
    again = {"state": OPEN, "due_at": to_ms(now), "tries": 0, "expires_at": late, "done_at": None, "last_error": None}
    tx.execute(update(table).where(table.c.tenant_id == tenant_id, table.c.id == delivery_id).values(again))
    return find(tenant_id, tx, delivery_id)


def any_tenant_disabled(tx: Connection) -> set[tuple[str, str]]:
    """(tenant, webhook) of those that answered 410 and have not been changed since."""
    return {(tenant_id, webhook_id) for tenant_id, webhook_id in tx.exec_driver_sql(_DISABLED)}


def accepted_answer(
    tenant_id: str, tx: Connection, *, webhook_id: str, call_id: str, types: Sequence[str]
) -> str | None:
    """The beginning of the webhook's last successful answer to an event of these types of this call, or None."""
    tried = (
        select(attempt.c.answer)
        .join(table, (table.c.id == attempt.c.delivery_id) & (table.c.tenant_id == attempt.c.tenant_id))
        .where(table.c.tenant_id == tenant_id, table.c.call_id == call_id, table.c.webhook_id == webhook_id)
        .where(table.c.type.in_(types), attempt.c.status.between(200, 299))
        .order_by(attempt.c.at.desc(), attempt.c.n.desc())
    )
    return tx.execute(tried.limit(1)).scalar()


def any_tenant_replay(tx: Connection, delivery_id: str, *, now: datetime) -> Delivery:
    """`replay` for the operator, who does not name the tenant."""
    tenant_id = tx.execute(select(table.c.tenant_id).where(table.c.id == delivery_id)).scalar()
    return replay(tenant_id or "", tx, delivery_id, now=now)


def any_tenant_forget(tx: Connection, *, before: int, after: int = 0, limit: int = 1000) -> tuple[int, int | None]:
    """Deletes closed deliveries made before (ms UTC), and their attempts, among the `limit` that follow `after`.

    Returns how many they were, and what to give as `after` the next time; None when there are no older ones.
    """
    columns = (table.c.position, table.c.id, table.c.created_at, table.c.state)
    rows = tx.execute(select(*columns).where(table.c.position > after).order_by(table.c.position).limit(limit)).all()
    old = [row for row in rows if row.created_at < before]
    ids = [row.id for row in old if row.state != OPEN]
    if ids:
        tx.execute(attempt.delete().where(attempt.c.delivery_id.in_(ids)))
        tx.execute(table.delete().where(table.c.id.in_(ids)))
    return len(ids), old[-1].position if len(old) == limit else None


def _is_live(type_: str) -> bool:
    return type_ in LIVE or type_ == TEST


def _new_ids(count: int, now: int) -> list[str]:
    """Ids that begin with the time, so that new ones stand side by side in the index; 80 bits are random."""
    rest = secrets.token_hex(10 * count)
    return [f"dlv_{now:012x}{rest[20 * number : 20 * number + 20]}" for number in range(count)]


def _owe(id_: str, event: CallEvent, hook: Webhook, now: int) -> Owed:
    expires_at = to_ms(event.at + timedelta(seconds=LIVE_SECONDS)) if _is_live(event.type) else None
    return Owed(id=id_, webhook_id=hook.id, event=event, due_at=now, expires_at=expires_at)


def _row(owed: Owed, *, off: bool, now: int) -> dict[str, Any]:
    late = owed.expires_at is not None and owed.expires_at <= now
    state, note = OPEN, None
    if late:
        state, note = DROPPED, TOO_LATE
    elif off:
        state, note = DROPPED if owed.live else DISABLED, SWITCHED_OFF
    return {
        "id": owed.id,
        "tenant_id": owed.event.tenant_id,
        "webhook_id": owed.webhook_id,
        "event_id": owed.event.id,
        "call_id": owed.event.call_id,
        "type": owed.event.type,
        "state": state,
        "attempts": 0,
        "tries": 0,
        "created_at": now,
        "due_at": now,
        "expires_at": owed.expires_at,
        "done_at": None if state == OPEN else now,
        "last_error": note,
    }


def _webhook_fault(tenant_id: str, tx: Connection, webhook_id: str) -> str | None:
    known = select(webhook.c.id).where(webhook.c.tenant_id == tenant_id, webhook.c.id == webhook_id)
    if tx.execute(known).first() is None:
        return "was removed"
    off = (tenant_id, webhook_id) in any_tenant_disabled(tx)
    return "is disabled, because it answered 410; change it first" if off else None


def _page(
    tx: Connection, query: Select[Any], wanted: DeliveryFilter, *, after: str | None, limit: int
) -> tuple[list[Delivery], str | None]:
    query = query.where(*_conditions(wanted))
    if after is not None:
        query = query.where(table.c.position < sql.read_cursor(after))
    # A call has few deliveries: the sum with nothing keeps SQLite from walking through the whole log for them.
    order = table.c.position if wanted.call is None else table.c.position + 0
    rows = tx.execute(query.order_by(order.desc()).limit(limit + 1)).all()
    cursor = str(rows[limit - 1].position) if len(rows) > limit else None
    return _shown(tx, rows[:limit]), cursor


def _conditions(wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    columns = (
        (table.c.webhook_id, wanted.webhook),
        (table.c.state, NUMBER_OF[wanted.state] if wanted.state else None),
        (table.c.call_id, wanted.call),
        (table.c.type, wanted.type),
    )
    return [column == value for column, value in columns if value is not None]


def _shown(tx: Connection, rows: Sequence[Row[Any]]) -> list[Delivery]:
    made: dict[str, list[Attempt]] = {row.id: [] for row in rows}
    tried = select(attempt).where(attempt.c.delivery_id.in_(list(made))).order_by(attempt.c.n)
    for one in tx.execute(tried) if rows else ():
        made[one.delivery_id].append(_attempt(one))
    return [_delivery(row, made[row.id]) for row in rows]


def _attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        n=row.n,
        at=_time(row.at) or "",
        took_ms=row.took_ms,
        status=row.status,
        error=row.error,
        fault=row.fault,
        answer=row.answer,
    )


def _delivery(row: Row[Any], attempts: list[Attempt]) -> Delivery:
    return Delivery(
        id=row.id,
        tenant_id=row.tenant_id,
        webhook=row.webhook_id,
        event_id=row.event_id,
        type=row.type,
        call_id=row.call_id,
        state=STATE_OF[row.state],
        created_at=_time(row.created_at) or "",
        next_at=_time(row.due_at) if row.state == OPEN else None,
        done_at=_time(row.done_at),
        last_status=row.last_status,
        last_error=row.last_error,
        attempts=attempts,
    )


def _time(ms: int | None) -> str | None:
    return None if ms is None else iso(from_ms(ms))

"""The lanes: what a webhook's sender takes up next, and what it writes down afterwards. See `vonal.delivery`."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from vonal.domain.delivery import EVENTS_OWN_FAULT, LaneState, Owed, Settled
from vonal.store import events as event_store
from vonal.store import vault
from vonal.store.deliveries import NUMBER_OF, SWITCHED_OFF, TOO_LATE
from vonal.store.sql import upsert
from vonal.store.tables import DISABLED, DROPPED, OPEN, PARKED, attempt, lane, webhook
from vonal.store.tables import delivery as table

REMOVED = "the webhook was removed"
GIVEN_UP = "the webhook has been down for too long"

# A literal, not a parameter: only then do both databases use the partial indexes.
_is_open: ColumnElement[bool] = table.c.state == literal_column("0")


def _heads(*which: ColumnElement[bool]) -> Select[Any]:
    # A scalar, not NOT EXISTS, which PostgreSQL would rather work out for the whole backlog than for the few wanted.
    same = table.alias("same")
    first_of_call = select(func.min(same.c.position)).where(
        same.c.tenant_id == table.c.tenant_id,
        same.c.call_id == table.c.call_id,
        same.c.webhook_id == table.c.webhook_id,
        same.c.state + 0 == 0,  # the sum takes the index of what is open, which is not by call, out of the choice
    )
    is_first = table.c.position == func.coalesce(first_of_call.scalar_subquery(), table.c.position)
    due = select(table).where(_is_open, table.c.due_at <= bindparam("now"), is_first, *which)
    return due.order_by(table.c.due_at, table.c.position).limit(bindparam("most"))


# Of a long backlog of records, live events are found by their own index: the empty text keeps SQLite from walking
# through the whole lane for them.
_live_heads = _heads(
    table.c.expires_at > bindparam("now"),
    table.c.tenant_id.concat("") == bindparam("tenant"),
    table.c.webhook_id.concat("") == bindparam("webhook"),
)
_record_heads = _heads(
    table.c.expires_at.is_(None),
    table.c.tenant_id == bindparam("tenant"),
    table.c.webhook_id == bindparam("webhook"),
)


def waiting(
    tenant_id: str, tx: Connection, webhook_id: str, *, now: int, limit: int, live_only: bool = False
) -> tuple[list[Owed], bool]:
    """What a webhook is owed, and whether that is all of it.

    All of it, in order, when it is at most `limit` deliveries. Else up to `limit` that may be sent now: due, and first
    of what is open of their call; live events before records.
    """
    mine = and_(*_open_of(tenant_id, webhook_id))
    counted = select(literal_column("1")).select_from(table).where(mine).limit(limit + 1).subquery()
    if (tx.execute(select(func.count()).select_from(counted)).scalar() or 0) <= limit:
        everything = sorted(tx.execute(select(table).where(mine)), key=lambda row: row.position)
        return _with_events(tenant_id, tx, everything), True
    rows = tx.execute(_live_heads, {"tenant": tenant_id, "webhook": webhook_id, "now": now, "most": limit}).all()
    if not live_only and len(rows) < limit:
        asked = {"tenant": tenant_id, "webhook": webhook_id, "now": now, "most": limit - len(rows)}
        rows = [*rows, *tx.execute(_record_heads, asked)]
    return _with_events(tenant_id, tx, rows), False


def any_tenant_due_lanes(tx: Connection, *, now: int) -> list[tuple[str, str, LaneState]]:
    """(tenant, webhook, retry clock) of every webhook that is owed something due, and may be sent to."""
    due = exists().where(
        table.c.tenant_id == webhook.c.tenant_id,
        table.c.webhook_id == webhook.c.id,
        table.c.due_at <= now,
        _is_open,
    )
    joined = webhook.outerjoin(lane, and_(lane.c.tenant_id == webhook.c.tenant_id, lane.c.webhook_id == webhook.c.id))
    query = select(webhook.c.tenant_id, webhook.c.id, lane.c.fails, lane.c.next_at).select_from(joined)
    rows = tx.execute(query.where(lane.c.disabled_at.is_(None), due))
    return [(row.tenant_id, row.id, LaneState(fails=row.fails or 0, next_at=row.next_at or 0)) for row in rows]


def any_tenant_settle(tx: Connection, results: Sequence[Settled]) -> None:
    """Writes what became of attempts: the attempts, the deliveries' states and the lanes' clocks."""
    tried = [one for one in results if one.outcome is not None]
    if tried:
        tx.execute(_add_attempt[tx.dialect.name], [_attempt(one) for one in tried])
    delivered = [_change(one) for one in results if one.state == "delivered"]
    others = [_change(one) for one in results if one.state != "delivered"]
    if delivered:
        tx.execute(_delivered, delivered)
    if others:
        tx.execute(_not_delivered, others)
    clocks = {one.owed.lane: one.lane for one in results if one.lane is not None}
    upsert(tx, lane, [_clock(key, state) for key, state in clocks.items()], key=["tenant_id", "webhook_id"])
    for one in results:
        if one.state == "disabled":
            _disable(*one.owed.lane[:1], tx, one.owed.webhook_id, now=one.done_at)
        if one.revived:
            _revive(*one.owed.lane[:1], tx, one.owed.webhook_id, now=one.done_at)
        if one.given_up_before is not None:
            _give_up(*one.owed.lane[:1], tx, one.owed.webhook_id, before=one.given_up_before, now=one.done_at)


def any_tenant_has_late(tx: Connection, *, now: int) -> bool:
    """Whether there are live events whose time is over."""
    query = select(table.c.id).where(_is_open, table.c.expires_at <= now).limit(1)
    return tx.execute(query).first() is not None


def any_tenant_expire(tx: Connection, *, now: int) -> int:
    """Drops the live events whose time is over; how many they were."""
    late = update(table).where(_is_open, table.c.expires_at <= now)
    return tx.execute(late.values(state=DROPPED, done_at=now, last_error=TOO_LATE)).rowcount


def any_tenant_orphans(tx: Connection) -> set[tuple[str, str]]:
    """(tenant, webhook) of all that something is owed to and that are no more."""
    owed = select(table.c.tenant_id, table.c.webhook_id).where(_is_open).distinct()
    held = select(lane.c.tenant_id, lane.c.webhook_id).where(lane.c.disabled_at.is_not(None))
    known = select(webhook.c.tenant_id, webhook.c.id)
    return (_pairs(tx, owed) | _pairs(tx, held)) - _pairs(tx, known)


def drop_all(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> int:
    """Drops what is owed to a webhook that is no more; how many deliveries they were."""
    tx.execute(lane.delete().where(*_of(lane, tenant_id, webhook_id)))
    owed = update(table).where(*_of(table, tenant_id, webhook_id), table.c.state.in_([OPEN, DISABLED]))
    return tx.execute(owed.values(state=DROPPED, done_at=now, last_error=REMOVED)).rowcount


def any_tenant_enable_changed(tx: Connection, *, now: int) -> list[tuple[str, str]]:
    """Opens the lanes, and what waits in them, of disabled webhooks that were changed since."""
    joined = lane.join(webhook, and_(lane.c.tenant_id == webhook.c.tenant_id, lane.c.webhook_id == webhook.c.id))
    query = select(lane, webhook.c.data).select_from(joined).where(lane.c.disabled_at.is_not(None))
    changed = [
        row for row in tx.execute(query) if _digest(row.tenant_id, tx, row.webhook_id, row.data) != row.disabled_digest
    ]
    for row in changed:
        clock = {"fails": 0, "next_at": 0, "disabled_at": None, "disabled_digest": None}
        tx.execute(update(lane).where(*_of(lane, row.tenant_id, row.webhook_id)).values(clock))
        held = update(table).where(*_of(table, row.tenant_id, row.webhook_id), table.c.state == DISABLED)
        tx.execute(held.values(state=OPEN, due_at=now, tries=0, done_at=None))
    return [(row.tenant_id, row.webhook_id) for row in changed]


def any_tenant_digests(tx: Connection) -> dict[tuple[str, str], str]:
    """A fingerprint of each webhook as it is now, by (tenant, webhook)."""
    rows = tx.execute(select(webhook))
    return {(row.tenant_id, row.id): _digest(row.tenant_id, tx, row.id, row.data) for row in rows}


def make_due(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    """What a webhook is owed is due now, whatever put it off."""
    put_off = update(table).where(*_of(table, tenant_id, webhook_id), _is_open, table.c.due_at > now)
    tx.execute(put_off.values(due_at=now))


def _pairs(tx: Connection, query: Select[Any]) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in tx.execute(query)}


def _with_events(tenant_id: str, tx: Connection, rows: Sequence[Row[Any]]) -> list[Owed]:
    told = event_store.find(tenant_id, tx, [row.event_id for row in rows]) if rows else {}
    return [
        Owed(
            id=row.id,
            webhook_id=row.webhook_id,
            event=told[row.event_id],
            due_at=row.due_at,
            attempts=row.attempts,
            tries=row.tries,
            expires_at=row.expires_at,
        )
        for row in rows
        if row.event_id in told
    ]


# Built once: these run with every attempt. A delivery closed meanwhile (by time, say) stays closed unless it was taken.
_delivered = (
    update(table)
    .where(table.c.id == bindparam("of"))
    .values(
        state=bindparam("state_"),
        attempts=bindparam("attempts_"),
        tries=bindparam("tries_"),
        due_at=bindparam("due_at_"),
        done_at=bindparam("done_at_"),
        last_status=bindparam("last_status_"),
        last_error=bindparam("last_error_"),
    )
)
_not_delivered = _delivered.values(
    state=case((_is_open, bindparam("state_")), else_=table.c.state),
    done_at=case((_is_open, bindparam("done_at_")), else_=table.c.done_at),
)
_add_attempt: dict[str, Executable] = {
    "sqlite": sqlite.insert(attempt).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(attempt).on_conflict_do_nothing(),
}


def _change(one: Settled) -> dict[str, Any]:
    outcome, made = one.outcome, 0 if one.outcome is None else 1
    return {
        "of": one.owed.id,
        "state_": NUMBER_OF[one.state],
        "attempts_": one.owed.attempts + made,
        "tries_": one.owed.tries + made,
        "due_at_": one.due_at,
        "done_at_": None if one.state == "open" else one.done_at,
        "last_status_": outcome.status if outcome else None,
        "last_error_": one.note or (outcome.error if outcome else None),
    }


def _attempt(one: Settled) -> dict[str, Any]:
    outcome = one.outcome
    assert outcome is not None  # noqa: S101 - only what was tried comes here
    return {
        "tenant_id": one.owed.event.tenant_id,
        "delivery_id": one.owed.id,
        "n": one.owed.attempts + 1,
        "at": one.at,
        "took_ms": outcome.took_ms,
        "status": outcome.status,
        "error": outcome.error,
        "fault": outcome.fault,
        "answer": outcome.answer,
    }


def _clock(key: tuple[str, str], state: LaneState) -> dict[str, Any]:
    return {"tenant_id": key[0], "webhook_id": key[1], "fails": state.fails, "next_at": state.next_at}


def _disable(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    data = tx.execute(select(webhook.c.data).where(webhook.c.tenant_id == tenant_id, webhook.c.id == webhook_id))
    row = {
        "tenant_id": tenant_id,
        "webhook_id": webhook_id,
        "fails": 0,
        "next_at": 0,
        "disabled_at": now,
        "disabled_digest": _digest(tenant_id, tx, webhook_id, data.scalar() or ""),
    }
    upsert(tx, lane, [row], key=["tenant_id", "webhook_id"])
    held = update(table).where(*_open_of(tenant_id, webhook_id)).values(done_at=now, last_error=SWITCHED_OFF)
    tx.execute(held.where(table.c.expires_at.is_not(None)).values(state=DROPPED))
    tx.execute(held.where(table.c.expires_at.is_(None)).values(state=DISABLED))


def _revive(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    status = func.coalesce(table.c.last_status, 0)
    back_off = update(table).where(*_of(table, tenant_id, webhook_id), _is_open, table.c.due_at > now)
    tx.execute(back_off.where(status.not_in(EVENTS_OWN_FAULT)).values(due_at=now))


def _give_up(tenant_id: str, tx: Connection, webhook_id: str, *, before: int, now: int) -> None:
    old = update(table).where(*_open_of(tenant_id, webhook_id), table.c.created_at <= before)
    tx.execute(old.values(state=PARKED, done_at=now, last_error=GIVEN_UP))


def _open_of(tenant_id: str, webhook_id: str) -> tuple[ColumnElement[bool], ...]:
    # The last one is always so; by it SQLite prefers the index of what is open to those of all that ever was.
    return (*_of(table, tenant_id, webhook_id), _is_open, table.c.due_at >= 0)


def _of(which: Any, tenant_id: str, webhook_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return which.c.tenant_id == tenant_id, which.c.webhook_id == webhook_id


def _digest(tenant_id: str, tx: Connection, webhook_id: str, data: str) -> str:
    # Of what was sealed: a new key makes another text, but no other webhook.
    return hashlib.sha256(vault.opened(tenant_id, tx, "webhook", webhook_id, data).encode()).hexdigest()

"""The lanes: what a webhook's sender takes up next, and what it writes down afterwards. See `vonal.delivery`."""

import hashlib
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from vonal.domain.delivery import LaneState, Owed
from vonal.domain.events import LIVE_SECONDS
from vonal.store import events as event_store
from vonal.store import vault
from vonal.store.deliveries import TOO_LATE
from vonal.store.tables import DISABLED, DROPPED, OPEN, attempt, event, lane, webhook
from vonal.store.tables import delivery as table

REMOVED = "the webhook was removed"
UNWANTED = "not asked for"

# A literal, not a parameter: only then do both databases use the partial indexes.
is_open: ColumnElement[bool] = table.c.state == literal_column("0")


def _with_events(owed: Select[Any]) -> Select[Any]:
    # Of a subquery with a limit PostgreSQL knows that it is short, and does not think of reading all events instead.
    one = owed.limit(bindparam("most")).subquery()
    names = ("webhook_id", "due_at", "attempts", "tries", "expires_at")
    columns = (one.c.id.label("delivery_id"), one.c.position.label("place"), *(one.c[name] for name in names))
    return select(*columns, event).join_from(one, event, event.c.id == one.c.event_id)


def _heads(*which: ColumnElement[bool]) -> Select[Any]:
    # A scalar, not NOT EXISTS, which PostgreSQL would rather work out for the whole backlog than for the few wanted.
    same = table.alias("same")
    first_of_call = select(func.min(same.c.position)).where(
        same.c.tenant_id == table.c.tenant_id,
        same.c.call_id == table.c.call_id,
        same.c.webhook_id == table.c.webhook_id,
        same.c.state + 0 == 0,  # the sum takes the index of what is open, which is not by call, out of the choice
    )
    # Not "=", which PostgreSQL takes for so rare that it reads and sorts all that the webhook was ever owed.
    is_first = table.c.position <= func.coalesce(first_of_call.scalar_subquery(), table.c.position)
    due = select(table).where(is_open, table.c.due_at <= bindparam("now"), is_first, *which)
    return _with_events(due.order_by(table.c.due_at, table.c.position))


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


# Built once, like those above: a process that starts beside a thousand dead webhooks asks for each of them.
_of_one: ColumnElement[bool] = and_(
    table.c.tenant_id == bindparam("tenant"),
    table.c.webhook_id == bindparam("webhook"),
    is_open,
    table.c.due_at >= 0,  # always so: see `open_of`
)
_everything = _with_events(select(table).where(_of_one))
_counted = select(func.count()).select_from(
    select(literal_column("1")).select_from(table).where(_of_one).limit(bindparam("most")).subquery()
)


def waiting(
    tenant_id: str, tx: Connection, webhook_id: str, *, now: int, limit: int, live: bool = True, records: bool = True
) -> tuple[list[Owed], bool]:
    """What a webhook is owed, and whether that is all of it.

    All of it, in order, when it is at most `limit` deliveries. Else up to `limit` that may be sent now: due, and first
    of what is open of their call; `live` events before `records`. If one is wanted, that takes one look.
    """
    of = {"tenant": tenant_id, "webhook": webhook_id, "now": now}
    if limit > 1 and (tx.execute(_counted, {**of, "most": limit + 1}).scalar() or 0) <= limit:
        everything = tx.execute(_everything, {**of, "most": limit})
        return [_owed(row) for row in sorted(everything, key=lambda row: row.place)], True
    rows: list[Row[Any]] = []
    for wanted, heads in ((live, _live_heads), (records, _record_heads)):
        if wanted and len(rows) < limit:
            found = tx.execute(heads, {**of, "most": limit - len(rows)})
            rows += sorted(found, key=lambda row: (row.due_at, row.place))
    return [_owed(row) for row in rows], False


def _owed(row: Row[Any]) -> Owed:
    return Owed(
        id=row.delivery_id,
        webhook_id=row.webhook_id,
        event=event_store.of_row(row),
        due_at=row.due_at,
        attempts=row.attempts,
        tries=row.tries,
        expires_at=row.expires_at,
    )


# Not DISTINCT, for whose sake SQLite would walk through all that is open.
_live_lanes = select(table.c.tenant_id, table.c.webhook_id).where(is_open, table.c.expires_at > bindparam("now"))


def _due_lanes() -> Select[Any]:
    of_webhook = (table.c.tenant_id == webhook.c.tenant_id, table.c.webhook_id == webhook.c.id, is_open)
    oldest = select(func.min(table.c.due_at)).where(*of_webhook).scalar_subquery()
    joined = webhook.outerjoin(lane, and_(lane.c.tenant_id == webhook.c.tenant_id, lane.c.webhook_id == webhook.c.id))
    # Of those that are down, the database need not look what they are owed before their time has come.
    may_be_asked = or_(
        func.coalesce(lane.c.next_at, 0) <= bindparam("now"),
        tuple_(webhook.c.tenant_id, webhook.c.id).in_(_live_lanes),
    )
    columns = (webhook.c.tenant_id, webhook.c.id, lane.c.fails, lane.c.next_at, lane.c.failing_since)
    query: Select[Any] = select(*columns).select_from(joined)
    due = exists().where(*of_webhook, table.c.due_at <= bindparam("now"))
    return query.where(lane.c.disabled_at.is_(None), may_be_asked, due).order_by(oldest)


_due = _due_lanes()


def any_tenant_due_lanes(tx: Connection, *, now: int) -> list[tuple[tuple[str, str], LaneState, bool]]:
    """((tenant, webhook), retry clock, whether live events are among it) of all that may be sent something now.

    The one comes last whose oldest delivery is the newest.
    """
    live = {(row.tenant_id, row.webhook_id) for row in tx.execute(_live_lanes, {"now": now})}
    rows = [((row.tenant_id, row.id), _state(row)) for row in tx.execute(_due, {"now": now})]
    return [(key, state, key in live) for key, state in rows]


def any_tenant_has_late(tx: Connection, *, now: int) -> bool:
    """Whether there are live events whose time is over."""
    query = select(table.c.id).where(is_open, table.c.expires_at <= now).limit(1)
    return tx.execute(query).first() is not None


def any_tenant_expire(tx: Connection, *, now: int) -> int:
    """Drops the live events whose time is over; how many they were."""
    late = update(table).where(is_open, table.c.expires_at <= now)
    return tx.execute(late.values(state=DROPPED, done_at=now, last_error=TOO_LATE)).rowcount


def any_tenant_latest(tx: Connection) -> int:
    """The latest time (ms) that was noted here: of an attempt, or of a delivery's making; 0 when there is none."""
    newest = select(table.c.created_at).order_by(table.c.position.desc()).limit(1)
    return max(tx.execute(newest).scalar() or 0, tx.execute(select(func.max(attempt.c.at))).scalar() or 0)


def any_tenant_move_back(tx: Connection, *, by: int, now: int) -> None:
    """The clock was set back by so many ms, to `now`: what was put off by the time before waits as much less."""
    earlier = case((table.c.due_at - by > now, table.c.due_at - by), else_=now)
    tx.execute(update(table).where(is_open, table.c.due_at > now).values(due_at=earlier))
    too_long = table.c.expires_at > now + LIVE_SECONDS * 1000
    tx.execute(update(table).where(is_open, too_long).values(expires_at=table.c.expires_at - by))
    sooner = case((lane.c.next_at - by > now, lane.c.next_at - by), else_=now)
    tx.execute(update(lane).where(lane.c.next_at > now).values(next_at=sooner))


def any_tenant_orphans(tx: Connection) -> set[tuple[str, str]]:
    """(tenant, webhook) of all that something is owed to and that are no more."""
    owed = select(table.c.tenant_id, table.c.webhook_id).where(is_open).distinct()
    held = select(lane.c.tenant_id, lane.c.webhook_id).where(lane.c.disabled_at.is_not(None))
    known = select(webhook.c.tenant_id, webhook.c.id)
    return (_pairs(tx, owed) | _pairs(tx, held)) - _pairs(tx, known)


def drop_all(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> int:
    """Drops what is owed to a webhook that is no more; how many deliveries they were."""
    tx.execute(lane.delete().where(*of_lane(lane, tenant_id, webhook_id)))
    owed = update(table).where(*of_lane(table, tenant_id, webhook_id), table.c.state.in_([OPEN, DISABLED]))
    return tx.execute(owed.values(state=DROPPED, done_at=now, last_error=REMOVED)).rowcount


def any_tenant_enable_changed(tx: Connection, *, now: int) -> list[tuple[str, str]]:
    """Opens the lanes, and what waits in them, of disabled webhooks that were changed since."""
    joined = lane.join(webhook, and_(lane.c.tenant_id == webhook.c.tenant_id, lane.c.webhook_id == webhook.c.id))
    query = select(lane, webhook.c.data).select_from(joined).where(lane.c.disabled_at.is_not(None))
    rows = tx.execute(query).all()
    changed = [one for one in rows if fingerprint(one.tenant_id, tx, one.webhook_id, one.data) != one.disabled_digest]
    for row in changed:
        clock = {"fails": 0, "next_at": 0, "failing_since": None, "disabled_at": None, "disabled_digest": None}
        tx.execute(update(lane).where(*of_lane(lane, row.tenant_id, row.webhook_id)).values(clock))
        held = update(table).where(*of_lane(table, row.tenant_id, row.webhook_id), table.c.state == DISABLED)
        tx.execute(held.values(state=OPEN, due_at=now, tries=0, done_at=None))
    return [(row.tenant_id, row.webhook_id) for row in changed]


def any_tenant_digests(tx: Connection) -> dict[tuple[str, str], str]:
    """A fingerprint of each webhook as it is now, by (tenant, webhook)."""
    rows = tx.execute(select(webhook)).all()
    return {(row.tenant_id, row.id): fingerprint(row.tenant_id, tx, row.id, row.data) for row in rows}


def make_due(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    """What a webhook is owed is due now, whatever put it off."""
    put_off = update(table).where(*of_lane(table, tenant_id, webhook_id), is_open, table.c.due_at > now)
    tx.execute(put_off.values(due_at=now))


def _state(row: Row[Any]) -> LaneState:
    return LaneState(fails=row.fails or 0, next_at=row.next_at or 0, failing_since=row.failing_since)


def _pairs(tx: Connection, query: Select[Any]) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in tx.execute(query)}


def open_of(tenant_id: str, webhook_id: str) -> tuple[ColumnElement[bool], ...]:
    """The condition for what a webhook is owed."""
    # The last one is always so; by it SQLite prefers the index of what is open to those of all that ever was.
    return (*of_lane(table, tenant_id, webhook_id), is_open, table.c.due_at >= 0)


def of_lane(which: Any, tenant_id: str, webhook_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The condition for the rows of a webhook in a table."""
    return which.c.tenant_id == tenant_id, which.c.webhook_id == webhook_id


def fingerprint(tenant_id: str, tx: Connection, webhook_id: str, data: str) -> str:
    """Tells one state of a webhook from another, whatever key its row is sealed with."""
    return hashlib.sha256(vault.opened(tenant_id, tx, "webhook", webhook_id, data).encode()).hexdigest()

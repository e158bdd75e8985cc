"""Owing again what a webhook was owed between two times: found by readers, opened in small pieces by the writer."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from vonal.domain.delivery import State
from vonal.domain.events import LIVE, LIVE_SECONDS, TEST
from vonal.store.deliveries import NUMBER_OF
from vonal.store.tables import DROPPED, OPEN
from vonal.store.tables import delivery as table

# Positions are given before the commit, so a neighbour's may be a little older than the one before it.
SLACK_MS = 60_000
_LIVE_TYPES = (*LIVE, TEST)


class Range(Struct, frozen=True, kw_only=True):
    """Deliveries of a webhook that were created from `since` until before `until` (ms UTC), now in one of `states`.

    None is all that are closed, except the live events that were dropped. Tests are never among them.
    """

    webhook_id: str
    since: int
    until: int
    states: tuple[State, ...] | None = None


def find(tenant_id: str, tx: Connection, wanted: Range, *, after: int = 0, limit: int) -> list[int]:
    """The positions of up to `limit` of the deliveries, in order, that come after the position `after`."""
    first = max(_position_at(tenant_id, tx, wanted.since - SLACK_MS), after + 1)
    last = _position_at(tenant_id, tx, wanted.until + SLACK_MS)
    found = tx.execute(
        select(table.c.position)
        .where(table.c.tenant_id == tenant_id, table.c.position >= first, table.c.position < last)
        .where(*_conditions(wanted))
        .order_by(table.c.position)
        .limit(limit)
    )
    return list(found.scalars())


def open_again(tenant_id: str, tx: Connection, positions: Sequence[int], *, now: int) -> int:
    """Owes these again, each from the start of its retry schedule; those that are open already stay as they are."""
    again = {"state": OPEN, "due_at": now, "tries": 0, "expires_at": None, "done_at": None, "last_error": None}
    closed = update(table).where(table.c.tenant_id == tenant_id, table.c.position.in_(positions), table.c.state != OPEN)
    live = closed.where(table.c.type.in_(_LIVE_TYPES)).values({**again, "expires_at": now + LIVE_SECONDS * 1000})
    records = closed.where(table.c.type.not_in(_LIVE_TYPES)).values(again)
    return tx.execute(live).rowcount + tx.execute(records).rowcount


def _conditions(wanted: Range) -> list[ColumnElement[bool]]:
    found = [
        table.c.webhook_id == wanted.webhook_id,
        table.c.created_at >= wanted.since,
        table.c.created_at < wanted.until,
        table.c.type != TEST,
    ]
    if wanted.states is None:
        worth = or_(table.c.state != DROPPED, table.c.type.not_in(_LIVE_TYPES))
        return [*found, and_(table.c.state != OPEN, worth)]
    return [*found, table.c.state.in_([NUMBER_OF[one] for one in wanted.states])]


def _position_at(tenant_id: str, tx: Connection, at: int) -> int:
    """The first position of the tenant's log that was created at `at` or later.

    Positions grow with time, but only they have an index: halving the log finds the place in some thirty looks.
    """
    mine = table.c.tenant_id == tenant_id
    low = 0
    high = (tx.execute(select(func.max(table.c.position)).where(mine)).scalar() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        query = select(table.c.position, table.c.created_at).where(mine, table.c.position >= middle)
        row = tx.execute(query.order_by(table.c.position).limit(1)).first()
        if row is not None and row.created_at < at:
            low = row.position + 1
        else:
            high = middle
    return low

"""Notices: what a tenant's people are told, in the portal and by mail. Positions count all notices ever made."""

from collections.abc import Collection
from typing import Any, Literal, get_args

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, bindparam, func, insert, literal_column, select, update

from vonal.domain.events import iso
from vonal.store import sql
from vonal.store.sql import from_ms
from vonal.store.tables import delivery
from vonal.store.tables import notice as table

NoticeType = Literal["webhook.down", "webhook.up", "webhook.disabled"]
TYPES: tuple[NoticeType, ...] = get_args(NoticeType)
LONGEST_DETAIL = 200

_add = insert(table)  # built once: it runs inside the transactions that settle deliveries


class Notice(Struct, frozen=True, kw_only=True):
    """One notice; `at` in ms UTC, `detail` the status (`503`) or class of error (`timeout`) behind it."""

    position: int
    tenant_id: str
    at: int
    type: NoticeType
    webhook_id: str | None
    detail: str


class ShownNotice(Struct, frozen=True, kw_only=True):
    """A notice as the API shows it; `at` is ISO 8601. `detail`: the status, or the class of error, behind it."""

    at: str
    type: NoticeType
    webhook: str | None
    detail: str | None


def add(tenant_id: str, tx: Connection, *, type: NoticeType, webhook_id: str | None, detail: str, at: int) -> None:  # noqa: A002
    """Tells the tenant; one insert. `detail`: the status or the class of error, without secrets; `at`: ms UTC."""
    row = {"tenant_id": tenant_id, "type": type, "webhook_id": webhook_id, "at": at, "detail": detail[:LONGEST_DETAIL]}
    tx.execute(_add, row)


def listing(
    tenant_id: str, tx: Connection, *, after: str | None = None, limit: int = 100
) -> tuple[list[ShownNotice], str | None]:
    """The tenant's notices, newest first, and the cursor of the next page (None on the last).

    `after`: a cursor got before. Raises ValueError when it is none of ours.
    """
    query = select(table).where(table.c.tenant_id == tenant_id)
    if after is not None:
        query = query.where(table.c.position < sql.read_cursor(after))
    rows = tx.execute(query.order_by(table.c.position.desc()).limit(limit + 1)).all()
    cursor = str(rows[limit - 1].position) if len(rows) > limit else None
    return [_shown(row) for row in rows[:limit]], cursor


def records_waiting(tenant_id: str, tx: Connection, webhook_id: str, *, most: int) -> int:
    """How many records wait to be sent to this webhook; counts no further than `most`."""
    waiting: Select[Any] = select(literal_column("1")).where(
        delivery.c.tenant_id == tenant_id,
        delivery.c.webhook_id == webhook_id,
        delivery.c.state == literal_column("0"),
        delivery.c.due_at >= 0,  # with this SQLite takes the index of what is open
        delivery.c.expires_at.is_(None),
    )
    counted = waiting.select_from(delivery).limit(most).subquery()
    return tx.execute(select(func.count()).select_from(counted)).scalar() or 0


def any_tenant_unmailed(tx: Connection, *, before: int, limit: int = 1000) -> list[Notice]:
    """Notices up to that time (ms UTC) that nobody has been mailed about, in the order they were made."""
    query = select(table).where(table.c.mailed_at.is_(None), table.c.at <= before)
    return [_notice(row) for row in tx.execute(query.order_by(table.c.position).limit(limit))]


def any_tenant_mark_mailed(tx: Connection, positions: Collection[int], *, at: int) -> None:
    """These have been mailed, or are not to be."""
    marked = update(table).where(table.c.position == bindparam("of")).values(mailed_at=bindparam("at_"))
    if positions:
        tx.execute(marked, [{"of": position, "at_": at} for position in positions])


def any_tenant_forget(tx: Connection, *, before: int, limit: int = 1000) -> int:
    """Deletes up to `limit` of the oldest notices that were made before (ms UTC); how many they were."""
    # By position, which is their order in time too: there is no index by time.
    oldest = tx.execute(select(table.c.position, table.c.at).order_by(table.c.position).limit(limit))
    old = [row.position for row in oldest if row.at < before]
    if old:
        tx.execute(table.delete().where(table.c.position.in_(old)))
    return len(old)


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        position=row.position,
        tenant_id=row.tenant_id,
        at=row.at,
        type=row.type,
        webhook_id=row.webhook_id,
        detail=row.detail,
    )


def _shown(row: Row[Any]) -> ShownNotice:
    at = iso(from_ms(row.at)) or ""
    return ShownNotice(at=at, type=row.type, webhook=row.webhook_id, detail=row.detail or None)

"""Deleting old events: what is owed, what a manifest does not yet stand for, and a tenant's newest event stay."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, exists, select

from vonal.store.manifests import day_of
from vonal.store.tables import delivery, manifest
from vonal.store.tables import event as table


class Page(Struct, frozen=True, kw_only=True):
    """Old events among the next ones by position: their positions and days; `end`: the rest is younger."""

    positions: list[int]
    days: list[tuple[str, date]]
    end: bool


def any_tenant_old(tx: Connection, *, after: int, before: int, limit: int) -> Page:
    """The events told before `before` (ms UTC) among the `limit` that follow the position `after`.

    Events stand nearly in the order of their times; a page that reaches younger ones is the last worth looking at.
    """
    query = select(table.c.position, table.c.tenant_id, table.c.at).where(table.c.position > after)
    rows = tx.execute(query.order_by(table.c.position).limit(limit)).all()
    old = [row for row in rows if row.at < before]
    days = sorted({(row.tenant_id, day_of(row.at)) for row in old})
    return Page(positions=[row.position for row in old], days=days, end=len(old) < limit)


def any_tenant_without_manifest(tx: Connection, days: Iterable[tuple[str, date]]) -> list[tuple[str, date]]:
    """Those of the tenants' days that have no manifest stored."""
    wanted = list(days)
    stored = _with_manifest(tx, {tenant_id for tenant_id, _ in wanted}, {day.isoformat() for _, day in wanted})
    return [one for one in wanted if (one[0], one[1].isoformat()) not in stored]


def any_tenant_delete(tx: Connection, positions: list[int]) -> int:
    """Deletes the events at these positions, but for those that must stay; how many it were.

    An event stays while there is a delivery of it (closed ones go by themselves, 30 days later, and may be replayed
    till then), while its day has no manifest stored, and while it is its tenant's newest: whoever has read everything
    resumes from that one.
    """
    columns = (table.c.position, table.c.id, table.c.tenant_id, table.c.call_id, table.c.at)
    later = table.alias("later")
    newer = exists().where(later.c.tenant_id == table.c.tenant_id, later.c.position > table.c.position)
    rows = tx.execute(select(*columns).where(table.c.position.in_(positions), newer)).all()
    stored = _with_manifest(tx, {row.tenant_id for row in rows}, {day_of(row.at).isoformat() for row in rows})
    owed = _with_delivery(tx, rows)
    gone = [
        row.position for row in rows if row.id not in owed and (row.tenant_id, day_of(row.at).isoformat()) in stored
    ]
    if gone:
        tx.execute(table.delete().where(table.c.position.in_(gone)))
    return len(gone)


def _with_manifest(tx: Connection, tenants: set[str], days: set[str]) -> set[tuple[str, str]]:
    query = select(manifest.c.tenant_id, manifest.c.date)
    rows = tx.execute(query.where(manifest.c.tenant_id.in_(tenants), manifest.c.date.in_(days)))
    return {(row.tenant_id, row.date) for row in rows}


def _with_delivery(tx: Connection, rows: Sequence[Any]) -> set[str]:
    found: set[str] = set()
    by_tenant: dict[str, list[Any]] = {}
    for row in rows:
        by_tenant.setdefault(row.tenant_id, []).append(row)
    for tenant_id, events in by_tenant.items():
        # By call, for which there is an index; events of no call (tests of a webhook) are few.
        calls = {row.call_id for row in events if row.call_id is not None}
        query = select(delivery.c.event_id).where(delivery.c.tenant_id == tenant_id)
        found |= set(tx.execute(query.where(delivery.c.call_id.in_(calls))).scalars())
        if any(row.call_id is None for row in events):
            found |= set(tx.execute(query.where(delivery.c.call_id.is_(None))).scalars())
    return found

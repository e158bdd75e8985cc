"""The audit log: what was done, by whom, from where, before and after. Written with the deed itself."""

from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, or_, select

from vonal.domain.audit import Actor, Entry
from vonal.store import sql
from vonal.store.tables import audit as table

LONGEST_NAME = 254


def add(tenant_id: str, tx: Connection, entry: Entry) -> None:
    """Writes one entry about the tenant."""
    assert entry.tenant_id == tenant_id  # noqa: S101 - an entry in the wrong tenant's log must not be stored
    any_tenant_add(tx, [entry])


def any_tenant_add(tx: Connection, entries: Iterable[Entry]) -> None:
    """Writes entries about several tenants, or about the service itself."""
    sql.insert(tx, table, [_row(one) for one in entries])


def listing(
    tenant_id: str,
    tx: Connection,
    *,
    kind: str | None = None,
    who: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[Entry], str | None]:
    """The tenant's entries, newest first, and the cursor of the next page.

    `kind` lets only those things through, `who` only what this actor did, or what was done to him.

    Raises ValueError when the cursor is none of ours.
    """
    return _page(tx, select(table).where(table.c.tenant_id == tenant_id), kind=kind, who=who, after=after, limit=limit)


def made(tenant_id: str, tx: Connection, kind: str) -> dict[str, Entry]:
    """The last entry about the making of each thing of this kind, by its name."""
    mine = (table.c.tenant_id == tenant_id, table.c.kind == kind, table.c.action == "add")
    rows = tx.execute(select(table).where(*mine).order_by(table.c.position))
    return {row.name: _entry(row) for row in rows}


def any_tenant_listing(
    tx: Connection, *, kind: str | None = None, who: str | None = None, after: str | None = None, limit: int = 100
) -> tuple[list[Entry], str | None]:
    """`listing` for the operator: of all tenants and of the service itself."""
    return _page(tx, select(table), kind=kind, who=who, after=after, limit=limit)


def kinds(tenant_id: str, tx: Connection) -> list[str]:
    """The kinds of things that the tenant's entries speak of."""
    query = select(table.c.kind).where(table.c.tenant_id == tenant_id).distinct()
    return sorted(tx.execute(query).scalars())


def any_tenant_kinds(tx: Connection) -> list[str]:
    """`kinds` of all entries."""
    return sorted(tx.execute(select(table.c.kind).distinct()).scalars())


def _page(
    tx: Connection, query: Select[Any], *, kind: str | None, who: str | None, after: str | None, limit: int
) -> tuple[list[Entry], str | None]:
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if who is not None:
        # The actor is stored as JSON: a name in it is found with its quotes, in whatever it is written.
        named = msgspec.json.encode(who).decode()
        query = query.where(or_(table.c.actor.contains(f'"name":{named}', autoescape=True), table.c.name == who))
    if after is not None:
        query = query.where(table.c.position < sql.read_cursor(after))
    rows = tx.execute(query.order_by(table.c.position.desc()).limit(limit + 1)).all()
    cursor = str(rows[limit - 1].position) if len(rows) > limit else None
    return [_entry(row) for row in rows[:limit]], cursor


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "tenant_id": entry.tenant_id,
        "at": entry.at,
        "actor": msgspec.json.encode(entry.actor).decode(),
        "action": entry.action,
        "kind": entry.kind,
        "name": entry.name[:LONGEST_NAME],
        "before": _text(entry.before),
        "after": _text(entry.after),
    }


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        position=row.position,
        tenant_id=row.tenant_id,
        at=row.at,
        actor=msgspec.json.decode(row.actor, type=Actor),
        action=row.action,
        kind=row.kind,
        name=row.name,
        before=_data(row.before),
        after=_data(row.after),
    )


def _text(data: Any) -> str | None:
    return None if data is None else msgspec.json.encode(data).decode()


def _data(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)

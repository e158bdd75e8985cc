"""Idempotency keys: which request of a tenant started which call."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from vonal.store.sql import to_ms
from vonal.store.tables import idempotency as table

LIFETIME = timedelta(hours=24)


class Claim(Struct, frozen=True):
    """`fingerprint` is a digest of the request that used the key first."""

    fingerprint: str
    call_id: str


def find(tenant_id: str, tx: Connection, key: str, *, now: datetime) -> Claim | None:
    """Who has the key; None when nobody used it in the last 24 hours."""
    query = select(table.c.fingerprint, table.c.call_id).where(
        table.c.tenant_id == tenant_id, table.c.key == key, table.c.created_at > to_ms(now - LIFETIME)
    )
    row = tx.execute(query).first()
    return None if row is None else Claim(row.fingerprint, row.call_id)


def claim(tenant_id: str, tx: Connection, key: str, mine: Claim, *, now: datetime) -> Claim:
    """Takes the key, unless it is taken; says whose it is then. Of two at the same time, one gets it."""
    old = (table.c.tenant_id == tenant_id) & (table.c.key == key) & (table.c.created_at <= to_ms(now - LIFETIME))
    tx.execute(delete(table).where(old))
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    row = {"tenant_id": tenant_id, "key": key, "created_at": to_ms(now), **msgspec.structs.asdict(mine)}
    tx.execute(insert(table).values(row).on_conflict_do_nothing())
    return find(tenant_id, tx, key, now=now) or mine


def forget(tenant_id: str, tx: Connection, call_id: str) -> None:
    """Frees the key that started this call, for a call that never came to be."""
    tx.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.call_id == call_id))


def any_tenant_purge(tx: Connection, *, now: datetime) -> int:
    """Lets go of keys older than 24 hours; says how many."""
    return tx.execute(delete(table).where(table.c.created_at <= to_ms(now - LIFETIME))).rowcount

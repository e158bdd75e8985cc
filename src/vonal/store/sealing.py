"""Seals stored rows anew with the newest key: those of before there was a vault, and those of older keys."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any

import structlog
from sqlalchemy import Column, Connection, Engine, Row, Table, select, update

from vonal.store import settings, tables, user_secrets
from vonal.store.directory import SEALED, part_of
from vonal.store.vault import PREFIX, any_tenant_vault, key_of, opened, sealed

log = structlog.get_logger(__name__)
SCRUB_OWED = "scrub_owed"
BUSY_MS = 1000


def any_tenant_rows_by_key(tx: Connection) -> dict[str | None, int]:
    """How many rows each key seals; None counts those that are not sealed."""
    queries = [select(column) for column in _COLUMNS]
    return dict(Counter(key_of(text) for query in queries for text in tx.execute(query).scalars()))


def any_tenant_has_older(tx: Connection) -> bool:
    """Whether there are rows that the newest key does not seal."""
    vault = any_tenant_vault(tx)
    return vault is not None and next(_older(tx, vault.key_ids[-1]), None) is not None


def any_tenant_seal_anew(tx: Connection) -> int:
    """Seals with the newest key there is all rows that are not sealed by it; how many they were. Raises CannotUnseal.

    A running service is told to read the directory again, and with it the new key.
    """
    vault = any_tenant_vault(tx)
    if vault is None:
        return 0
    vault.reload()
    settings.any_tenant_lock_directory(tx)  # nobody changes a row between our reading and writing it
    found = list(_older(tx, vault.key_ids[-1]))
    for column, row in found:
        _seal(tx, column, row)
    if any(key_of(getattr(row, column.name)) is None for column, row in found):
        settings.any_tenant_set(tx, SCRUB_OWED, "1")
    if found:
        settings.any_tenant_raise_directory_version(tx)
    return len(found)


def scrub(engine: Engine) -> None:
    """Overwrites what SQLite has left in its files of rows that were not sealed; on PostgreSQL there is nothing to do.

    For the owner of the database alone, before anybody else works on it.
    """
    if engine.dialect.name != "sqlite":
        return
    with engine.connect() as tx:
        if not settings.any_tenant_get(tx, SCRUB_OWED):
            return
    if why := _rewrite(engine):
        log.warning("secrets_not_scrubbed", why=why, then="tried again at the next start")
        return
    with engine.execution_options(vonal_writes=True).begin() as tx:
        settings.any_tenant_set(tx, SCRUB_OWED, "")


def _rewrite(engine: Engine) -> str:
    """Copies all that lives in the database, and cuts the log that WAL keeps; why that did not work, or nothing."""
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA temp_store=FILE")  # a copy of the whole database has no room in memory
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        cursor.execute("VACUUM")
        busy = (cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (1,))[0]
    except sqlite3.Error as fault:  # a full disk, say: no reason not to start
        return str(fault)
    finally:
        raw.detach()  # its settings are not those of the others
        raw.close()
    return "somebody else reads the database" if busy else ""


def _older(tx: Connection, newest: str) -> Iterator[tuple[Column[str], Row[Any]]]:
    for column in _COLUMNS:
        # Users' rows change while somebody signs in, with no lock of the directory: each is held until it is sealed.
        query = select(column.table).where(~column.startswith(f"{PREFIX}{newest}:")).with_for_update()
        for row in tx.execute(query).all():
            yield column, row


def _seal(tx: Connection, column: Column[str], row: Row[Any]) -> None:
    table = _table(column)
    tenant_id, kind, name = ("", user_secrets.KIND, row.id) if table is tables.user else _part(table, row)
    text = sealed(tenant_id, tx, kind, name, opened(tenant_id, tx, kind, name, getattr(row, column.name)))
    same = [one == getattr(row, one.name) for one in table.primary_key]
    tx.execute(update(table).where(*same).values({column.name: text}))


def _part(table: Table, row: Row[Any]) -> tuple[str, str, str]:
    part = part_of(next(kind for kind in SEALED if kind == table.name), row)
    return part.tenant_id, part.kind, part.name


def _table(column: Column[str]) -> Table:
    return tables.metadata.tables[column.table.name]


# Every column that holds secrets.
_COLUMNS: tuple[Column[str], ...] = (*(tables.metadata.tables[kind].c.data for kind in SEALED), tables.user.c.secrets)

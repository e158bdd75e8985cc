"""Seals stored rows anew with the newest key: those of before there was a vault, and those of older keys."""

import sqlite3
from collections import Counter
from collections.abc import Iterator

import structlog
from sqlalchemy import Connection, Engine, Row, select, update

from vonal.store import settings, tables
from vonal.store.directory import SEALED, PartId, part_of
from vonal.store.vault import PREFIX, any_tenant_vault, key_of, opened, sealed

log = structlog.get_logger(__name__)
SCRUB_OWED = "scrub_owed"
BUSY_MS = 1000


def any_tenant_rows_by_key(tx: Connection) -> dict[str | None, int]:
    """How many rows each key seals; None counts those that are not sealed."""
    queries = [select(tables.metadata.tables[kind].c.data) for kind in SEALED]
    return dict(Counter(key_of(data) for query in queries for data in tx.execute(query).scalars()))


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
    for part, row in found:
        _seal(part, tx, row)
    if any(key_of(row.data) is None for _, row in found):
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


def _older(tx: Connection, newest: str) -> Iterator[tuple[PartId, Row[tuple[str, ...]]]]:
    for kind in SEALED:
        table = tables.metadata.tables[kind]
        for row in tx.execute(select(table).where(~table.c.data.startswith(f"{PREFIX}{newest}:"))).all():
            yield part_of(kind, row), row


def _seal(part: PartId, tx: Connection, row: Row[tuple[str, ...]]) -> None:
    table = tables.metadata.tables[part.kind]
    place = (part.tenant_id, tx, part.kind, part.name)
    text = sealed(*place, opened(*place, row.data))
    same = [column == getattr(row, column.name) for column in table.primary_key]
    tx.execute(update(table).where(*same).values(data=text))

"""What the store's modules share: upserts and times."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]) -> None:
    """Inserts the rows; where one with the same `key` columns stands, its other given columns are overwritten."""
    if not rows:
        return
    tx.execute(_upsert(tx.dialect.name, table, tuple(rows[0]), tuple(key)), list(rows))


@lru_cache
def _upsert(dialect: str, table: Table, columns: tuple[str, ...], key: tuple[str, ...]) -> Executable:
    """Built once: it takes longer to build than to run."""
    statement = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table)
    changed = {name: statement.excluded[name] for name in columns if name not in key}
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, rounded down; `at` knows its time zone."""
    return (at - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC time that `to_ms` made the number from."""
    return EPOCH + ms * MILLISECOND

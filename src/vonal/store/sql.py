"""What the store's modules share: upserts and times."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]) -> None:
    """Inserts the rows; where one with the same `key` columns stands, its other given columns are overwritten."""
    if not rows:
        return
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    if changed:
        tx.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed), list(rows))
    else:
        tx.execute(statement.on_conflict_do_nothing(index_elements=list(key)), list(rows))


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, rounded down; `at` knows its time zone."""
    return (at - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC time that `to_ms` made the number from."""
    return EPOCH + ms * MILLISECOND

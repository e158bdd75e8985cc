"""What the store's modules share: writing many rows at once, and times.

Rows go to the driver as one statement of many rows: SQLAlchemy's own way costs several times as much per row, and these
run with every call event.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
ROWS_AT_ONCE = (64, 16, 4, 1)  # few sizes, so that the drivers keep the statements prepared
LONGEST_CURSOR = 18  # digits; fits into both databases' integers
NOTHING = "ON CONFLICT DO NOTHING"


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]) -> None:
    """Inserts the rows; where one with the same `key` columns stands, its other given columns are overwritten.

    All rows have the same columns, and no two the same key.
    """
    if rows:
        insert(tx, table, rows, ending=_overwriting(tuple(rows[0]), tuple(key)))


def insert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, ending: str = "") -> list[Any]:
    """Inserts the rows, which all have the same columns. What an `ending` such as RETURNING yields comes back."""
    if not rows:
        return []
    start = f"INSERT INTO {_quoted(table.name)} ({', '.join(map(_quoted, rows[0]))}) VALUES"
    found: list[Any] = []
    for piece in pieces(rows):
        statement = _with_values(tx.dialect.name, start, len(rows[0]), len(piece), ending)
        result = tx.exec_driver_sql(statement, tuple(value for row in piece for value in row.values()))
        if result.returns_rows:
            found += result.all()
    return found


def pieces(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in pieces of a few sizes."""
    begin = 0
    while begin < len(rows):
        size = next(one for one in ROWS_AT_ONCE if one <= len(rows) - begin)
        yield rows[begin : begin + size]
        begin += size


def placeholder(dialect: str) -> str:
    """What stands for a value in a statement of the database's own driver."""
    return "?" if dialect == "sqlite" else "%s"


@lru_cache(maxsize=1024)
def _with_values(dialect: str, start: str, width: int, height: int, ending: str) -> str:
    row = f"({', '.join([placeholder(dialect)] * width)})"
    return f"{start} {', '.join([row] * height)} {ending}"


@lru_cache(maxsize=1024)
def _overwriting(columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    changed = [f"{_quoted(name)} = excluded.{_quoted(name)}" for name in columns if name not in key]
    keys = ", ".join(map(_quoted, key))
    return f"ON CONFLICT ({keys}) DO UPDATE SET {', '.join(changed)}" if changed else NOTHING


def _quoted(name: str) -> str:
    return f'"{name}"'


def read_cursor(text: str) -> int:
    """The position that a page's cursor holds. Raises ValueError when it is none of ours."""
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_CURSOR):
        raise ValueError("not a cursor of this list")
    return int(text)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, rounded down; `at` knows its time zone."""
    return (at - EPOCH) // MILLISECOND


def from_ms(ms: int) -> datetime:
    """The UTC time that `to_ms` made the number from."""
    return EPOCH + ms * MILLISECOND

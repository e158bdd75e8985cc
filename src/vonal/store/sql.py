"""What the store's modules share: writing many rows at once, and times.

Rows go to the driver as one statement of many rows: SQLAlchemy's own way costs several times as much per row, and these
run with every call event.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, LargeBinary, Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
ROWS_AT_ONCE = (128, 64, 32, 16, 8, 4, 2, 1)  # few sizes, so that the driver keeps the statements prepared
LONGEST_TEXT = 1024  # rows
LONGEST_CURSOR = 18  # digits; fits into both databases' integers
NOTHING = "ON CONFLICT DO NOTHING"
Row = Mapping[str, Any]
_encode = msgspec.json.Encoder().encode


def upsert(tx: Connection, table: Table, rows: Sequence[Row], *, key: Sequence[str]) -> None:
    """Inserts the rows; where one with the same `key` columns stands, its other given columns are overwritten.

    All rows have the same columns, and no two the same key.
    """
    if rows:
        insert(tx, table, rows, ending=_overwriting(tuple(rows[0]), tuple(key)))


def insert(tx: Connection, table: Table, rows: Sequence[Row], *, ending: str = "") -> int:
    """Inserts the rows, which all have the same columns; how many there are now because of it."""
    if not rows:
        return 0
    columns = tuple(rows[0])
    start = f"INSERT INTO {_quoted(table.name)} ({', '.join(map(_quoted, columns))})"
    given = sources(tx, table, rows)
    return sum(tx.exec_driver_sql(f"{start} {source} {ending}", values).rowcount for source, values in given)


def sources(tx: Connection, table: Table, rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows as queries that yield them, each with its values. They all have the same columns, which are `table`'s.

    SQLite gets a list of values, in pieces of a few sizes. PostgreSQL gets one text: its driver reads a statement with
    many values anew each time, and its server makes a plan for it.
    """
    columns, dialect = tuple(rows[0]), tx.dialect
    if dialect.name == "sqlite":
        for piece in _pieces(rows):
            yield _values(len(columns), len(piece)), tuple(value for row in piece for value in row.values())
    else:
        for begin in range(0, len(rows), LONGEST_TEXT):
            yield _records(dialect, table, columns), (_encode(rows[begin : begin + LONGEST_TEXT]).decode(),)


def _pieces(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    begin = 0
    while begin < len(rows):
        size = next(one for one in ROWS_AT_ONCE if one <= len(rows) - begin)
        yield rows[begin : begin + size]
        begin += size


def placeholder(dialect: str) -> str:
    """What stands for a value in a statement of the database's own driver."""
    return "?" if dialect == "sqlite" else "%s"


@lru_cache(maxsize=1024)
def _values(width: int, height: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"VALUES {', '.join([row] * height)}"


@lru_cache(maxsize=1024)
def _records(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> str:
    of_bytes = {name for name in columns if isinstance(table.c[name].type, LargeBinary)}
    kinds = {name: "text" if name in of_bytes else table.c[name].type.compile(dialect) for name in columns}
    taken = [f"decode({_quoted(name)}, 'base64')" if name in of_bytes else _quoted(name) for name in columns]
    typed = ", ".join(f"{_quoted(name)} {kind}" for name, kind in kinds.items())
    return f"SELECT {', '.join(taken)} FROM json_to_recordset(%s::json) AS given({typed})"  # noqa: S608 - our own names


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

"""Fills a database with deliveries, by SQL: what is owed to the dead webhooks of `world`, or was delivered long ago."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg

import world
from vonal.domain.events import next_event

PIECE = 250_000
ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"  # of ids: in order, and evenly over all that there may be
PLACES = 5

NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {end})",
    "postgresql": "WITH n(i) AS (SELECT generate_series({first}::bigint, {end}::bigint - 1))",
}
_EVENT = """{numbers}
INSERT INTO event (id, tenant_id, call_id, sequence, type, at, data)
SELECT 'evt_' || {id}, 'dead' || ((i % {lanes}) / {per_tenant}), 'call_' || {id}, 1, 'call.completed', {at}, {data}
FROM n"""
_DELIVERY = """{numbers}
INSERT INTO delivery (id, tenant_id, webhook_id, event_id, call_id, type, state, attempts, tries, created_at, due_at,
                      done_at, last_status)
SELECT 'dlv_' || {id}, 'dead' || ((i % {lanes}) / {per_tenant}), 'w' || ((i % {lanes}) % {per_tenant}), 'evt_' || {id},
       'call_' || {id}, 'call.completed', {state}, {tries}, {tries}, {at}, {at}, {done_at}, {status} FROM n"""
_ATTEMPT = """{numbers}
INSERT INTO attempt (tenant_id, delivery_id, n, at, took_ms, status, answer)
SELECT 'dead' || ((i % {lanes}) / {per_tenant}), 'dlv_' || {id}, 1, {at}, 12, 200, '' FROM n"""


def fill(url: str, *, lanes: int, rows: int, delivered: bool = False) -> None:
    """Adds so many deliveries of an event each, in turns to the dead lanes: open, or delivered with their attempts.

    Rows lie in the order of their ids, for that is quick; the ids of new ones fall in between, as they would.
    """
    if not rows:
        return
    store = "sqlite" if url.startswith("sqlite") else "postgresql"
    statements = [_EVENT, _DELIVERY, _ATTEMPT] if delivered else [_EVENT, _DELIVERY]
    connection = connect(url)
    for first in range(0, rows, PIECE):
        values = _values(store, first=first, end=min(first + PIECE, rows), lanes=lanes, rows=rows, delivered=delivered)
        for statement in statements:
            connection.execute(statement.format(**values))
        connection.commit()
    settle(connection, store)


def settle(connection: Any, store: str) -> None:
    """Everything is written where it belongs, and counted; closes the connection."""
    if store == "sqlite":
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    connection.close()


def size_mb(url: str) -> float:
    """What the database takes on disk."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) / 1e6
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        return float(row[0]) / 1e6 if row else 0.0


def postmaster(url: str) -> int:
    """The process of PostgreSQL's server, whose children serve the connections."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row
    return int((Path(row[0]) / "postmaster.pid").read_text().split()[0])


def connect(url: str) -> Any:
    """A connection for writing much at once."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-1000000")
        return connection
    return psycopg.connect(url)


def _values(store: str, *, first: int, end: int, lanes: int, rows: int, delivered: bool) -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {
        "numbers": NUMBERS[store].format(first=first, end=end),
        "id": _id(rows),
        "lanes": lanes,
        "per_tenant": world.PER_TENANT,
        "at": f"{now - 86_400_000} + i % 80000000" if delivered else now,
        "state": 1 if delivered else 0,
        "tries": 1 if delivered else 0,
        "done_at": f"{now - 86_400_000} + i % 80000000" if delivered else "NULL",
        "status": 200 if delivered else "NULL",
        "data": _data(store),
    }


def _id(rows: int) -> str:
    step = len(ALPHABET) ** PLACES // rows
    letters = (
        f"substr('{ALPHABET}', CAST(1 + i * {step} / {32**place} % 32 AS integer), 1)"
        for place in reversed(range(PLACES))
    )
    return f"({' || '.join(letters)} || 'xxxxxxxxxxxx' || substr('' || (1000000000 + i), 2))"


def _data(store: str) -> str:
    call = world.call("dead", 0)
    data = msgspec.json.encode(next_event(call, "call.completed", call.started_at).data).decode().replace("'", "''")
    return f"CAST('{data}' AS BLOB)" if store == "sqlite" else f"convert_to('{data}', 'UTF8')"

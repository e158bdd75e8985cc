"""The feed's order on both stores: no reader ever passes over an event."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.event import listen, remove

from sample_calls import START, event, events_of_call
from vonal.config import Settings
from vonal.store import events, manifests
from vonal.store.database import Database
from vonal.store.events import Told
from vonal.store.manifests import day_of
from vonal.store.sql import to_ms


def _all(db: Database, position: int = 0) -> list[str]:
    return [one.event.id for one in db.read_now(lambda tx: events.after("acme", tx, position, limit=10_000))]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_events_of_two_writers_are_seen_in_the_order_of_their_positions(database_url: str) -> None:
    """Without the writers' lock the second commits a larger position first, and a reader passes over the smaller."""
    first, second = Database(Settings(database_url=database_url).sqlalchemy_url), event()
    one, stored, go = event(), threading.Event(), threading.Event()

    def slowly(tx: Connection) -> None:
        events.any_tenant_add(tx, [one])
        stored.set()
        assert go.wait(30)

    other = Database(Settings(database_url=database_url).sqlalchemy_url)
    seen: list[str] = []
    try:
        slow = first.submit(slowly)
        assert stored.wait(30)
        quick = other.submit(lambda tx: events.any_tenant_add(tx, [second]))
        while not quick.done() and not _somebody_waits(other):
            pass
        told = other.read_now(lambda tx: events.after("acme", tx, 0, limit=10))
        seen += [found.event.id for found in told]
        go.set()
        slow.result(30)
        quick.result(30)
        seen += _all(other, told[-1].position if told else 0)
    finally:
        go.set()
        first.close()
        other.close()
    assert seen == [one.id, second.id]


def _somebody_waits(db: Database) -> bool:
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return bool(db.read_now(lambda tx: tx.execute(waiting).scalar()))


def test_a_reader_beside_two_writing_processes_gets_every_event_once(database_url: str) -> None:
    url = Settings(database_url=database_url).sqlalchemy_url
    writers = [Database(url, owner=True), Database(url)]
    reader = Database(url)
    told = [[events_of_call() for _ in range(60)] for _ in writers]

    def write(number: int) -> None:
        for some in told[number]:
            writers[number].submit(lambda tx, some=some: events.any_tenant_add(tx, some)).result(30)

    seen: list[Told] = []

    def read() -> None:
        position = seen[-1].position if seen else 0
        seen.extend(reader.read_now(lambda tx: events.after("acme", tx, position, limit=7)))

    try:
        with ThreadPoolExecutor(2) as pool:
            writing = [pool.submit(write, number) for number in range(2)]
            busy = True
            while busy:
                busy = not all(one.done() for one in writing)
                read()
            for one in writing:
                one.result()
        while len(seen) < 600 and _all(reader, seen[-1].position):
            read()
    finally:
        for db in (*writers, reader):
            db.close()
    assert sorted(one.event.id for one in seen) == sorted(one.id for each in told for some in each for one in some)


def test_the_feed_and_the_manifests_are_read_by_their_indexes(database: Database) -> None:
    tenants = [name for _ in range(60) for name in ("acme", *["other"] * 29)]
    told = [one for tenant in tenants for one in events_of_call(tenant)]
    database.submit(lambda tx: events.any_tenant_add(tx, told)).result()
    day = day_of(to_ms(START))

    def look(tx: Connection) -> None:
        tx.execute(text("SELECT 1"))  # begins the transaction
        if tx.dialect.name == "postgresql":
            tx.execute(text("ANALYZE event"))
            tx.execute(text("SET LOCAL enable_seqscan = off"))  # the table is small
            tx.execute(text("SET LOCAL enable_bitmapscan = off"))
        [feed] = _plans(tx, lambda tx: events.after("acme", tx, 100, limit=10))
        assert "ix_event_tenant" in feed or "pk_event" in feed  # the second where the tenant has much of the table
        unfinished, _, records = _plans(tx, lambda tx: manifests.of_day("acme", tx, day, now=START))
        assert "ix_call_unfinished" in unfinished
        assert "ix_event_records" in records
        assert "TEMP B-TREE" not in records
        assert "Sort" not in records
        *_, ids = _plans(tx, lambda tx: manifests.ids_of_day("acme", tx, day, after=told[4].id, limit=5))
        assert "ix_event_records" in ids
        days, *_ = _plans(tx, lambda tx: manifests.listing("acme", tx, from_=day, until=None, limit=5, now=START))
        assert "ix_event_records" in days

    database.read_now(look)


def _plans(tx: Connection, call: Callable[[Connection], object]) -> list[str]:
    """How the database would run each query that `call` makes."""
    made: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        made.append((statement, parameters))

    listen(tx, "before_cursor_execute", note)
    call(tx)
    remove(tx, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
    return ["\n".join(str(tuple(row)) for row in tx.exec_driver_sql(f"{word} {sql}", values)) for sql, values in made]

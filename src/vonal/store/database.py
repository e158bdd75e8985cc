"""The database behind every store function: one writer with group commit, readers beside it.

All writes of the process go through one thread: whatever waits when it is free shares one transaction, each piece under
a savepoint of its own, so that one that fails takes nothing of its neighbours along. One fsync then serves many (see
docs/decisions/0002-group-commit.md). A write returns after the commit.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import psycopg
import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from vonal.store.vault import OPTION, Vault

log = structlog.get_logger(__name__)
Result = TypeVar("Result")
Work = Callable[[Connection], Result]
MAX_GROUP = 256
READERS = 4
BUSY_S = 30  # how long SQLite waits for others
FRESH_S = 1.0
STALL_S = 10.0  # a process that does not go on with its transaction for so long is taken for frozen


class Database:
    """`await write(work)` and `await read(work)`, where `work` takes a connection and returns a value.

    `url` is SQLAlchemy's. Errors of a piece of work come out of its own `write` or `read`. Only the service itself is
    `owner`: SQLite before 3.51.3 may be damaged when two connections checkpoint. Without a `vault` secrets are stored
    as they are. A transaction of a process that is frozen for `stall_s` seconds is rolled back by PostgreSQL, for what
    it holds locked holds up everybody else.
    """

    def __init__(self, url: str, *, owner: bool = False, vault: Vault | None = None, stall_s: float = STALL_S) -> None:
        self.engine = _engine(url, owner=owner, options={OPTION: vault}, stall_s=stall_s)
        self._writing = self.engine.execution_options(vonal_writes=True)
        self._connection: Connection | None = None
        self._used_at = 0.0
        self._waiting: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._writer.start()

    async def write(self, work: Work[Result]) -> Result:
        """Runs `work` in a transaction; returns when it is durable."""
        return await asyncio.wrap_future(self.submit(work))

    async def read(self, work: Work[Result]) -> Result:
        """Runs `work`, which writes nothing, beside the writer."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, work)

    def submit(self, work: Work[Result]) -> Future[Result]:
        """`write` for those who are not on an event loop."""
        done: Future[Result] = Future()
        self._waiting.put((work, done))
        return done

    def read_now(self, work: Work[Result]) -> Result:
        """`read` for those who are not on an event loop."""
        with self.engine.connect() as connection:
            return work(connection)

    def close(self) -> None:
        """Commits what waits, then closes all connections."""
        self._waiting.put(None)
        self._writer.join()
        self._readers.shutdown()
        self.engine.dispose()

    def _write_all(self) -> None:
        last = False
        while not last:
            group = [self._waiting.get()]
            while len(group) < MAX_GROUP and not self._waiting.empty():
                group.append(self._waiting.get())
            last = None in group
            self._commit([one for one in group if one is not None and one[1].set_running_or_notify_cancel()])
        self._let_go()

    def _commit(self, group: list[tuple[Work[Any], Future[Any]]]) -> None:
        if not group:
            return
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            connection = self._connected()
            with connection.begin():
                alone = len(group) == 1
                outcomes = [(done, *_run(work, connection, alone=alone)) for work, done in group]
        except Exception as fault:  # noqa: BLE001 - the commit's own failure belongs to everybody in the group
            self._let_go()
            outcomes = [(done, None, fault) for _, done in group]
        for done, result, failure in outcomes:
            if failure is None:
                done.set_result(result)
            else:
                done.set_exception(failure)

    def _connected(self) -> Connection:
        """The writer's connection; one that has rested is asked first whether it is still there."""
        now = time.monotonic()
        if now - self._used_at > FRESH_S:
            self._let_go()
        self._used_at = now
        if self._connection is None:
            self._connection = self._writing.connect()
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _run(work: Work[Any], connection: Connection, *, alone: bool) -> tuple[Any, BaseException | None]:
    if alone:
        return work(connection), None
    connection.exec_driver_sql("SAVEPOINT piece")
    try:
        result = work(connection)
    except Exception as fault:
        if isinstance(fault, DBAPIError) and fault.connection_invalidated:
            raise
        connection.exec_driver_sql("ROLLBACK TO piece")
        connection.exec_driver_sql("RELEASE piece")
        return None, fault
    connection.exec_driver_sql("RELEASE piece")
    return result, None


def _engine(url: str, *, owner: bool, options: dict[str, Any], stall_s: float) -> Engine:
    if not url.startswith("sqlite"):
        engine = create_engine(url, pool_size=READERS + 1, pool_pre_ping=True, execution_options=options)
        event.listen(engine, "connect", partial(_prepare_postgresql, stall_s=stall_s))
        return engine
    arguments = {"timeout": BUSY_S, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, execution_options=options)
    event.listen(engine, "connect", partial(_prepare_sqlite, checkpoint=1000 if owner else 0))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_postgresql(connection: psycopg.Connection, _record: object, *, stall_s: float) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = {round(stall_s * 1000)}".encode())
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("vonal_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_sqlite(connection: sqlite3.Connection, _record: object, *, checkpoint: int) -> None:
    # The driver's own BEGIN comes too late for savepoints; _begin_sqlite sends it.
    connection.isolation_level = None
    _begin_wal(connection)
    pragmas = ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY")
    for pragma in (*pragmas, f"wal_autocheckpoint={checkpoint}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_wal(connection: sqlite3.Connection) -> None:
    # Of several that make the file at once, SQLite refuses all but one without waiting for it.
    until = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return

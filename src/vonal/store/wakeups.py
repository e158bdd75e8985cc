"""Wakes delivery processes: PostgreSQL's NOTIFY. Nothing depends on it; their sweep comes every second anyway."""

import asyncio
from collections.abc import Callable

import psycopg
import structlog
from sqlalchemy import Connection

log = structlog.get_logger(__name__)
CHANNEL = "vonal_owed"
AGAIN_S = 1.0


def any_tenant_wake(tx: Connection) -> None:
    """Tells all who listen that something is owed, once this transaction is committed."""
    tx.exec_driver_sql(f"NOTIFY {CHANNEL}")


async def listen(url: str, heard: Callable[[], None]) -> None:
    """Calls `heard` at each wake-up, for ever; `url` is PostgreSQL's."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                heard()
                async for _ in connection.notifies():
                    heard()
        except psycopg.Error as fault:
            log.info("wakeups.lost", error=str(fault).strip())
        await asyncio.sleep(AGAIN_S)

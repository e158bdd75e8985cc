"""A peer: procrastinate on PostgreSQL with httpx, 32 tasks at once in one process, told by another.

A task signs and sends an event, and is tried again.
"""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import procrastinate

import peer
import world
from world import Figures, Spec

TASKS = 32
BATCH = 128
logging.getLogger("procrastinate").setLevel(logging.ERROR)  # it warns of apps in scripts
app = procrastinate.App(connector=procrastinate.PsycopgConnector())
clients: list[httpx.AsyncClient] = []


@app.task(
    name="deliver",
    retry=procrastinate.RetryStrategy(max_attempts=10, exponential_wait=5, retry_exceptions={httpx.HTTPError}),
)
async def deliver(url: str, event: dict[str, Any]) -> None:
    """The work."""
    headers, body = peer.signed(event)
    (await clients[0].post(url, content=body, headers=headers)).raise_for_status()


async def main(spec: Spec) -> Figures:
    """Does what the spec says."""
    words = [sys.executable, Path(__file__), "worker", spec.database]
    async with _opened(spec.database):
        await app.schema_manager.apply_schema_async()
        worker = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            return await peer.measure(spec, _tell, spec.server)
        finally:
            worker.kill()
            worker.wait()


async def _tell(told: peer.Told) -> None:
    for start in range(0, len(told), BATCH):
        await deliver.batch_defer_async(*({"url": url, "event": event} for url, event in told[start : start + BATCH]))


async def _work(database: str) -> None:
    async with httpx.AsyncClient(timeout=10) as client, _opened(database):
        clients.append(client)
        await app.run_worker_async(concurrency=TASKS, install_signal_handlers=False)


@asynccontextmanager
async def _opened(database: str) -> AsyncIterator[None]:
    with app.replace_connector(procrastinate.PsycopgConnector(conninfo=database)):
        async with app.open_async():
            yield


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        asyncio.run(_work(sys.argv[2]))
    else:
        world.contender(main)

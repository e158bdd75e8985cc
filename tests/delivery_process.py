"""A process of its own that tells calls and delivers them, to be killed: `python delivery_process.py URL CALLS`.

It prints the ids of each call's events once they are committed, and `idle` when nothing is owed any more.
"""

import asyncio
import ipaddress
import sys
import time
from datetime import UTC, datetime
from functools import partial

import structlog

from sample_calls import events_of_call
from vonal.delivery.worker import Worker
from vonal.domain.directory import Webhook
from vonal.store import deliveries, directory, events
from vonal.store.database import Database
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender

TYPES = ("recording.ready", "call.completed", "call.updated")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


async def _no_recording(_tenant: str, _recording: str) -> bytes:
    raise AssertionError


def _tell(tx, hooks: list[Webhook]):  # type: ignore[no-untyped-def]
    now = datetime.now(UTC)
    told = events_of_call(at=now, types=TYPES)
    events.any_tenant_add(tx, told)
    return told, deliveries.enqueue("acme", tx, events=told, webhooks=hooks, matches=matches, now=now)


async def main(url: str, calls: int) -> None:
    db = Database(url, owner=True)
    sender = CurlSender(LOOPBACK)
    preparer = Preparer(db, base_url="http://pbx.example", load_recording=_no_recording, clock=time.time)
    worker = Worker(db, preparer.prepare, sender.send)
    running = asyncio.create_task(worker.run())
    hooks = await db.read(partial(directory.webhooks, "acme"))
    for _ in range(calls):
        told, owed = await db.write(partial(_tell, hooks=hooks))
        worker.push(owed)
        print(*(one.id for one in told), flush=True)
    open_only = deliveries.DeliveryFilter(state="open")
    while (await db.read(partial(deliveries.any_tenant_listing, wanted=open_only, limit=1)))[0]:
        await asyncio.sleep(0.05)
    print("idle", flush=True)
    running.cancel()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

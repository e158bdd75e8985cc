"""A process that only delivers, beside others, to be killed: `python delivery_node.py URL NODE LEASE_SECONDS`."""

import asyncio
import ipaddress
import sys
import time

import structlog

from vonal.delivery.leases import SharedLanes
from vonal.delivery.worker import Worker
from vonal.store import wakeups
from vonal.store.database import Database
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


async def _no_recording(_tenant: str, _recording: str) -> bytes:
    raise AssertionError


async def main(url: str, node: str, lease_s: float) -> None:
    db = Database(url, owner=True, stall_s=lease_s)
    preparer = Preparer(db, base_url="http://pbx.example", load_recording=_no_recording, clock=time.time)
    leases = SharedLanes(db, node, lease_s=lease_s)
    worker = Worker(db, preparer.prepare, CurlSender(LOOPBACK).send, leases=leases)
    plain = url.replace("postgresql+psycopg", "postgresql")
    await asyncio.gather(worker.run(), wakeups.listen(plain, worker.wake))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))

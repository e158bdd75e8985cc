"""A process that only delivers, beside others, to be killed: `python delivery_node.py URL NODE LEASE_SECONDS`.

Each request tells in X-Node and X-Epoch under whose lease it is sent. The webhooks are acme's, and their addresses end
with the number in their names.
"""

import asyncio
import ipaddress
import sys
import time

import structlog
from msgspec.structs import replace

from vonal.delivery.lane import shard_of
from vonal.delivery.leases import SharedLanes
from vonal.delivery.worker import Worker
from vonal.domain.delivery import Outcome, Request, Withdrawn
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
    sender = CurlSender(LOOPBACK)

    async def send(request: Request) -> Outcome:
        epoch = leases.epoch(shard_of(("acme", f"hook-{request.url.rpartition('/')[2]}")))
        if epoch is None:
            raise Withdrawn
        return await sender.send(replace(request, headers={**request.headers, "X-Node": node, "X-Epoch": str(epoch)}))

    worker = Worker(db, preparer.prepare, send, leases=leases)
    plain = url.replace("postgresql+psycopg", "postgresql")
    await asyncio.gather(worker.run(), wakeups.listen(plain, worker.wake))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))

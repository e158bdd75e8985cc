"""Vonal's delivery with everything on: real database, signing, log of attempts, metrics.

What `calls/ingest.py` does with the events it makes is done here in the same way: batches, one transaction each.
"""

import asyncio
import gc
import ipaddress
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sink
import world
from vonal import logs
from vonal.api.metrics import Metrics
from vonal.app import garbage
from vonal.config import Settings
from vonal.delivery.worker import Worker
from vonal.domain.delivery import Owed
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.store import deliveries, events
from vonal.store import directory as directories
from vonal.store.database import Database
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender
from world import Figures, Spec

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PATIENCE = 15.0  # s without a request, after which those that have not come are missing
Tenants = dict[str, list[Webhook]]


async def main(spec: Spec) -> Figures:
    """Does what the spec says."""
    garbage.collect_seldom()  # as `vonal serve` does
    with tempfile.TemporaryFile("w") as log:
        logs.configure("json", stream=log)
        db = Database(Settings(database_url=spec.database).sqlalchemy_url, owner=True)
        try:
            tenants = await _save(db, spec)
            return await (_burst if spec.work == "burst" else _open_loop)(db, spec, tenants)
        finally:
            db.close()


async def _burst(db: Database, spec: Spec, tenants: Tenants) -> Figures:
    told = world.events(spec, spec.events)
    warm = world.events(spec, spec.lanes)
    _settle_memory()
    async with _delivering(db) as worker:
        await _tell(db, worker, warm, tenants)
        await sink.until(spec.sink, len(warm), patience=PATIENCE)
        await worker.idle()
        sink.take(spec.sink)
        cpu, server, begin = world.cpu_here(), world.cpu_tree(spec.server), time.monotonic()
        for start in range(0, len(told), spec.batch):
            await _tell(db, worker, told[start : start + spec.batch], tenants)
        await sink.until(spec.sink, spec.events, patience=PATIENCE)
        await worker.idle()
        seconds = time.monotonic() - begin
        cpu, server = world.cpu_here() - cpu, world.cpu_tree(spec.server) - server
        came = sink.take(spec.sink)
    return Figures(
        events=spec.events,
        missing=sum(one.id not in came for one in told),
        per_s=spec.events / seconds,
        cpu=(cpu + server) / spec.events,
        server_cpu=server / spec.events,
    )


async def _open_loop(db: Database, spec: Spec, tenants: Tenants) -> Figures:
    told = world.events(spec, int(spec.rate * spec.seconds))
    first = world.events(spec, 1)
    _settle_memory()
    before = world.rss_mb()
    await db.write(partial(_store, told=first, tenants=tenants))
    sink.take(spec.sink)
    started = time.monotonic_ns()
    async with _delivering(db) as worker:
        await sink.until(spec.sink, 1, patience=60, every=0.005)
        first_at = sink.take(spec.sink).get(first[0].id)
        await _tell(db, worker, world.events(spec, spec.lanes), tenants)
        await sink.until(spec.sink, spec.lanes, patience=PATIENCE)
        await asyncio.sleep(spec.settle)
        sink.take(spec.sink)
        cpu, server = world.cpu_here(), world.cpu_tree(spec.server)
        beat = world.Metronome(told, spec.rate).start()
        in_hand: dict[str, int] = {}
        committed: dict[str, int] = {}
        while taken := await beat.take():
            in_hand.update({one.id: at for at, one in taken})
            await _tell(db, worker, [one for _, one in taken], tenants, committed)
        await sink.until(spec.sink, len(told), patience=PATIENCE)
        cpu, server = world.cpu_here() - cpu, world.cpu_tree(spec.server) - server
        came = sink.take(spec.sink)
        grown = world.rss_mb() - before
    wire, commit = world.delays(in_hand, came), world.delays(committed, came)
    return Figures(
        events=len(told),
        missing=sum(one.id not in came for one in told),
        cpu=(cpu + server) / len(told),
        server_cpu=server / len(told),
        wire_p50=wire[0],
        wire_p99=wire[1],
        commit_p50=commit[0],
        commit_p99=commit[1],
        first=None if first_at is None else (first_at - started) / 1e6,
        rss_mb=grown,
    )


@asynccontextmanager
async def _delivering(db: Database) -> AsyncIterator[Worker]:
    sender, metrics = CurlSender(LOOPBACK), Metrics()
    preparer = Preparer(db, base_url="http://pbx.example", load_recording=_no_recording, clock=time.time)
    worker = Worker(db, preparer.prepare, sender.send, told=metrics.delivery_tried)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        running.cancel()
        await worker.stop(0.1)
        await sender.close()


async def _tell(
    db: Database,
    worker: Worker,
    told: Sequence[CallEvent],
    tenants: Tenants,
    committed: dict[str, int] | None = None,
) -> None:
    owed = await db.write(partial(_store, told=told, tenants=tenants))
    if committed is not None:
        now = time.monotonic_ns()
        committed.update({one.id: now for one in told})
    worker.push(owed)


def _store(tx: Any, *, told: Sequence[CallEvent], tenants: Tenants) -> list[Owed]:
    events.any_tenant_add(tx, list(told))
    pairs = [(one, hook) for one in told for hook in tenants[one.tenant_id] if matches(hook, one)]
    return deliveries.any_tenant_enqueue(tx, pairs, now=datetime.now(UTC))


async def _save(db: Database, spec: Spec) -> Tenants:
    whole = world.directory(spec)
    parts = directories.parts_of(whole)
    await db.write(partial(directories.any_tenant_save, parts=parts))
    return {one.id: list(one.webhooks) for one in whole.tenants}


async def _no_recording(_tenant: str, _recording: str) -> bytes:
    raise AssertionError


def _settle_memory() -> None:
    gc.collect()
    gc.freeze()  # the events made beforehand are the load's, not ours


if __name__ == "__main__":
    world.contender(main)

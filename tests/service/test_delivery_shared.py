"""Several delivery processes beside one PostgreSQL: nothing is sent by two at once, and who dies is replaced."""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

import delivery_node
from delivery_house import DELIVERED, House, webhook
from receiver import Answer, Got, Receiver, receiving
from sample_calls import events_of_call
from vonal.config import Settings
from vonal.delivery.lane import SHARDS, shard_of
from vonal.delivery.leases import SharedLanes
from vonal.delivery.worker import Worker
from vonal.domain.delivery import LaneState, Owed, Request, Settled
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.store import deliveries, events, settling, shards, wakeups
from vonal.store.database import Database
from vonal.store.deliveries import DeliveryFilter
from vonal.webhooks import guard
from vonal.webhooks.match import matches
from vonal.webhooks.sender import CurlSender

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
RECORDS = ("recording.ready", "call.completed", "call.updated")
LEASE_S = 2.0


def _renew(db: Database, node: str, **more: Any) -> shards.Held:
    given = {"lease_ms": 60_000, "release": (), "fresh": False, **more}
    held = db.submit(partial(shards.any_tenant_renew, node=node, **given)).result()
    time.sleep(0.01 if given["lease_ms"] == 1 else 0)  # then it is over
    return held


def test_one_process_has_all_and_a_second_one_gets_a_fair_share(database: Database):
    assert set(_renew(database, "a").epochs) == set(range(SHARDS))
    assert _renew(database, "b").epochs == {}
    surplus = _renew(database, "a").surplus
    assert surplus == SHARDS // 2
    assert len(_renew(database, "a", release=range(surplus)).epochs) == SHARDS // 2
    assert set(_renew(database, "b").epochs) == set(range(surplus))


def test_what_a_dead_process_had_is_free_when_its_lease_is_over(database: Database):
    was = _renew(database, "a", lease_ms=1).epochs
    assert _renew(database, "b", lease_ms=1).epochs == {shard: epoch + 1 for shard, epoch in was.items()}


def test_a_process_that_comes_back_takes_its_own_under_new_epochs(database: Database):
    was = _renew(database, "a").epochs
    assert _renew(database, "a", fresh=True).epochs == {shard: epoch + 1 for shard, epoch in was.items()}


def test_a_clean_stop_gives_everything_up_at_once(database: Database):
    _renew(database, "a")
    database.submit(partial(shards.any_tenant_release_all, node="a")).result()
    assert len(_renew(database, "b").epochs) == SHARDS


@pytest.fixture
async def house(database: Database) -> House:
    opened = House(database)
    await opened.save(webhook())
    return opened


async def test_what_is_settled_under_a_lost_lease_is_left_to_the_one_who_has_it_now(house: House):
    [owed] = await house.tell(events_of_call(types=("call.completed",)), push=False)
    shard = shard_of(owed.lane)
    [was] = {epoch for one, epoch in _renew(house.db, "a", lease_ms=1).epochs.items() if one == shard}
    _renew(house.db, "b", lease_ms=1)
    late = Settled(owed=owed, state="delivered", at=1, done_at=2, outcome=DELIVERED, shard=shard, epoch=was)
    await house.db.write(partial(settling.any_tenant_settle, results=[late], node="a"))
    assert await house.states() == ["open"]
    now = Settled(owed=owed, state="delivered", at=1, done_at=2, outcome=DELIVERED, shard=shard, epoch=was + 1)
    await house.db.write(partial(settling.any_tenant_settle, results=[now], node="b"))
    assert await house.states() == ["delivered"]


def _renewing(tx: Any) -> None:
    shards.any_tenant_renew(tx, node="a", lease_ms=1, release=(), fresh=False)


def _settling(tx: Any) -> None:
    shards.any_tenant_ours(tx, node="a", shards=range(SHARDS))  # as `settling` asks, in the same transaction


def _ingesting(tx: Any) -> None:
    events.any_tenant_add(tx, events_of_call())


@pytest.mark.parametrize("work", [_renewing, _settling, _ingesting])
def test_a_process_frozen_in_the_middle_of_a_transaction_holds_up_nobody(database_url: str, work: Any):
    url = Settings(database_url=database_url).sqlalchemy_url
    frozen, other = Database(url, stall_s=0.2), Database(url)
    _renew(frozen, "a", lease_ms=1)
    thaw, locked = threading.Event(), threading.Event()

    def freeze(tx: Any) -> None:
        work(tx)
        locked.set()
        thaw.wait(60)

    writing = frozen.submit(freeze)
    assert locked.wait(10)
    others = [other.submit(one) for one in (_ingesting, partial(shards.any_tenant_release_all, node="a"))]
    for one in others:
        one.result(30)
    thaw.set()
    with pytest.raises(DBAPIError):
        writing.result(30)
    assert len(_renew(frozen, "a").epochs) == SHARDS, "it goes on with another connection"
    frozen.close()
    other.close()


async def test_a_process_that_cannot_renew_stops_before_its_lease_is_over(house: House):
    leases = SharedLanes(house.db, "a", lease_s=0.5)
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def send(_request: Any) -> Any:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    worker = Worker(house.db, house._prepare, send, leases=leases)
    running = asyncio.create_task(worker.run())
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    await asyncio.wait_for(started.wait(), 10)

    async def no_database(_is_quiet: Any) -> Any:
        raise OSError("the database does not answer")

    leases.renew = no_database  # type: ignore[method-assign]
    await asyncio.wait_for(cancelled.wait(), 10)
    assert leases.epoch(0) is None
    running.cancel()
    assert [one.attempts for one in await house.log()] == [[]], "our own outage spends no attempt"


@pytest.mark.parametrize("frozen", ["while it was made", "while it connected"])
async def test_a_process_that_was_frozen_before_a_request_does_not_send_it_when_its_lease_is_over(
    house: House, frozen: str, monkeypatch: pytest.MonkeyPatch
):
    leases, over = SharedLanes(house.db, "a"), asyncio.Event()

    def thaw(*_address: Any, **_more: Any) -> bool:
        leases.epoch = lambda _shard: None  # type: ignore[method-assign]
        return True

    @asynccontextmanager
    async def prepare(owed: Owed) -> AsyncIterator[Request]:
        if frozen == "while it was made":
            thaw()
        try:
            yield Request(method="POST", url=receiver.url, headers={"webhook-id": owed.event.id})
        finally:
            over.set()

    monkeypatch.setattr(guard, "permits", thaw if frozen == "while it connected" else lambda *_, **__: True)
    async with receiving() as receiver:
        worker = Worker(house.db, prepare, CurlSender().send, leases=leases)
        running = asyncio.create_task(worker.run())
        await house.tell(events_of_call(types=("call.completed",)), push=False)
        await asyncio.wait_for(over.wait(), 10)
        await worker.idle()
        running.cancel()
        assert receiver.requests == []
    assert await house.states() == ["open"]
    assert [one.attempts for one in await house.log()] == [[]]


async def test_what_is_not_written_yet_is_not_sent_again_when_a_lease_that_ran_out_is_renewed(house: House):
    leases, writing = SharedLanes(house.db, "a"), threading.Event()
    settle = settling.any_tenant_settle

    def late(tx: Any, **given: Any) -> None:
        assert writing.wait(30)
        settle(tx, **given)

    house.worker = Worker(house.db, house._prepare, house._send, leases=leases)
    await leases.renew(lambda _shard: True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "any_tenant_settle", late)
        await house.tell(events_of_call(types=("call.completed",)))
        while house.worker.in_flight or not house.sent:
            await asyncio.sleep(0.01)
        house.worker._lose(None)  # it could not be renewed in time
        await house.worker.sweep()
        while house.worker._tasks:
            await asyncio.wait(house.worker._tasks)
        writing.set()
        await house.settle()
    assert len(house.sent) == 1
    assert await house.states() == ["delivered"]


async def test_a_queue_that_was_given_up_sends_nothing_beside_the_one_in_its_place(house: House):
    house.worker = Worker(house.db, house._prepare, house._send, leases=SharedLanes(house.db, "a"))
    await house.worker._leases.renew(lambda _shard: True)
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    was = house.worker._lane(("acme", "log"), LaneState())
    assert was is not None
    loading = asyncio.create_task(house.worker._load(was, was.begin_load(house.now)))
    house.worker._lose(None)
    await loading
    await house.worker.idle()
    assert house.sent == []
    await house.settle()
    assert await house.states() == ["delivered"]


# Real processes, one of which is killed


def _hooks(receiver: Receiver, count: int) -> list[Webhook]:
    return [webhook(f"hook-{number}", url=f"{receiver.url}/{number}", events=list(RECORDS)) for number in range(count)]


async def _tell(db: Database, hooks: Sequence[Webhook], calls: int) -> list[str]:
    def store(tx: Any, told: list[CallEvent]) -> None:
        events.any_tenant_add(tx, told)
        deliveries.enqueue("acme", tx, events=told, webhooks=hooks, matches=matches, now=told[0].at)
        wakeups.any_tenant_wake(tx)

    told: list[str] = []
    for _ in range(calls):
        of_call = events_of_call(types=RECORDS)
        await db.write(partial(store, told=of_call))
        told += [one.id for one in of_call]
    return told


@asynccontextmanager
async def _nodes(url: str, *names: str, lease_s: float = LEASE_S) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    script = str(Path(delivery_node.__file__))
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, script, url, name, str(lease_s), stderr=asyncio.subprocess.DEVNULL
        )
        for name in names
    ]
    try:
        yield started
    finally:
        for one in started:
            if one.returncode is None:
                one.kill()
            await one.wait()


class Crm:
    """Answers after a moment, and notes what came out of order, or under a lease that was over: see `delivery_node`."""

    def __init__(self, receiver: Receiver) -> None:
        self.faults: list[str] = []
        self.stale: list[str] = []
        self._last: dict[tuple[str, str], int] = {}
        self._lease: dict[tuple[str, str], tuple[int, str]] = {}
        receiver.answer(self.answer)

    def answer(self, got: Got) -> Answer:
        key = (got.path, got.event_id)
        lease, newest = (int(got.headers["x-epoch"]), got.headers["x-node"]), self._lease.get(key)
        lane = (got.path, got.json["data"]["call"]["id"])
        if newest is None and got.json["sequence"] < self._last.get(lane, 0):
            self.faults.append(f"{key} came after a later one of its call")
        if newest is not None and newest[0] == lease[0] and newest[1] != lease[1]:
            self.faults.append(f"{key} was sent by two under one lease")
        if newest is not None and newest[0] > lease[0]:
            self.stale.append(f"{key} was sent under {lease} after it had been sent under {newest}")
        self._lease[key] = max(lease, newest or lease)
        self._last[lane] = max(self._last.get(lane, 0), got.json["sequence"])
        return Answer(delay=0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_dies_or_freezes_loses_nothing(database_url: str, how: signal.Signals):
    url = Settings(database_url=database_url).sqlalchemy_url
    db = Database(url)
    async with receiving() as receiver:
        crm, hooks = Crm(receiver), _hooks(receiver, 8)
        house = House(db)
        await house.save(*hooks)
        async with _nodes(url, "a", "b", "c") as nodes:
            told = await _tell(db, hooks, 20)
            await receiver.got(60, timeout=60)
            nodes[0].send_signal(how)
            told += await _tell(db, hooks, 20)
            await receiver.until(lambda requests: len(_arrived(requests)) == 8 * len(told), 90)
            await _all_delivered(db, 8 * len(told))
            if how == signal.SIGSTOP:
                nodes[0].send_signal(signal.SIGCONT)
                await _owners(db, 3)
        assert crm.faults == []
        # What it was about to write when it was frozen, nobody can stop.
        assert len(crm.stale) <= (1 if how == signal.SIGSTOP else 0), crm.stale
    db.close()


async def test_a_newcomer_takes_its_share_while_requests_are_under_way(database_url: str):
    url = Settings(database_url=database_url).sqlalchemy_url
    db = Database(url)
    async with receiving() as receiver:
        crm, hooks = Crm(receiver), _hooks(receiver, 8)
        await House(db).save(*hooks)
        # Long enough that none runs out, however busy the machine is: what was broken off would be sent once more.
        async with _nodes(url, "a", lease_s=15):
            told = await _tell(db, hooks, 10)
            async with _nodes(url, "b", lease_s=15):
                async with asyncio.timeout(60):
                    while await db.read(_count_owners) < 2:
                        told += await _tell(db, hooks, 1)
                        await asyncio.sleep(0.1)
                told += await _tell(db, hooks, 10)
                await receiver.until(lambda requests: len(requests) >= 8 * len(told), 90)
        assert crm.faults == crm.stale == []
        assert len(_arrived(receiver.requests)) == len(receiver.requests) == 8 * len(told)
    db.close()


def _arrived(requests: Sequence[Got]) -> set[tuple[str, str]]:
    return {(one.path, one.event_id) for one in requests}


async def _all_delivered(db: Database, count: int) -> None:
    look = partial(deliveries.any_tenant_listing, wanted=DeliveryFilter(state="delivered"), limit=count + 1)
    async with asyncio.timeout(60):
        while len((await db.read(look))[0]) < count:
            await asyncio.sleep(0.1)


async def _owners(db: Database, count: int) -> None:
    async with asyncio.timeout(60):
        while await db.read(_count_owners) < count:
            await asyncio.sleep(0.05)


def _count_owners(tx: Any) -> int:
    return int(tx.exec_driver_sql("SELECT count(DISTINCT owner) FROM shard").scalar())

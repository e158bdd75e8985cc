"""A webhook that is down, disabled, removed, switched off or corrected: what waits for it, and what others notice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from delivery_house import DELIVERED, DOWN, House, status, webhook
from sample_calls import events_of_call
from vonal.delivery import retry, settle, turns
from vonal.domain.delivery import LaneState, Settled
from vonal.store import lanes
from vonal.store.database import Database
from vonal.store.sql import from_ms


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    opened = House(database)
    await opened.save(webhook())
    await opened.worker.refresh()
    yield opened
    await opened.worker.stop(0)


async def test_a_webhook_that_is_down_is_asked_by_one_request_at_a_time(house: House):
    house.script = lambda *_: DOWN
    for _ in range(50):
        await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    before = len(house.sent)
    assert before <= 10
    await house.pass_time(300)
    assert len(house.sent) - before <= 10


async def test_however_many_webhooks_are_down_so_many_are_asked_and_one_that_works_is_among_the_first(house: House):
    dead = [webhook(f"dead-{number}") for number in range(3 * turns.AT_ONCE)]
    await house.save(*dead)
    house.script = lambda hook, _: DELIVERED if hook == "log" else DOWN
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    house.now += 1
    await house.save(webhook(), *dead)
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    await house.settle()
    assert "log" in {one.webhook for one in house.sent}
    assert len(house.sent) <= turns.AT_ONCE + 2
    await house.pass_time(4)
    assert {one.webhook for one in house.sent} == {one.id for one in (webhook(), *dead)}


async def test_webhooks_that_work_need_not_wait_for_turns(house: House):
    hooks = [webhook(f"hook-{number}") for number in range(3 * turns.AT_ONCE)]
    await house.save(*hooks)
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    await house.settle()
    assert len(house.sent) == len(hooks)


async def test_a_webhook_that_is_down_is_looked_at_when_its_time_has_come_or_something_live_is_owed(house: House):
    house.script = lambda *_: DOWN
    for _ in range(10):
        await house.tell(events_of_call(types=("call.completed",)))
    await house.pass_time(40)
    look = lanes.any_tenant_due_lanes
    [(_, state, _)] = await house.db.read(partial(look, now=house.now + 60_000))
    assert state.fails >= 3
    assert await house.db.read(partial(look, now=state.next_at - 1)) == []
    assert await house.db.read(partial(look, now=state.next_at + 60_000)) == [(("acme", "log"), state, False)]
    await house.tell(events_of_call(at=from_ms(house.now), types=("call.incoming",)), push=False)
    assert await house.db.read(partial(look, now=house.now)) == [(("acme", "log"), state, True)]


async def test_everything_arrives_soon_after_a_webhook_is_back_at_a_bounded_rate(house: House):
    house.script = lambda *_: DOWN
    for _ in range(200):
        await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.pass_time(3600, step=30)
    house.script = lambda *_: DELIVERED
    before = len(house.sent)
    await house.pass_time(75)
    assert await house.states() == ["delivered"] * 200
    assert max(Counter(one.at for one in house.sent[before:]).values()) <= retry.DRAIN_PER_S + 1


async def test_the_rate_grows_while_a_backlog_is_drained(house: House):
    house.script = lambda *_: DOWN
    backlog = [event for _ in range(3000) for event in events_of_call(types=("call.completed",))]
    await house.tell(backlog, push=False)
    await house.settle()
    await house.pass_time(60, step=5)
    before = len(house.sent)
    house.script = lambda *_: DELIVERED
    await house.pass_time(150)
    per_second = Counter(one.at for one in house.sent[before:])
    assert len(house.sent) - before >= 3000
    assert 2 * retry.DRAIN_PER_S <= max(per_second.values()) <= 4 * retry.DRAIN_PER_S + 1


async def test_live_events_are_not_lost_because_a_webhook_was_down_before(house: House):
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.pass_time(3600, step=10)
    house.script = lambda *_: DELIVERED
    await house.tell(events_of_call(at=from_ms(house.now), types=("call.incoming",)))
    await house.pass_time(21)
    assert sorted(house.sent_to("log")[-2:]) == ["call.completed", "call.incoming"]
    assert await house.states() == ["delivered"] * 2


async def test_a_backlog_is_sent_in_the_order_of_each_call(house: House):
    calls = [events_of_call(types=("call.incoming", "call.ended", "call.completed")) for _ in range(60)]
    for told in zip(*calls, strict=True):
        await house.tell(told, push=False)
    await house.settle()
    for told in calls:
        assert [one.event.id for one in house.sent if one.event.call_id == told[0].call_id] == [one.id for one in told]


async def test_retry_after_makes_everything_of_the_webhook_wait(house: House):
    house.script = lambda *_: status(429, retry_after_s=120)
    for _ in range(3):
        await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    before = len(house.sent)
    await house.pass_time(115)
    assert len(house.sent) == before
    await house.pass_time(10)
    assert len(house.sent) == before + 1


async def test_records_are_given_up_when_a_webhook_was_down_for_72_hours(house: House):
    house.script = lambda *_: DOWN
    for _ in range(80):
        await house.tell(events_of_call(types=("call.completed",)), push=False)
    await house.settle()
    await house.pass_time(74 * 3600, step=3600)
    assert set(await house.states()) == {"parked"}


async def test_410_disables_the_webhook_until_it_is_changed(house: House):
    house.script = lambda *_: status(410)
    await house.tell(events_of_call())
    await house.settle()
    assert house.sent_to("log") == ["call.incoming"]
    await house.tell(events_of_call(types=("call.incoming", "call.completed")))
    await house.pass_time(600, step=10)
    assert len(house.sent) == 1
    assert await house.states() == ["disabled", "dropped", "dropped", "dropped", "disabled", "dropped", "disabled"]
    house.script = lambda *_: DELIVERED
    await house.worker.refresh()
    await house.settle()
    assert len(house.sent) == 1
    await house.save(webhook(url="https://crm.example/new"))
    await house.worker.refresh()
    await house.settle()
    assert house.sent_to("log")[1:] == ["call.completed"] * 2


async def test_a_restart_does_not_forget_that_a_webhook_is_disabled(house: House):
    house.script = lambda *_: status(410)
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.restart()
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    assert len(house.sent) == 1


async def test_what_is_owed_to_a_removed_webhook_is_dropped_with_the_reason(house: House):
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.save(webhook("another"))
    await house.worker.refresh()
    await house.settle()
    [one] = await house.log()
    assert (one.state, one.last_error) == ("dropped", "the webhook was removed")


async def test_what_is_owed_to_a_webhook_that_is_switched_off_waits(house: House):
    await house.tell(events_of_call(types=("call.completed",)), push=False)
    await house.save(webhook(enabled=False))
    await house.pass_time(120, step=10)
    assert house.sent == []
    await house.save(webhook())
    await house.worker.refresh()
    await house.settle()
    assert await house.states() == ["delivered"]


async def test_a_corrected_webhook_is_tried_at_once(house: House):
    house.script = lambda *_: status(404)
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.pass_time(3600, step=10)
    house.script = lambda *_: DELIVERED
    await house.save(webhook(url="https://crm.example/right"))
    await house.worker.refresh()
    await house.settle()
    assert await house.states() == ["delivered"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_long_backlog_is_never_walked_through(house: House):
    asked: list[tuple[str, Any]] = []
    await house.tell(events_of_call(), push=False)
    event.listen(house.db.engine, "before_cursor_execute", lambda *it: asked.append((it[2], it[3])))
    for look in (
        lanes.any_tenant_has_late,
        lanes.any_tenant_due_lanes,
        partial(lanes.waiting, "acme", webhook_id="log", limit=1),
        partial(lanes.waiting, "acme", webhook_id="log", limit=64),
        partial(lanes.waiting, "acme", webhook_id="log", limit=2),  # of more: it is a backlog
    ):
        await house.db.read(partial(look, now=house.now))
    for statement, parameters in asked.copy():
        plan = await house.db.read(partial(_plan, statement=statement, parameters=parameters))
        for line in plan:
            walked = line.startswith("SCAN delivery") or "ix_delivery_log" in line or "autoindex_delivery" in line
            assert not walked, (statement, line)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_dead_webhook_is_read_of_in_its_order_not_by_sorting_what_it_was_ever_owed(house: House):
    told = [one for _ in range(2000) for one in events_of_call(types=("call.completed",))]
    await house.tell(told, push=False)
    asked: list[tuple[str, Any]] = []
    event.listen(house.db.engine, "before_cursor_execute", lambda *it: asked.append((it[2], it[3])))
    await house.db.write(lambda tx: tx.exec_driver_sql("ANALYZE"))
    await house.db.read(partial(lanes.waiting, "acme", webhook_id="log", now=house.now, limit=1))
    for statement, parameters in [one for one in asked.copy() if "LIMIT" in one[0]]:
        plan = await house.db.read(partial(_plan, statement=statement, parameters=parameters))
        assert not [line for line in plan if "Seq Scan on delivery" in line or "uq_delivery" in line], plan


def _plan(tx: Connection, *, statement: str, parameters: Any) -> list[str]:
    words = "EXPLAIN QUERY PLAN" if tx.dialect.name == "sqlite" else "EXPLAIN"
    return [row[-1] for row in tx.exec_driver_sql(f"{words} {statement}", parameters)]


async def test_what_a_webhook_is_to_blame_for_is_written_together_and_what_one_event_is_to_blame_for_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(settle, "GATHER_S", 60)
    first, second = await house.tell(events_of_call(types=("call.ended", "call.completed")), push=False)
    written: list[list[Settled]] = []
    settler = settle.Settler(house.db, written.append)
    settler.add(Settled(owed=first, state="open", at=1, done_at=1, outcome=DOWN, lane=LaneState(fails=1)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert written == []
    settler.add(Settled(owed=second, state="open", at=1, done_at=1, outcome=status(400)))
    while not settler.idle:
        await asyncio.sleep(0.01)
    assert [[one.owed for one in batch] for batch in written] == [[first, second]]

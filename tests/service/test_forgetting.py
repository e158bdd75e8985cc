"""Old events go, but never one that is owed, that no manifest stands for, or that somebody resumes from."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

import vonal.calls.forgetting as module
from sample_calls import answered_call, event, events_of_call
from vonal.calls.forgetting import Forgetting
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.store import deliveries, events, forgetting, manifests, tables
from vonal.store.database import Database
from vonal.store.sql import to_ms

pytestmark = pytest.mark.asyncio

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
OLD = NOW - timedelta(days=91)  # in the morning of a day that is wholly over
LOG = Webhook(id="log", url="https://crm.example/calls", events=["call.completed", "call.ended"])


async def store(db: Database, told: list[CallEvent], *, webhooks: tuple[Webhook, ...] = ()) -> list[str]:
    """The events happen, and are owed to these webhooks; their ids."""

    def work(tx: Any) -> None:
        events.any_tenant_add(tx, told)
        for tenant_id in {one.tenant_id for one in told}:
            mine = [one for one in told if one.tenant_id == tenant_id]
            wanted = lambda hook, one: one.type in hook.events  # noqa: E731
            deliveries.enqueue(tenant_id, tx, events=mine, webhooks=webhooks, matches=wanted, now=told[0].at)

    await db.write(work)
    return [one.id for one in told]


async def left(db: Database, tenant_id: str = "acme") -> list[str]:
    found = await db.read(lambda tx: events.after(tenant_id, tx, 0, limit=100_000))
    return [one.event.id for one in found]


async def manifest(db: Database, day: date, tenant_id: str = "acme") -> tuple[Any, bool]:
    return await db.read(partial(manifests.of_day, tenant_id, day=day, now=NOW))


async def all_rounds(db: Database, *, days: int = 90) -> int:
    worker, gone = Forgetting(db, days=days, now=lambda: NOW), 0
    for _ in range(50):
        gone += await worker.round()
    return gone


async def test_old_events_go_and_their_days_manifests_stay(database: Database) -> None:
    old = await store(database, [*events_of_call(at=OLD), *events_of_call(at=OLD - timedelta(days=3))])
    theirs = await store(database, events_of_call("other", at=OLD))
    young = await store(database, events_of_call(at=NOW - timedelta(days=89)))
    before = [await manifest(database, (OLD - timedelta(days=n)).date()) for n in (0, 3)]
    assert [(made.records, stored) for made, stored in before] == [(1, False)] * 2
    assert await all_rounds(database) == len(old) + len(theirs) - 1
    assert await left(database) == young
    assert await left(database, "other") == theirs[-1:]  # its newest: whoever has read it resumes there
    after = [await manifest(database, (OLD - timedelta(days=n)).date()) for n in (0, 3)]
    assert after == [(made, True) for made, _ in before]


async def test_only_days_that_are_wholly_over_are_touched(database: Database) -> None:
    cut = (NOW - timedelta(days=90)).replace(hour=0)
    first = await store(database, events_of_call(at=cut - timedelta(milliseconds=1)))
    kept = await store(database, events_of_call(at=cut))
    assert await all_rounds(database) == len(first)
    assert await left(database) == kept
    assert (await manifest(database, cut.date()))[1] is False


@pytest.mark.parametrize("state", [tables.OPEN, tables.PARKED, tables.DISABLED, tables.DELIVERED])
async def test_nothing_that_may_still_be_sent_is_deleted(database: Database, state: int) -> None:
    told = await store(database, events_of_call(at=OLD), webhooks=(LOG,))
    newest = await store(database, events_of_call(at=NOW))
    await database.write(lambda tx: tx.execute(tables.delivery.update().values(state=state, done_at=to_ms(OLD))))
    await all_rounds(database)
    assert await left(database) == told[3:] + newest  # call.ended and call.completed are owed
    if state != tables.OPEN:
        await database.write(partial(deliveries.any_tenant_forget, before=to_ms(NOW)))
        await all_rounds(database)
        assert await left(database) == newest


async def test_what_stays_does_not_keep_the_rest_from_going(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 3)
    monkeypatch.setattr(module, "PIECES", 2)
    owed = [await store(database, events_of_call(at=OLD), webhooks=(LOG,)) for _ in range(8)]
    free = [await store(database, events_of_call(at=OLD)) for _ in range(8)]
    newest = await store(database, events_of_call(at=NOW))
    assert await all_rounds(database) == 8 * 3 + sum(map(len, free))
    assert await left(database) == [one for told in owed for one in told[3:]] + newest


async def test_a_round_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 4)
    monkeypatch.setattr(module, "PIECES", 3)
    for _ in range(10):
        await store(database, events_of_call(at=OLD))
    assert await Forgetting(database, days=90, now=lambda: NOW).round() == 12


async def test_tests_of_a_webhook_go_and_stay_like_all_others(database: Database) -> None:
    told = [event("webhook.test", answered_call(), at=OLD) for _ in range(2)]
    await store(database, told[:1], webhooks=(Webhook(id="t", url="https://crm.example", events=["webhook.test"]),))
    await store(database, told[1:])
    await database.write(lambda tx: tx.execute(tables.event.update().values(call_id=None)))
    await database.write(lambda tx: tx.execute(tables.delivery.update().values(call_id=None)))
    newest = await store(database, [event(at=NOW)])
    assert await all_rounds(database) == 1
    remaining = await database.read(lambda tx: list(tx.execute(select(tables.event.c.id)).scalars()))
    assert sorted(remaining) == sorted([told[0].id, *newest])


async def test_no_event_goes_before_its_manifest_is_stored(database: Database) -> None:
    told = await store(database, [*events_of_call(at=OLD), *events_of_call(at=NOW)])
    page = await database.read(partial(forgetting.any_tenant_old, after=0, before=to_ms(NOW), limit=100))
    assert await database.write(partial(forgetting.any_tenant_delete, positions=page.positions)) == 0
    assert await left(database) == told


@pytest.mark.parametrize("at", ["before the manifest", "after the manifest", "amid the deletion"])
async def test_a_kill_at_any_point_changes_nothing_that_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    day = OLD.date()
    await store(database, [one for _ in range(20) for one in events_of_call(at=OLD)])
    newest = await store(database, events_of_call(at=NOW))
    before, _ = await manifest(database, day)
    monkeypatch.setattr(module, "PIECE", 30)
    real: dict[str, Callable[..., Any]] = {"keep": manifests.keep, "delete": forgetting.any_tenant_delete}
    deleted: list[int] = []

    def keep(*values: Any, **more: Any) -> None:
        if at == "before the manifest":
            raise SystemError("killed")
        real["keep"](*values, **more)

    def delete(*values: Any, **more: Any) -> int:
        if at == "after the manifest" or deleted:
            raise SystemError("killed")
        deleted.append(real["delete"](*values, **more))
        return deleted[-1]

    with monkeypatch.context() as patch:
        patch.setattr(manifests, "keep", keep)
        patch.setattr(forgetting, "any_tenant_delete", delete)
        with pytest.raises(SystemError):
            await Forgetting(database, days=90, now=lambda: NOW).round()
    assert deleted == ([30] if at == "amid the deletion" else [])
    assert (await manifest(database, day))[0] == before
    await all_rounds(database)
    assert await left(database) == newest
    assert await manifest(database, day) == (before, True)
    number = await database.read(lambda tx: tx.execute(select(func.count()).select_from(tables.manifest)).scalar())
    assert number == 1

"""The outbox and its worker, on a store of each kind: what is sent, when, in which order, and what is written down."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from delivery_house import DELIVERED, DOWN, House, status, webhook
from sample_calls import answered_call, events_of_call
from vonal.domain.delivery import Outcome
from vonal.domain.directory import WebhookScope
from vonal.domain.events import next_event
from vonal.store import deliveries
from vonal.store.database import Database
from vonal.store.sql import from_ms

LIVE = ("call.incoming", "call.ringing", "call.answered", "call.ended")


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    opened = House(database)
    await opened.save(webhook())
    await opened.worker.refresh()
    yield opened
    await opened.worker.stop(0)


def _fails_first(times: int, outcome: Outcome = DOWN) -> Any:
    left = [times]

    def script(_webhook: str, _event: Any) -> Outcome:
        left[0] -= 1
        return outcome if left[0] >= 0 else DELIVERED

    return script


# What is owed


async def test_each_matching_webhook_is_owed_each_event_once(house: House):
    await house.save(webhook("all"), webhook("completed", events=["call.completed"]), webhook("off", enabled=False))
    told = events_of_call()
    owed = await house.tell(told, push=False)
    assert len(owed) == len(told) + 1
    store = partial(deliveries.enqueue, "acme", events=told, webhooks=list(house.webhooks.values()),
                    matches=lambda *_: True, now=from_ms(house.now))  # fmt: skip
    assert {one.webhook_id for one in await house.db.write(store)} == {"completed", "off"}
    assert len(await house.log()) == 3 * len(told)


async def test_missed_calls_are_the_inbound_completed_calls_that_nobody_answered(house: House):
    await house.save(webhook(events=["call.missed"]))
    for direction, disposition in (("inbound", "no_answer"), ("inbound", "answered"), ("outbound", "no_answer")):
        call = answered_call(direction=direction, disposition=disposition)
        await house.tell([next_event(call, "call.completed", from_ms(house.now))])
    await house.settle()
    assert [(one.event.type, one.event.data["call"]["disposition"]) for one in house.sent] == [
        ("call.completed", "no_answer")
    ]


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        ({"extensions": ["102"]}, True),
        ({"extensions": ["101"]}, False),
        ({"numbers": ["+3612345678"]}, True),
        ({"numbers": ["+3611111111"]}, False),
        ({"directions": ["inbound"]}, True),
        ({"directions": ["outbound", "internal"]}, False),
    ],
)
async def test_scope_lets_only_its_calls_through(house: House, scope: dict[str, list[str]], passes: bool):
    await house.save(webhook(scope=WebhookScope(**scope)))
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    assert len(house.sent) == passes


async def test_a_live_event_told_too_late_is_not_sent(house: House):
    house.now += 61_000
    await house.tell(events_of_call())
    await house.settle()
    assert house.sent_to("log") == ["call.completed"]
    assert await house.states() == ["dropped"] * 4 + ["delivered"]


# Sending


async def test_a_push_is_sent_at_once_without_a_sweep(house: House):
    await house.settle()
    await house.tell(events_of_call())
    await house.worker.idle()
    assert house.sent_to("log") == [*LIVE, "call.completed"]
    assert await house.states() == ["delivered"] * 5


async def test_what_is_not_pushed_is_found_by_the_sweep(house: House):
    await house.tell(events_of_call(), push=False)
    await house.settle()
    assert house.sent_to("log") == [*LIVE, "call.completed"]


async def test_a_push_that_repeats_what_is_known_sends_nothing_twice(house: House):
    await house.settle()
    owed = await house.tell(events_of_call())
    house.worker.push(owed)
    await house.settle()
    assert len(house.sent) == 5


async def test_the_log_tells_each_attempt(house: House):
    house.script = _fails_first(1, status(503, answer="wait", took_ms=12))
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.advance(5)
    [one] = await house.log()
    assert (one.state, one.last_status, one.last_error) == ("delivered", 200, None)
    first, second = one.attempts
    assert (first.n, first.status, first.fault, first.answer, first.took_ms) == (1, 503, "theirs", "wait", 12)
    assert first.at == "2026-11-22T09:15:47.963Z"
    assert (second.n, second.status, second.fault) == (2, 200, None)


async def test_records_are_retried_on_the_contracts_schedule(house: House):
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.pass_time(200)
    assert [(one.at - house.sent[0].at) // 1000 for one in house.sent] == [0, 5, 35, 155]
    assert [one.attempt for one in house.sent] == [1, 2, 3, 4]


async def test_live_events_are_retried_on_the_contracts_schedule_and_then_dropped(house: House):
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.incoming",)))
    await house.settle()
    await house.pass_time(70)
    assert [(one.at - house.sent[0].at) // 1000 for one in house.sent] == [0, 1, 3, 8, 18, 38]
    assert await house.states() == ["dropped"]


async def test_a_record_is_parked_after_72_hours_and_replayed_on_request(house: House):
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    await house.pass_time(73 * 3600, step=300)
    [one] = await house.log()
    assert (one.state, len(one.attempts)) == ("parked", 14)
    house.script = lambda *_: DELIVERED
    await house.db.write(partial(deliveries.replay, "acme", delivery_id=one.id, now=from_ms(house.now)))
    await house.settle()
    [again] = await house.log()
    assert again.state == "delivered"
    assert [attempt.n for attempt in again.attempts] == list(range(1, 16))


async def test_a_replayed_delivery_has_its_whole_schedule_again(house: House):
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    [one] = await house.log(state="delivered")
    house.script = _fails_first(1)
    await house.db.write(partial(deliveries.replay, "acme", delivery_id=one.id, now=from_ms(house.now)))
    await house.settle()
    await house.advance(5)
    [one] = await house.log()
    assert (one.state, len(one.attempts)) == ("delivered", 3)


async def test_a_live_event_is_replayed_only_because_somebody_asks(house: House):
    await house.tell(events_of_call(types=("call.incoming",)))
    await house.settle()
    await house.advance(3600)
    [one] = await house.log()
    await house.db.write(partial(deliveries.replay, "acme", delivery_id=one.id, now=from_ms(house.now)))
    await house.settle()
    assert house.sent_to("log") == ["call.incoming"] * 2


@pytest.mark.parametrize("days", [31, 400])
async def test_what_is_older_than_30_days_is_not_replayed(house: House, days: int):
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    [one] = await house.log()
    later = from_ms(house.now + days * 86_400_000)
    with pytest.raises(Exception, match="older than 30 days"):
        await house.db.write(partial(deliveries.replay, "acme", delivery_id=one.id, now=later))


async def test_nothing_is_replayed_to_a_webhook_that_takes_nothing(house: House):
    house.script = lambda *_: status(410)
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    [one] = await house.log()
    again = partial(deliveries.replay, "acme", delivery_id=one.id, now=from_ms(house.now))
    with pytest.raises(Exception, match="webhook log is disabled, because it answered 410"):
        await house.db.write(again)
    await house.save(webhook("another"))
    with pytest.raises(Exception, match="webhook log was removed"):
        await house.db.write(again)


async def test_another_tenants_delivery_is_not_found(house: House):
    await house.tell(events_of_call(types=("call.completed",)))
    [one] = await house.log()
    for work in (deliveries.find, partial(deliveries.replay, now=from_ms(house.now))):
        with pytest.raises(Exception, match="there is no delivery"):
            await house.db.write(partial(work, "other", delivery_id=one.id))


# Order


async def test_a_calls_next_event_waits_for_the_one_that_fails(house: House):
    house.script = _fails_first(2)
    await house.tell(events_of_call())
    await house.settle()
    assert house.sent_to("log") == ["call.incoming"]
    await house.pass_time(10)
    assert house.sent_to("log") == ["call.incoming"] * 3 + [*LIVE[1:], "call.completed"]


async def test_other_calls_do_not_wait_behind_one_that_fails(house: House):
    bad, good = events_of_call(), events_of_call()
    house.script = lambda _, event: status(400) if event.call_id == bad[0].call_id else DELIVERED
    await house.tell([*bad, *good])
    await house.settle()
    assert [one.event.type for one in house.sent if one.event.call_id == good[0].call_id] == [*LIVE, "call.completed"]
    assert [one.event.type for one in house.sent if one.event.call_id == bad[0].call_id] == ["call.incoming"]


async def test_one_event_that_makes_the_crm_fail_does_not_stop_the_others(house: House):
    poison = events_of_call(types=("call.completed",))
    house.script = lambda _, event: status(500) if event.id == poison[0].id else DELIVERED
    await house.tell(poison)
    others = [one for _ in range(20) for one in events_of_call(types=("call.completed",))]
    await house.tell(others)
    await house.settle()
    await house.pass_time(2)
    assert {one.event.id for one in house.sent} == {one.id for one in [*poison, *others]}


async def test_a_record_behind_failing_live_events_goes_when_these_are_dropped(house: House):
    house.script = lambda _, event: DELIVERED if event.type == "call.completed" else status(422)
    await house.tell(events_of_call())
    await house.settle()
    await house.pass_time(62)
    assert house.sent_to("log")[-1] == "call.completed"
    assert await house.states() == ["dropped"] * 4 + ["delivered"]


async def test_live_events_behind_a_failing_record_are_dropped_in_time_and_block_nothing(house: House):
    told = events_of_call(types=("recording.ready", "call.ended", "call.completed"))
    house.script = lambda _, event: status(415) if event.type == "recording.ready" else DELIVERED
    await house.tell(told)
    await house.settle()
    await house.pass_time(61)
    assert await house.states() == ["open", "dropped", "open"]
    assert set(house.sent_to("log")) == {"recording.ready"}
    house.script = lambda *_: DELIVERED
    await house.pass_time(100)
    assert await house.states() == ["delivered", "dropped", "delivered"]


async def test_a_live_event_whose_time_runs_out_under_way_can_still_be_replayed(house: House):
    async def slow(_request: Any) -> Outcome:
        house.now += 61_000
        await house.worker.sweep()
        return DOWN

    house.worker._send = slow
    await house.tell(events_of_call(types=("call.incoming",)))
    await house.settle()
    [one] = await house.log()
    assert (one.state, len(one.attempts)) == ("dropped", 1)
    house.worker._send = house._send
    await house.db.write(partial(deliveries.replay, "acme", delivery_id=one.id, now=from_ms(house.now)))
    await house.settle()
    [one] = await house.log()
    assert (one.state, [attempt.n for attempt in one.attempts]) == ("delivered", [1, 2])


# Our own faults


async def test_our_own_fault_spends_no_attempt(house: House):
    def broken(*_: Any) -> Outcome:
        raise OSError("our disk")

    house.script = broken
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    [one] = await house.log()
    assert (one.state, one.attempts) == ("open", [])
    house.script = lambda *_: DELIVERED
    await house.advance(30)
    [one] = await house.log()
    assert (one.state, [attempt.n for attempt in one.attempts]) == ("delivered", [1])


async def test_a_restart_goes_on_where_the_database_stands(house: House):
    house.script = _fails_first(1)
    await house.tell(events_of_call())
    await house.settle()
    house.script = lambda *_: DELIVERED
    house.now += 1000
    await house.restart()
    await house.settle()
    assert house.sent_to("log") == ["call.incoming", *LIVE, "call.completed"]
    assert [one.attempt for one in house.sent] == [1, 2, 1, 1, 1, 1]


# Housekeeping


async def test_pages_of_the_log_hold_every_delivery_once(house: House):
    for _ in range(7):
        await house.tell(events_of_call(types=("call.completed",)))
    seen: list[str] = []
    cursor = None
    while True:
        look = partial(deliveries.listing, "acme", wanted=deliveries.DeliveryFilter(), after=cursor, limit=3)
        items, cursor = await house.db.read(look)
        seen += [one.id for one in items]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
    with pytest.raises(ValueError, match="cursor"):
        await house.db.read(partial(deliveries.listing, "acme", wanted=deliveries.DeliveryFilter(), after="9" * 30))


async def test_closed_deliveries_are_forgotten_after_their_time_and_open_ones_never(house: House):
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    house.script = lambda *_: DOWN
    await house.tell(events_of_call(types=("call.completed",)))
    await house.settle()
    later = house.now + 31 * 86_400_000
    assert await house.db.write(partial(deliveries.any_tenant_forget, before=later)) == (1, None)
    assert await house.states() == ["open"]

"""The machine's clock is set: nothing waits for a time that only the wrong clock would have reached soon."""

from collections.abc import AsyncIterator

import pytest

from delivery_house import DELIVERED, DOWN, House, webhook
from sample_calls import events_of_call
from vonal.store.database import Database
from vonal.store.sql import from_ms

HOUR = 3600.0


@pytest.fixture
async def house(database: Database) -> AsyncIterator[House]:
    opened = House(database)
    await opened.save(webhook(events=["call.completed"]))
    await opened.worker.refresh()
    yield opened
    await opened.worker.stop(0)


async def _told(house: House) -> None:
    await house.tell(events_of_call(at=from_ms(house.now), types=("call.completed",)), push=False)


@pytest.mark.parametrize("restarted", [False, True])
async def test_what_was_owed_and_tried_while_the_clock_was_ahead_is_sent_soon(house: House, restarted: bool):
    house.script = lambda *_: DOWN
    await house.settle()
    house.now += round(HOUR * 1000)  # it is wrong now
    await _told(house)
    await house.pass_time(60, step=5)
    await _told(house)
    house.set_clock_back(HOUR)
    house.script = lambda *_: DELIVERED
    if restarted:
        await house.restart()
    await house.pass_time(130, step=5)
    assert await house.states() == ["delivered"] * 2


async def test_a_clock_that_runs_on_moves_nothing(house: House):
    house.script = lambda *_: DOWN
    await _told(house)
    await house.pass_time(400, step=5)
    before = [one.next_at for one in await house.log()]
    await house.restart()
    await house.pass_time(10, step=5)
    assert [one.next_at for one in await house.log()] == before


async def test_a_clock_that_jumps_ahead_drops_live_events_only(house: House):
    house.script = lambda *_: DOWN
    await house.save(webhook())
    await house.tell(events_of_call(at=from_ms(house.now), types=("call.incoming", "call.completed")))
    await house.settle()
    house.now += round(HOUR * 1000)
    house.script = lambda *_: DELIVERED
    await house.pass_time(130, step=5)
    assert await house.states() == ["dropped", "delivered"]

"""Facts are taken in once, with all they owe, whatever happens to the store."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tables import ACME, PEOPLE, SCENARIOS, load, play, requested
from vonal.calls import ingest as ingesting
from vonal.calls.ingest import Ingest, Taken
from vonal.calls.people import People
from vonal.domain.call import Recording
from vonal.domain.directory import Tenant, Webhook
from vonal.domain.journal import JournalRow, Position
from vonal.domain.sound import Outcome
from vonal.store import calls, events, tables
from vonal.store.database import Database
from vonal.telephony.journal import Batch
from vonal.webhooks.match import matches

HOOK = Webhook(id="all", url="https://crm.example/", events=["call.incoming", "call.completed", "recording.ready"])
INBOUND = load(SCENARIOS / "inbound-group-all-answered.txt").rows
CLICK = load(SCENARIOS / "click-agent-no-answer.txt").rows


class House:
    """An ingest on a database, and what it told."""

    def __init__(self, database: Database) -> None:
        acme = Tenant(id="acme", country="HU", extensions=ACME.extensions, numbers=ACME.numbers, webhooks=[HOOK])
        self.db = database
        self.told: list[Taken] = []
        self.people = People(node=PEOPLE.node, tenants={"acme": acme}, mint=PEOPLE.mint)
        self.ingest = self.again()

    def again(self) -> Ingest:
        """The same after a restart."""
        self.ingest = Ingest(self.db, self.people, matches=matches, told=self.told.append)
        return self.ingest

    async def take(self, rows: list[JournalRow], offset: int = 1) -> None:
        await self.ingest.take(Batch(rows, Position(1, offset)))

    async def count(self, table: Any) -> int:
        return await self.db.read(lambda tx: tx.execute(select(func.count()).select_from(table)).scalar_one())

    async def types(self) -> list[str]:
        table = tables.event
        query = select(table.c.type).order_by(table.c.position)
        return list(await self.db.read(lambda tx: tx.execute(query).scalars().all()))

    async def settle_all(self, state: str = "ready") -> None:
        for call in await self.db.read(calls.any_tenant_unfinished):
            for one in call.recordings:
                done = Recording(id=one.id, file=one.file, customer_first=one.customer_first, state=state)
                await self.ingest.settle(Outcome(tenant_id="acme", call_id=call.id, recording=done))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_a_call_its_events_what_they_owe_and_the_position_are_stored(house: House) -> None:
    await house.take(INBOUND, offset=77)
    assert await house.types() == ["call.incoming", "call.ringing", "call.ringing", "call.answered", "call.ended"]
    assert await house.ingest.position() == Position(1, 77)
    await house.settle_all()
    assert (await house.types())[-2:] == ["recording.ready", "call.completed"]
    owed = [one for taken in house.told for one in taken.owed]
    assert [one.event.type for one in owed] == ["recording.ready", "call.completed"], "live events are too old by now"
    assert await house.count(tables.delivery) == 3
    assert await house.db.read(calls.any_tenant_unfinished) == []


@pytest.mark.parametrize("at", range(1, len(INBOUND)))
async def test_a_restart_at_any_row_changes_nothing(house: House, at: int) -> None:
    await house.take(INBOUND[:at])
    house.again()
    await house.take(INBOUND[at:], offset=2)
    await house.settle_all()
    whole = [event.type for event in play(INBOUND)[1]]
    assert await house.types() == [*whole, "recording.ready", "call.completed"]


async def test_a_journal_that_is_read_again_tells_nothing_twice(house: House) -> None:
    await house.take(INBOUND)
    await house.settle_all()
    before = await house.types()
    house.again()
    await house.take(INBOUND)
    assert await house.types() == before


async def test_a_recording_is_settled_once(house: House) -> None:
    await house.take(INBOUND)
    await house.settle_all()
    [call] = await house.db.read(lambda tx: list(calls.any_tenant_find(tx, [_call_id()]).values()))
    done = Recording(id=call.recordings[0].id, file="x", customer_first=True, state="ready")
    await house.ingest.settle(Outcome(tenant_id="acme", call_id=call.id, recording=done))
    assert Counter(await house.types())["call.completed"] == 1


async def test_a_store_that_fails_is_tried_until_it_has_everything(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "RETRY_SECONDS", (0.0,))
    add, failures = events.any_tenant_add, [OSError("disk full"), RuntimeError("gone")]

    def failing(tx: Any, told: Any) -> None:
        add(tx, told)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(events, "any_tenant_add", failing)
    await house.take(INBOUND)
    assert not failures
    assert Counter(await house.types())["call.ended"] == 1
    assert len(house.told) == 1, "what was rolled back was not told"


async def test_a_commit_that_succeeds_and_is_said_to_have_failed_is_not_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingesting, "RETRY_SECONDS", (0.0,))
    write, failures = house.db.write, []

    async def dying(work: Any) -> Any:
        result = await write(work)
        if failures:
            raise failures.pop()
        return result

    monkeypatch.setattr(house.db, "write", dying)
    for at in range(len(INBOUND)):
        failures.append(OSError("the server has gone away while it committed"))
        await house.take(INBOUND[at : at + 1], offset=at + 1)
    assert await house.types() == [event.type for event in play(INBOUND)[1]]


async def test_a_click_is_found_by_its_own_id(house: House) -> None:
    call = requested(CLICK[0].linkedid)
    await house.db.write(lambda tx: calls.save("acme", tx, call))
    await house.take(CLICK)
    assert "click_to_call.failed" in await house.types()
    found = await house.db.read(lambda tx: calls.find("acme", tx, call.id))
    assert (found.state, found.disposition, found.origin) == ("completed", "no_answer", "click_to_call")


async def test_a_click_that_asterisk_refused_is_closed_as_failed(house: House) -> None:
    call = requested("call_refused")
    await house.db.write(lambda tx: calls.save("acme", tx, call))
    await house.ingest.abandon("acme", call.id, "Asterisk said no")
    assert await house.types() == ["call.ended", "click_to_call.failed", "call.completed"]


async def test_live_calls_without_a_channel_are_closed_as_interrupted(house: House) -> None:
    await house.take(INBOUND[:12])
    alive = [row.channel for row in INBOUND]
    known = await house.ingest.unfinished()
    assert await house.ingest.interrupt_all_but(alive, among=known) == 0
    assert await house.ingest.interrupt_all_but([], among=set()) == 0, "it began after that look"
    assert await house.ingest.interrupt_all_but([], among=known) == 1
    [call] = house.told[-1].calls.values()
    assert (call.interrupted, call.state) == (True, "ended" if call.recordings else "completed")


async def test_a_record_does_not_wait_for_its_recording_for_ever(house: House) -> None:
    await house.take(INBOUND)
    await house.ingest.complete_overdue()  # it ended long ago by the clock of this test
    assert (await house.types())[-1] == "call.completed"
    call = await house.db.read(lambda tx: calls.any_tenant_find(tx, [_call_id()])[_call_id()])
    done = Recording(id=call.recordings[0].id, file="x", customer_first=True, state="ready")
    await house.ingest.settle(Outcome(tenant_id="acme", call_id=call.id, recording=done))
    assert (await house.types())[-3:] == ["call.completed", "recording.ready", "call.updated"]


async def test_hold_is_counted_while_two_talk(house: House) -> None:
    answered = next(index for index, row in enumerate(INBOUND) if row.event == "BRIDGE_EXIT")
    await house.take(INBOUND[:answered])
    agent = next(row.channel for row in INBOUND if "acme-101" in row.channel_name)
    await house.ingest.hold(agent, INBOUND[answered].at, held=True)
    await house.ingest.hold(agent, INBOUND[answered].at + timedelta(seconds=3), held=False)
    [call] = house.told[-1].calls.values()
    assert call.hold_from is None
    assert call.hold_s == 3


def _call_id() -> str:
    [key] = play(INBOUND)[0]
    return key

"""The one writer, and rows that go to the driver in many: the same on both stores."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection, text

from sample_calls import event, events_of_call
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.store import deliveries, events
from vonal.store.database import Database

HOOK = Webhook(id="crm", url="https://crm.example/calls", events=["call.completed"])
TAKEN = text("SELECT count(*) FROM delivery")


def _owe(tx: Connection, told: Sequence[CallEvent]) -> list[str]:
    owed = deliveries.any_tenant_enqueue(tx, [(one, HOOK) for one in told], now=told[0].at)
    return [one.event.id for one in owed]


def test_of_what_is_owed_a_second_time_only_the_new_is_returned(database: Database) -> None:
    first, second = [event() for _ in range(3)], [event() for _ in range(2)]
    database.submit(lambda tx: events.any_tenant_add(tx, [*first, *second])).result()
    assert database.submit(lambda tx: _owe(tx, first)).result() == [one.id for one in first]
    mixed = [first[0], second[0], first[2], second[1]]
    assert database.submit(lambda tx: _owe(tx, mixed)).result() == [one.id for one in second]
    assert database.submit(lambda tx: _owe(tx, mixed)).result() == []
    assert database.read_now(lambda tx: tx.execute(TAKEN).scalar()) == 5


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 1023, 1024, 1025])
def test_however_many_events_there_are_they_are_read_as_they_were_told(database: Database, count: int) -> None:
    odd = event()
    odd.data["custom"] = {"note": "Árvíztűrő \"tükör\" \\ '%s' ? 100 %\t\u2028🙂", "empty": "", "none": None}
    told = [odd, *(event() for _ in range(count - 1))]
    database.submit(lambda tx: events.any_tenant_add(tx, told)).result()
    assert [one.event for one in database.read_now(lambda tx: events.after("acme", tx, 0, limit=2000))] == told


def test_a_piece_of_work_that_fails_takes_nothing_of_its_neighbours_along(database: Database) -> None:
    told = events_of_call()

    def hold(tx: Connection) -> None:  # the others gather behind it, and share a transaction
        events.any_tenant_add(tx, told[:1])

    def fail(tx: Connection) -> None:
        events.any_tenant_add(tx, told[2:3])
        raise LookupError

    def twice(tx: Connection) -> None:
        events.any_tenant_add(tx, told[:1])

    works = (hold, lambda tx: events.any_tenant_add(tx, told[1:2]), fail, twice, lambda tx: _owe(tx, told[:1]))
    done = [database.submit(work) for work in works]
    assert [one.exception() is None for one in done] == [True, True, False, False, True]
    assert [one.event.id for one in database.read_now(lambda tx: events.after("acme", tx, 0, limit=9))] == [
        one.id for one in told[:2]
    ]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_the_server_has_ended_fails_one_transaction_and_no_more(database: Database) -> None:
    number = text("SELECT pg_backend_pid()")
    ended = text("SELECT pg_terminate_backend(:one)")
    writer = database.submit(lambda tx: tx.execute(number).scalar()).result()
    database.read_now(lambda tx: tx.execute(ended, {"one": writer}).scalar())
    first = database.submit(lambda tx: events.any_tenant_add(tx, [event()]))
    first.exception()  # it was found dead, or had rested long enough to be asked before
    told = event()
    database.submit(lambda tx: events.any_tenant_add(tx, [told])).result()
    assert told.id in {one.event.id for one in database.read_now(lambda tx: events.after("acme", tx, 0, limit=9))}

"""Calls are found as a naive filter would find them, and by runs of an index however many there are."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from sample_calls import answered_call, recording
from vonal.domain.call import Agent, Call, Leg, Party
from vonal.store import call_counts, call_keys, call_search, calls
from vonal.store.calls import CallFilter
from vonal.store.database import Database

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
NUMBERS = ("+36305550123", "+36305550199", "+3612345678", "101")
EXTENSIONS = ("101", "102", "110")

moments = st.integers(0, 30).map(lambda minutes: START + timedelta(minutes=minutes))
parties = st.sampled_from(NUMBERS).map(lambda one: Party(number=one if one[0] == "+" else None, raw=one))
directions = st.sampled_from(["inbound", "outbound", "internal"])
dispositions = st.sampled_from([None, "answered", "no_answer", "busy", "cancelled", "rejected", "failed"])


def _leg(extension: str) -> Leg:
    return Leg(id="leg_1", channel="a", kind="extension", party="called", extension=extension, started_at=START)


@st.composite
def stories(draw: st.DrawFn) -> Call:
    return answered_call(
        draw(st.sampled_from(["acme", "acme", "other"])),
        at=draw(moments),
        state=draw(st.sampled_from(["requested", "live", "ended", "completed", "completed", "completed"])),
        direction=draw(directions),
        disposition=draw(dispositions),
        from_=draw(parties),
        to=draw(parties),
        agent=draw(st.none() | st.sampled_from(EXTENSIONS).map(lambda one: Agent(extension=one))),
        legs=draw(st.lists(st.sampled_from(EXTENSIONS).map(_leg), max_size=2)),
        recordings=draw(st.lists(st.sampled_from(["ready", "processing", "deleted"]).map(recording), max_size=1)),
    )


filters = st.builds(
    CallFilter,
    from_=st.none() | moments,
    until=st.none() | moments,
    direction=st.none() | directions,
    disposition=st.none() | dispositions,
    has_recording=st.none() | st.booleans(),
    extensions=st.lists(st.sampled_from(EXTENSIONS), max_size=2, unique=True).map(tuple),
    numbers=st.lists(st.sampled_from(NUMBERS), max_size=2, unique=True).map(tuple),
    own=st.none() | st.sampled_from(EXTENSIONS),
)


def fits(call: Call, wanted: CallFilter) -> bool:
    took_part = call_keys.extensions_of(call)
    ends = {party.number or party.raw for party in (call.from_, call.to)}
    return all(
        (
            call.tenant_id == "acme",
            wanted.from_ is None or call.started_at >= wanted.from_,
            wanted.until is None or call.started_at < wanted.until,
            wanted.direction in (None, call.direction),
            wanted.disposition in (None, call.disposition),
            wanted.has_recording in (None, any(one.state == "ready" for one in call.recordings)),
            not wanted.extensions or took_part & set(wanted.extensions),
            not wanted.numbers or ends & set(wanted.numbers),
            wanted.own is None or wanted.own in took_part,
        )
    )


def listed(db: Database, wanted: CallFilter, *, limit: int) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor = None
    while True:
        look = partial(calls.listing, "acme", wanted=wanted, after=cursor, limit=limit)
        page, cursor = db.read_now(lambda tx, look=look: look(tx=tx))
        found += [call.id for call in page]
        if cursor is None:
            return found


@pytest.fixture
def small_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are looked at for one page, so that pages end early."""
    monkeypatch.setattr(call_search, "LOOK", 2)
    monkeypatch.setattr(call_search, "MOST_LOOKED_AT", 3)


@pytest.mark.usefixtures("small_looks")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stored=st.lists(stories(), max_size=12), asked=st.lists(filters, min_size=1, max_size=4), limit=st.integers(1, 5)
)
def test_calls_are_found_as_by_looking_at_each(
    database: Database, stored: list[Call], asked: list[CallFilter], limit: int
) -> None:
    database.submit(_empty).result()
    database.submit(partial(calls.any_tenant_save, calls=stored)).result()
    newest_first = sorted(stored, key=lambda call: (call.started_at, call.id), reverse=True)
    for wanted in asked:
        assert listed(database, wanted, limit=limit) == [call.id for call in newest_first if fits(call, wanted)]


def _empty(tx: Connection) -> None:
    for table in ("call", "call_key"):
        tx.execute(text(f"DELETE FROM {table}"))


def test_a_call_whose_recording_is_deleted_later_is_found_without_one(database: Database) -> None:
    call = answered_call(state="completed", recordings=[recording()])
    save = partial(calls.any_tenant_save, calls=[call])
    database.submit(save).result()
    assert listed(database, CallFilter(has_recording=True), limit=5) == [call.id]
    call.recordings[0].state, call.revision = "deleted", 2
    database.submit(save).result()
    assert listed(database, CallFilter(has_recording=True), limit=5) == []
    assert listed(database, CallFilter(has_recording=False, own="102"), limit=5) == [call.id]


def test_numbers_are_found_by_how_they_end(database: Database) -> None:
    ends = ["+36301234567", "+36201234567", "+36301234568", "+4312345679"]
    stored = [answered_call(state="completed", from_=Party(number=one)) for one in ends]
    stored += [answered_call("other", state="completed", from_=Party(number="+36991234567"))]
    stored += [answered_call(state="live", from_=Party(number="+36701234567"))]
    database.submit(partial(calls.any_tenant_save, calls=stored)).result()

    def ending(digits: str, limit: int = 8) -> list[str]:
        return database.read_now(lambda tx: call_search.numbers_ending("acme", tx, digits, limit=limit))

    assert ending("1234567") == ["+36201234567", "+36301234567", "+36701234567"]
    assert ending("301234567") == ["+36301234567"]
    assert ending("+36301234567") == ["+36301234567"]
    assert ending("999") == []
    assert len(ending("67", limit=2)) == 2


# --- how they are found ----------------------------------------------------------------------------------------------

LOOKS: dict[str, CallFilter] = {
    "all": CallFilter(),
    "a time": CallFilter(from_=START, until=START + timedelta(days=1)),
    "direction": CallFilter(direction="inbound"),
    "disposition": CallFilter(disposition="answered"),
    "recorded": CallFilter(has_recording=True),
    "extension": CallFilter(extensions=("102",)),
    "number": CallFilter(numbers=("+36305550123", "+36305550199")),
    "all at once": CallFilter(
        from_=START,
        direction="inbound",
        disposition="answered",
        extensions=("101", "102"),
        numbers=NUMBERS[:1],
        own="102",
    ),
}


@pytest.fixture
def crowded(database: Database) -> Database:
    """So many calls that a plan that reads them all would be seen to."""

    stored = [answered_call(at=START + timedelta(minutes=n), state="completed") for n in range(3000)]
    database.submit(partial(calls.any_tenant_save, calls=stored)).result()
    with database.engine.connect() as tx:
        tx.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    return database


@pytest.mark.parametrize("look", LOOKS)
def test_every_list_reads_runs_of_an_index_and_sorts_no_table(crowded: Database, look: str) -> None:
    plans = _plans(crowded, partial(calls.listing, "acme", wanted=LOOKS[look], limit=50))
    assert plans
    for plan in plans:
        assert _whole_tables(plan) == [], "\n".join(plan)


def _plans(db: Database, work: Callable[..., object]) -> list[list[str]]:
    """What the database says of each query of this work."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    db.read_now(lambda tx: work(tx=tx))
    event.remove(db.engine, "before_cursor_execute", note)
    prefix = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
    with db.engine.connect() as tx:
        wanted = [one for one in asked if one[0].startswith("SELECT")]
        return [[str(row[-1]) for row in tx.exec_driver_sql(prefix + sql, given)] for sql, given in wanted]


def test_a_days_calls_are_counted_in_the_index(crowded: Database) -> None:
    work = partial(call_counts.by_hour, "acme", since=START, until=START + timedelta(days=1), own="102")
    (plan,) = _plans(crowded, work)
    assert _whole_tables(plan) == [], "\n".join(plan)
    assert any("pk_call_key" in line or "PRIMARY KEY" in line for line in plan)
    counted = crowded.read_now(lambda tx: work(tx=tx))
    assert sum(one.calls for one in counted) == 24 * 60
    assert {one.hour for one in counted} == set(range(24))


def _whole_tables(plan: list[str]) -> list[str]:
    """Steps that read a whole table. SQLite calls going through a subquery's rows a scan too."""
    tables = ("call", "call_key", "o")
    scans = [line.split() for line in plan if line.startswith("SCAN ")]
    return [" ".join(words) for words in scans if words[1] in tables] + [line for line in plan if "Seq Scan" in line]

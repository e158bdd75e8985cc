"""Ids: the same for the same fact, and in the order of time."""

from vonal.domain import call
from vonal.domain.call import call_id, event_id, new_id

LINKED = "1795000000.17"


def test_a_fact_read_twice_has_the_same_ids() -> None:
    assert call_id("pbx", LINKED) == call_id("pbx", LINKED)
    assert event_id(call_id("pbx", LINKED), 1) == event_id(call_id("pbx", LINKED), 1)


def test_other_facts_have_other_ids() -> None:
    ids = {call_id(node, linked) for node in ("pbx", "pbx2") for linked in (LINKED, "1795000000.18", "ended", "")}
    ids |= {event_id(one, sequence) for one in ids for sequence in (1, 2, 3)}
    assert len(ids) == 32


def test_a_click_to_calls_id_stays() -> None:
    assert call_id("pbx", "call_x") == "call_x"


def test_ids_of_calls_and_their_events_sort_as_the_calls_began() -> None:
    linked = [f"{seconds}.1" for seconds in (0, 1, 999_999_999, 1_795_000_000, 1_795_000_001, 2_000_000_000)]
    calls = [call_id("pbx", one) for one in linked]
    assert calls == sorted(calls)
    events = [event_id(one, 1) for one in calls]
    assert events == sorted(events)


def test_the_number_of_a_node_before_asterisks_id_changes_nothing_in_the_order() -> None:
    assert call_id("pbx", f"pbx-{LINKED}")[:15] == call_id("pbx", LINKED)[:15]


def test_an_absurd_linkedid_still_gives_an_id() -> None:
    assert len({call_id("pbx", "9" * 50 + ".1"), call_id("pbx", "x"), call_id("pbx", LINKED)}) == 3
    assert {len(call_id("pbx", one)) for one in ("9" * 50 + ".1", "x", LINKED)} == {31}


def test_fresh_ids_sort_as_they_were_made_and_are_of_the_same_form() -> None:
    first, second = call._stamp(1_795_000_000_000), call._stamp(1_795_000_000_001)
    assert first < second
    assert len(new_id("call")) == len(call_id("pbx", LINKED))
    assert new_id("call") != new_id("call")

"""Which part of a call a webhook gets."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sample_calls import answered_call, event, recording
from vonal.webhooks import fields

DATA = event(call=answered_call(recordings=[recording()])).data


def test_full_is_everything():
    assert fields.select(DATA, "full") == DATA


def test_minimal_has_ids_direction_parties_times_and_disposition():
    chosen = fields.select(DATA, "minimal")
    assert set(chosen) == {"call", "from", "to", "times", "custom"}
    assert set(chosen["call"]) == {"id", "revision", "direction", "disposition", "external_id"}
    assert chosen["times"] == DATA["times"]


def test_standard_adds_agent_legs_transfers_and_recordings():
    minimal, standard = fields.select(DATA, "minimal"), fields.select(DATA, "standard")
    assert set(standard) - set(minimal) == {"agent", "legs", "transfers", "recordings"}
    assert standard["legs"] == DATA["legs"]


def test_a_list_of_paths_gives_exactly_these():
    assert fields.select(DATA, ["call.id", "from.number", "times.talk_s"]) == {
        "call": {"id": DATA["call"]["id"]},
        "from": {"number": "+36305550123"},
        "times": {"talk_s": 240.1},
    }


def test_a_path_goes_into_every_member_of_a_list():
    assert fields.select(DATA, ["legs.extension"]) == {"legs": [{"extension": None}, {"extension": "102"}]}


def test_a_path_to_a_whole_object_wins_over_paths_into_it():
    for paths in (["from", "from.number"], ["from.number", "from"]):
        assert fields.select(DATA, paths) == {"from": DATA["from"]}


def test_a_path_that_leads_nowhere_is_left_out():
    assert fields.select(DATA, ["call.shoe_size", "nothing", "call.id"]) == {"call": {"id": DATA["call"]["id"]}}


def test_a_path_into_what_is_unknown_gives_null():
    data = event(call=answered_call(agent=None)).data
    assert fields.select(data, ["agent.name"]) == {"agent": None}


_paths = st.lists(st.sampled_from(["call", "from", "legs", "id", "number", "x", "times", "custom"]), min_size=1).map(
    ".".join
)


@given(st.lists(_paths))
def test_whatever_is_chosen_is_a_part_of_the_whole(paths: list[str]):
    assert _is_part(fields.select(DATA, paths), DATA)


def _is_part(part: Any, whole: Any) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and _is_part(value, whole[name]) for name, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_is_part, part, whole))
    return part is None or part == whole

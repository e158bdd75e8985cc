"""Recorded journals of real calls, as other systems are told them: whole stories in words that they know."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tables import SCENARIOS, load, play
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.webhooks import envelope
from vonal.webhooks.dialects import NotTold
from vonal.webhooks.envelope import Setting

FILES = sorted(SCENARIOS.glob("*.txt"))
ROWS = [row for path in FILES for row in load(path).rows]
DIALECTS = ("sipgate", "zammad", "placetel")
EVENTS = ["call.incoming", "call.outgoing", "call.answered", "call.ended"]
SETTING = Setting(timezone="UTC", base_url="https://pbx.example")
BEGINNINGS = {"newCall", "IncomingCall", "OutgoingCall"}
ENDS = {"hangup", "HungUp"}
CAUSES = {"normalClearing", "busy", "cancel", "noAnswer", "congestion", "notFound"}  # sipgate's, less `forwarded`
TYPES = {
    "missed",
    "blocked",
    "accepted",
    "busy",
    "canceled",
    "unavailable",
    "congestion",
}  # Placetel's, less `voicemail`


def _told(dialect: str, events: list[CallEvent]) -> dict[str, list[dict[str, str]]]:
    hook = Webhook(id="x", url="https://crm.example/", events=EVENTS, dialect=dialect, encoding="form")  # type: ignore[arg-type]
    calls: dict[str, list[dict[str, str]]] = {}
    for event in events:
        try:
            request = envelope.request(event, hook, SETTING, attempt=1, timestamp=1)
        except NotTold:
            continue
        calls.setdefault(event.call_id, []).append(dict(parse_qsl(request.body.decode(), strict_parsing=True)))
    return calls


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_call_begins_and_ends_once_in_the_vendors_words(path: Path, dialect: str):
    for story in _told(dialect, play(load(path).rows)[1]).values():
        assert story[0]["event"] in BEGINNINGS
        assert story[-1]["event"] in ENDS
        assert sum(one["event"] in BEGINNINGS | ENDS for one in story) == 2
        assert len({one.get("callId") or one["call_id"] for one in story}) == 1
        assert {one["direction"] for one in story} in ({"in"}, {"out"})
        assert story[-1].get("cause", "busy") in CAUSES
        assert story[-1].get("type", "busy") in TYPES
        assert all(value and not value.startswith("+") for one in story for value in one.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ROWS), max_size=25), st.sampled_from(DIALECTS))
def test_no_story_however_mutilated_breaks_a_dialect(rows: list, dialect: str):
    _told(dialect, play(rows)[1])

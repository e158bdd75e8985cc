"""How far a click-to-call has come."""

from datetime import UTC, datetime

import pytest

from vonal.calls.control import talking_agent
from vonal.calls.progress import progress, reached
from vonal.domain.call import Agent, Call, Leg, Party

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def _leg(channel: str, *, answered: bool = False, ended: str | None = None, **more: object) -> Leg:
    return Leg(
        id="leg",
        channel=channel,
        kind="extension" if channel == "call_1" else "trunk",
        party="caller" if channel == "call_1" else "called",
        extension="101" if channel == "call_1" else None,
        started_at=NOW,
        answered_at=NOW if answered else None,
        ended_at=NOW if ended else None,
        disposition=ended,
        **more,
    )


def _call(state: str, *legs: Leg, disposition: str | None = None) -> Call:
    return Call(
        id="call_1",
        tenant_id="acme",
        linkedid="call_1",
        state=state,
        origin="click_to_call",
        direction="outbound",
        disposition=disposition,
        to=Party(number="+36301234567", raw="06301234567"),
        agent=Agent(extension="101"),
        started_at=NOW,
        legs=list(legs),
    )


AGENT, RINGING = _leg("call_1", answered=True), _leg("call_1")

STAGES = [
    # the call                                                                    status           agent        customer
    (_call("requested"), "ringing_agent", "ringing", "waiting"),
    (_call("live", RINGING), "ringing_agent", "ringing", "waiting"),
    (_call("live", AGENT), "dialling", "answered", "waiting"),
    (_call("live", AGENT, _leg("2")), "dialling", "answered", "ringing"),
    (_call("live", AGENT, _leg("2", answered=True)), "connected", "answered", "answered"),
    (_call("live", AGENT, _leg("2", ended="busy")), "dialling", "answered", "busy"),
    (_call("completed", disposition="failed"), "ended", "failed", "waiting"),
    (_call("completed", _leg("call_1", ended="no_answer"), disposition="no_answer"), "ended", "no_answer", "waiting"),
    (_call("ended", AGENT, _leg("2", ended="busy"), disposition="busy"), "ended", "answered", "busy"),
]


@pytest.mark.parametrize(("call", "status", "agent", "customer"), STAGES)
def test_the_stage_and_each_leg_are_told(call: Call, status: str, agent: str, customer: str) -> None:
    told = progress(call)
    assert (told.status, [leg.status for leg in told.legs]) == (status, [agent, customer])
    assert told.disposition == (call.disposition if status == "ended" else None)
    assert told.legs[0].extension == "101"
    assert told.legs[1].number == "+36301234567"


def test_waiting_is_over_when_the_stage_is_reached_or_can_no_longer_be() -> None:
    for call, status, _, _ in STAGES:
        assert (reached(call, "agent") is not None) == (status != "ringing_agent")
        assert (reached(call, "connected") is not None) == (status in ("connected", "ended"))


def test_only_an_agent_in_conversation_can_hand_over() -> None:
    found = [talking_agent(call) for call, status, _, _ in STAGES]
    assert [leg is not None for leg in found] == [status == "connected" for _, status, _, _ in STAGES]

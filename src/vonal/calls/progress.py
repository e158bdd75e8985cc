"""How far a click-to-call has come, as the answer to a request that waited tells it."""

from typing import Literal

from msgspec import Struct

from vonal.domain.call import Call, Disposition, Leg

Stage = Literal["agent", "connected"]
LegStatus = Literal["waiting", "ringing", "answered", "no_answer", "busy", "cancelled", "rejected", "failed"]


class LegProgress(Struct, frozen=True, kw_only=True):
    """One party. `waiting`: not dialled yet, or never. `cause` is Q.850's, once the leg is over."""

    party: Literal["agent", "customer"]
    status: LegStatus
    extension: str | None = None
    number: str | None = None
    cause: int | None = None


class Progress(Struct, frozen=True, kw_only=True):
    """The call's stage, and the outcome of each leg so far. `disposition` is set once the call is over."""

    call_id: str
    status: Literal["ringing_agent", "dialling", "connected", "ended"]
    disposition: Disposition | None
    legs: list[LegProgress]


def progress(call: Call) -> Progress:
    """Where the call stands."""
    agent, customer = _legs(call)
    over = call.state in ("ended", "completed")
    answered = call.state != "requested" if agent is None else agent.answered_at is not None
    joined = customer is not None and customer.answered_at is not None
    status: Literal["ringing_agent", "dialling", "connected", "ended"] = "ringing_agent"
    if over:
        status = "ended"
    elif answered:
        status = "connected" if joined else "dialling"
    extension = call.agent.extension if call.agent else None
    return Progress(
        call_id=call.id,
        status=status,
        disposition=call.disposition if over else None,
        legs=[
            LegProgress(party="agent", extension=extension, status=_agent_status(call, agent), cause=_cause(agent)),
            LegProgress(
                party="customer",
                number=call.to.number or call.to.raw,
                status=_status(customer) if customer else "waiting",
                cause=_cause(customer),
            ),
        ],
    )


def reached(call: Call, stage: Stage) -> Progress | None:
    """The progress, once the call has come as far as `stage` or is over; None before."""
    now = progress(call)
    enough = ("connected", "ended") if stage == "connected" else ("dialling", "connected", "ended")
    return now if now.status in enough else None


def _legs(call: Call) -> tuple[Leg | None, Leg | None]:
    """(the agent's, the customer's). The agent's channel has the call's own id; of the others the last one counts."""
    agent = next((leg for leg in call.legs if leg.channel == call.linkedid), None)
    others = [leg for leg in call.legs if leg is not agent]
    return agent, others[-1] if others else None


def _agent_status(call: Call, leg: Leg | None) -> LegStatus:
    if leg is not None:
        return _status(leg)
    if call.state in ("ended", "completed"):
        return call.disposition or "failed"
    return "ringing" if call.state == "requested" else "answered"


def _status(leg: Leg) -> LegStatus:
    if leg.answered_at is not None:
        return "answered"
    return "ringing" if leg.ended_at is None else leg.disposition or "failed"


def _cause(leg: Leg | None) -> int | None:
    return leg.cause if leg else None

"""Calls and their events, as the tracker would tell them, for tests that need some."""

from datetime import UTC, datetime, timedelta

from vonal.domain.call import Agent, Call, Leg, Party, Recording, new_id
from vonal.domain.events import CallEvent, next_event

START = datetime(2026, 11, 22, 9, 15, 47, 963_000, tzinfo=UTC)
INBOUND = ("call.incoming", "call.ringing", "call.answered", "call.ended", "call.completed")


def answered_call(tenant_id: str = "acme", *, at: datetime = START, **changes: object) -> Call:
    """An inbound call, over, that 102 answered after 12.3 s and talked 240.1 s."""
    answered, ended = at + timedelta(seconds=12.3), at + timedelta(seconds=252.4)
    call = Call(
        id=new_id("call"),
        tenant_id=tenant_id,
        linkedid=new_id("linked"),
        direction="inbound",
        disposition="answered",
        cause=16,
        ended_by="caller",
        from_=Party(number="+36305550123", raw="06305550123", name="Kiss Anna"),
        to=Party(number="+3612345678", raw="3612345678", name="Központ"),
        started_at=at,
        answered_at=answered,
        ended_at=ended,
        talk_s=240.1,
        agent=Agent(extension="102", name="Nagy Béla"),
        legs=[
            Leg(id="leg_1", channel="a", kind="trunk", party="caller", number="+36305550123", started_at=at),
            Leg(id="leg_2", channel="b", kind="extension", party="called", extension="102", started_at=at),
        ],
    )
    for name, value in changes.items():
        setattr(call, name, value)
    return call


def recording(state: str = "ready", **changes: object) -> Recording:
    """A recording of 240.1 s."""
    one = Recording(
        id=new_id("rec"),
        file="x.raw",
        customer_first=True,
        state=state,  # type: ignore[arg-type]
        format="mp3",
        channels=2,
        duration_s=240.1,
        size_bytes=1_920_044,
        sha256="9f2c",
    )
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def event(type_: str = "call.completed", call: Call | None = None, *, at: datetime | None = None) -> CallEvent:
    """The call's next event, told at `at` (default: when the call ended)."""
    call = call or answered_call()
    return next_event(call, type_, at or call.ended_at or call.started_at)


def events_of_call(
    tenant_id: str = "acme", *, at: datetime = START, types: tuple[str, ...] = INBOUND
) -> list[CallEvent]:
    """All events of one call, told at one time."""
    call = answered_call(tenant_id, at=at)
    return [next_event(call, type_, at) for type_ in types]

"""A call that never was, for previews and tests of webhooks that have had none yet. Pure."""

from datetime import datetime, timedelta

from vonal.domain import numbers
from vonal.domain.call import Agent, Call, Leg, Party, Recording, new_id
from vonal.domain.directory import Extension, Tenant, Webhook
from vonal.domain.events import CallEvent, next_event

RINGING = timedelta(seconds=6.4)
TALKING = timedelta(seconds=184.2)
CUSTOMER = "+36301234567"
COMPANY = "+3612345678"
_NOT_ANSWERED = ("call.incoming", "call.outgoing", "call.ringing", "call.missed", "click_to_call.failed")
_UNDER_WAY = ("call.incoming", "call.outgoing", "call.ringing", "call.answered", "call.transferred")
_OUTBOUND = ("call.outgoing", "click_to_call.failed")


def event(tenant: Tenant, webhook: Webhook, type_: str, now: datetime) -> CallEvent:
    """An event of this type as the tenant could have it now: its own extension and number, and a customer's."""
    call = _call(tenant, webhook, type_, now)
    return next_event(call, "call.completed" if type_ == "call.missed" else type_, now)


def _call(tenant: Tenant, webhook: Webhook, type_: str, now: datetime) -> Call:
    outbound = type_ in _OUTBOUND or webhook.scope.directions == ["outbound"]
    answered, over = type_ not in _NOT_ANSWERED, type_ not in _UNDER_WAY
    started = now - RINGING - (TALKING if over and answered else timedelta())
    answered_at = started + RINGING if answered else None
    customer = Party(number=CUSTOMER, raw="06301234567", name="Kiss Anna")
    company = _company(tenant, webhook)
    agent = _agent(tenant, webhook)
    call = Call(
        id=new_id("call"),
        tenant_id=tenant.id,
        linkedid=new_id("linked"),
        state="completed" if over else "live",
        direction="outbound" if outbound else "inbound",
        origin="click_to_call" if type_ == "click_to_call.failed" else "phone",
        from_=company if outbound else customer,
        to=customer if outbound else company,
        started_at=started,
        answered_at=answered_at,
        agent=agent,
    )
    if answered:
        call.disposition = "answered"
    if over:
        _end(call, now)
        if answered and type_ != "recording.failed":
            call.recordings = [_recording(tenant)]
    call.legs = _legs(call, outbound=outbound)
    return call


def _end(call: Call, now: datetime) -> None:
    call.ended_at = now
    call.cause, call.ended_by = (16, "caller") if call.answered_at else (19, "system")
    call.disposition = call.disposition or "no_answer"
    call.talk_s = (now - call.answered_at).total_seconds() if call.answered_at else 0.0


def _legs(call: Call, *, outbound: bool) -> list[Leg]:
    agent = call.agent.extension if call.agent else None
    ours = Leg(id="", channel="sample/1", kind="extension", party="called", extension=agent, started_at=call.started_at)
    theirs = Leg(id="", channel="sample/2", kind="trunk", party="called", number=CUSTOMER, started_at=call.started_at)
    legs = [ours, theirs] if outbound else [theirs, ours]
    legs[0].party = "caller"
    for index, leg in enumerate(legs, 1):
        leg.id, leg.disposition = f"leg_{index}", call.disposition
        leg.answered_at, leg.ended_at = call.answered_at, call.ended_at
    return legs


def _recording(tenant: Tenant) -> Recording:
    return Recording(
        id=new_id("rec"),
        file="",
        customer_first=True,
        state="ready",
        format=tenant.recording.format,
        channels=2,
        duration_s=TALKING.total_seconds(),
        size_bytes=1_474_560,
        sha256="0" * 64,
    )


def _company(tenant: Tenant, webhook: Webhook) -> Party:
    own = {one.number: one for one in tenant.numbers}
    number = next(iter([*webhook.scope.numbers, *own]), COMPANY)
    e164 = numbers.read(number, tenant.country) or number
    return Party(number=e164, raw=e164.removeprefix("+"), name=(own[e164].name if e164 in own else "") or None)


def _agent(tenant: Tenant, webhook: Webhook) -> Agent:
    own = {one.number: one for one in tenant.extensions}
    number = next(iter([*webhook.scope.extensions, *own]), "101")
    known = own.get(number, Extension(number=number, name="Kovács Anna"))
    return Agent(extension=number, name=known.name or None, email=known.email)

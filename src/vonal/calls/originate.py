"""Click-to-call: the extension rings, and when it is answered, the number is dialled.

The call is stored before the phone system hears of it, so whatever dies in between, the click is accounted for.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Struct, field
from sqlalchemy import Connection

from vonal.calls.destination import Destination, caller_id_of, destination_of, extension_of
from vonal.calls.limits import Limiter
from vonal.domain.call import Agent, Call, Party, new_id
from vonal.domain.directory import Extension, Tenant
from vonal.domain.errors import (
    AgentBusy,
    AgentOffline,
    IdempotencyConflict,
    InvalidNumber,
    OriginateFailed,
    TelephonyUnavailable,
)
from vonal.domain.telephony import Ring, Telephony
from vonal.store import calls, idempotency
from vonal.store.database import Database
from vonal.store.idempotency import Claim

log = structlog.get_logger(__name__)

STARTS_PER_EXTENSION = 10  # a minute
REQUESTS_PER_CREDENTIAL = 60  # a minute
Abandon = Callable[[str, str, str], Awaitable[None]]


class Click(Struct, frozen=True, kw_only=True):
    """What the CRM asks for. `ring_timeout` in seconds; `record` None leaves it to the tenant's policy."""

    extension: str
    number: str
    caller_id: str | None = None
    ring_timeout: int = 30
    auto_answer: bool = False
    record: bool | None = None
    external_id: str | None = None
    custom: dict[str, Any] = field(default_factory=dict)


class Plan(Struct, frozen=True, kw_only=True):
    """A click that the tenant's rules allow."""

    tenant: Tenant
    click: Click
    extension: Extension
    destination: Destination
    caller_id: str | None


class Started(Struct, frozen=True, kw_only=True):
    """The call that a click stands for; `replayed` when an earlier request with the same key had started it."""

    call_id: str
    plan: Plan
    replayed: bool = False


class Originator:
    """Starts calls. `tenant` finds a tenant in the directory as it is now.

    `abandon(tenant id, call id, reason)` closes a stored call that did not come to be.
    """

    def __init__(  # noqa: PLR0913 - it is given all that it meets
        self,
        db: Database,
        telephony: Telephony,
        *,
        tenant: Callable[[str], Tenant | None],
        abandon: Abandon,
        starts_per_extension: int = STARTS_PER_EXTENSION,
        requests_per_credential: int = REQUESTS_PER_CREDENTIAL,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._telephony = telephony
        self._tenant = tenant
        self._abandon = abandon
        self._starts = Limiter(starts_per_extension, seconds=60, what="Calls started on this extension")
        self._requests = Limiter(requests_per_credential, seconds=60, what="Click-to-call requests")
        self._now = now
        self._steady = steady
        # One click at a time for each phone: the second of a double click sees what the first one did.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def start(self, tenant_id: str, click: Click, *, credential: str, key: str | None = None) -> Started:
        """Makes the phone ring. `credential` names whose limit counts; `key` is the idempotency key.

        Raises the errors of click-to-call (contract, section 3).
        """
        plan = plan_click(self._known(tenant_id), click)
        turn = self._turns.setdefault(f"{tenant_id}/{plan.extension.number}", asyncio.Lock())
        async with turn:
            if key is not None and (call_id := await self._earlier(plan, key)) is not None:
                return Started(call_id=call_id, plan=plan, replayed=True)
            self._requests.take(f"{tenant_id}/{credential}", now=self._steady())
            await self._require_free(plan)
            self._starts.take(f"{tenant_id}/{plan.extension.number}", now=self._steady())
            return await self._start(plan, key)

    def _known(self, tenant_id: str) -> Tenant:
        if (tenant := self._tenant(tenant_id)) is None:
            raise TelephonyUnavailable("The tenant is not in effect yet. Try again in a second.", retry_after=1)
        return tenant

    async def _earlier(self, plan: Plan, key: str) -> str | None:
        claim = await self._db.read(lambda tx: idempotency.find(plan.tenant.id, tx, key, now=self._now()))
        return None if claim is None else _same(claim, plan)

    async def _require_free(self, plan: Plan) -> None:
        number = plan.extension.number
        phone = await self._telephony.phone(plan.tenant.id, number)
        if phone is None or not phone.registered:
            raise AgentOffline(f"The phone of extension {number} is not registered.", param="extension")
        if phone.channels:
            raise AgentBusy(f"Extension {number} is ringing or in a call.", param="extension")

    async def _start(self, plan: Plan, key: str | None) -> Started:
        call = requested_call(plan, self._now())
        owner = await self._db.write(lambda tx: _store(plan, call, key, tx))
        if owner != call.id:  # another process was quicker with the same key
            return Started(call_id=owner, plan=plan, replayed=True)
        try:
            await self._telephony.ring(_ring(plan, call.id))
        except (OriginateFailed, TelephonyUnavailable) as failure:
            await self._give_up(call, failure)
            raise
        log.info("click-to-call", call=call.id, tenant=call.tenant_id, extension=plan.extension.number)
        return Started(call_id=call.id, plan=plan)

    async def _give_up(self, call: Call, failure: OriginateFailed | TelephonyUnavailable) -> None:
        log.warning("click-to-call failed", call=call.id, tenant=call.tenant_id, reason=failure.detail)
        # Freed, so that the CRM may try again with the same key: nothing rang.
        await self._db.write(lambda tx: idempotency.forget(call.tenant_id, tx, call.id))
        await self._abandon(call.tenant_id, call.id, failure.code)


def plan_click(tenant: Tenant, click: Click) -> Plan:
    """What the click amounts to. Raises what the tenant's rules have against it."""
    extension = extension_of(tenant, click.extension)
    destination = destination_of(tenant, click.number)
    if destination.dial == extension.number:
        raise InvalidNumber("An extension cannot call itself.", param="number")
    caller_id = caller_id_of(tenant, click.caller_id)
    return Plan(
        tenant=tenant,
        click=click,
        extension=extension,
        destination=destination,
        caller_id=None if destination.internal else caller_id,
    )


def requested_call(plan: Plan, now: datetime) -> Call:
    """The call as it is stored before anything rings; its id becomes Asterisk's linkedid."""
    call_id = new_id("call")
    extension, target = plan.extension, plan.destination
    return Call(
        id=call_id,
        tenant_id=plan.tenant.id,
        linkedid=call_id,
        state="requested",
        direction="internal" if target.internal else "outbound",
        origin="click_to_call",
        external_id=plan.click.external_id,
        custom=plan.click.custom,
        from_=Party(number=plan.caller_id, raw=extension.number, name=extension.name or None),
        to=Party(number=target.number, raw=plan.click.number.strip(), name=_name(plan)),
        agent=Agent(extension=extension.number, name=extension.name or None, email=extension.email),
        started_at=now,
    )


def fingerprint(click: Click) -> str:
    """A digest of everything that makes two requests the same."""
    return hashlib.sha256(msgspec.json.encode(click, order="sorted")).hexdigest()


def _name(plan: Plan) -> str | None:
    if not plan.destination.internal:
        return None
    return extension_of(plan.tenant, plan.destination.dial).name or None


def _store(plan: Plan, call: Call, key: str | None, tx: Connection) -> str:
    if key is not None:
        mine = Claim(fingerprint(plan.click), call.id)
        owner = _same(idempotency.claim(plan.tenant.id, tx, key, mine, now=call.started_at), plan)
        if owner != call.id:
            return owner
    calls.save(plan.tenant.id, tx, call)
    return call.id


def _same(claim: Claim, plan: Plan) -> str:
    if claim.fingerprint != fingerprint(plan.click):
        raise IdempotencyConflict("The idempotency key was used for another call.", param="idempotency_key")
    return claim.call_id


def _ring(plan: Plan, call_id: str) -> Ring:
    return Ring(
        call_id=call_id,
        tenant_id=plan.tenant.id,
        extension=plan.extension.number,
        number=plan.destination.dial,
        caller_id=plan.caller_id,
        timeout=plan.click.ring_timeout,
        auto_answer=plan.click.auto_answer,
        record=plan.click.record,
    )

"""Trying a webhook out: the exact request that a call would give, without sending it, and one test that is sent."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct, structs
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain.audit import COMMAND, Actor, Entry
from vonal.domain.call import new_id
from vonal.domain.delivery import Outcome, Owed, Request
from vonal.domain.directory import Tenant, Webhook
from vonal.domain.errors import CallNotFound, Fault, InvalidRequest, WebhookNotFound
from vonal.domain.events import MISSED, SUBSCRIBABLE, TEST, CallEvent
from vonal.domain.secrets import secrets_of
from vonal.store import audit, directory, events, trials
from vonal.store.database import Database
from vonal.store.sql import to_ms
from vonal.webhooks import disguise, sample
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer

LOOKED_THROUGH, MOST_TRIED = 2000, 200  # the tenant's newest events, and those of them of the wanted types


class Preview(disguise.Shown, frozen=True, kw_only=True):
    """A request that is not sent. `sample`: the call is made up."""

    event: str
    call_id: str
    sample: bool


class Trial(Struct, frozen=True, kw_only=True):
    """A test that was sent. `error` and `fault` are set when it failed; `answer` is the beginning of the answer."""

    delivered: bool
    status: int | None
    error: str | None
    fault: Fault | None
    took_ms: int
    answer: str
    request: Preview
    delivery_id: str


class Trials:
    """`send` tries a request once."""

    def __init__(self, db: Database, preparer: Preparer, send: Callable[[Request], Awaitable[Outcome]]) -> None:
        self._db, self._preparer, self._send = db, preparer, send

    async def preview(
        self,
        tenant_id: str,
        webhook: Webhook,
        *,
        call: str | None = None,
        event: str | None = None,
        signed: bool = True,
    ) -> Preview:
        """What the webhook would get of this call and event; by default of the latest call that it gets something of.

        Without `signed` the signature is hidden: whoever has the whole request could send it in our name.
        Raises CallNotFound, InvalidRequest, RequestNotMade.
        """
        if event is not None and event not in SUBSCRIBABLE:
            raise InvalidRequest(f"There are the events {', '.join(SUBSCRIBABLE)}.", param="event")
        told = await self._told(tenant_id, webhook, call, event)
        shown = told or sample.event(await self._tenant(tenant_id), webhook, _typical(webhook, event), _now())
        owed = Owed(id=new_id("dlv"), webhook_id=webhook.id, event=shown, due_at=0)
        request = await self._preparer.preview(owed, webhook)
        preview = _shown(request, webhook, shown, made_up=told is None)
        return preview if signed else disguise.unsigned(preview)

    async def again(
        self, tenant_id: str, webhook: Webhook, event_id: str, *, attempts: int = 0, signed: bool = True
    ) -> Preview | None:
        """What would be sent now of an event of which so many attempts were made; None when it is not kept any more.

        Raises RequestNotMade.
        """
        found = await self._db.read(partial(events.find, tenant_id, event_ids=[event_id]))
        if not found:
            return None
        owed = Owed(
            id=new_id("dlv"), webhook_id=webhook.id, event=(event := found[event_id]), due_at=0, attempts=attempts
        )
        request = await self._preparer.preview(owed, webhook)
        preview = _shown(request, webhook, event, made_up=event.type == TEST)
        return preview if signed else disguise.unsigned(preview)

    async def test(self, tenant_id: str, webhook: Webhook, *, by: Actor = COMMAND) -> Trial:
        """Sends one `webhook.test` now, whatever the webhook is subscribed to, and logs it, and who did it.

        Raises RequestNotMade.
        """
        now = _now()
        event = sample.event(await self._tenant(tenant_id), webhook, TEST, now)
        owed = Owed(id=new_id("dlv"), webhook_id=webhook.id, event=event, due_at=to_ms(now))
        request = await self._preparer.preview(owed, webhook)
        outcome = await self._send(request)
        await self._db.write(partial(_keep, tenant_id, owed=owed, outcome=outcome, by=by))
        return Trial(
            delivered=outcome.fault is None,
            status=outcome.status,
            error=outcome.error,
            fault=outcome.fault,
            took_ms=outcome.took_ms,
            answer=outcome.answer,
            request=_shown(request, webhook, event, made_up=True),
            delivery_id=owed.id,
        )

    async def _told(self, tenant_id: str, webhook: Webhook, call: str | None, type_: str | None) -> CallEvent | None:
        """The newest event that fits; None when there is none, and no call was asked for."""
        wanted = replace(webhook, enabled=True, events=webhook.events if type_ is None else [type_])
        if call is None:
            types = {"call.completed" if one == MISSED else one for one in wanted.events} - {TEST}
            look = partial(events.newest, tenant_id, types=sorted(types), among=LOOKED_THROUGH, limit=MOST_TRIED)
            return next((one for one in await self._db.read(look) if matches(wanted, one)), None)
        of_call = (await self._db.read(partial(events.of_call, tenant_id, call_id=call)))[::-1]
        if not of_call:
            raise CallNotFound("There is no call of this id whose events are kept.", param="call")
        if found := next((one for one in of_call if matches(wanted, one)), None):
            return found
        asked = "call.completed" if type_ == MISSED else type_
        if found := next((one for one in of_call if asked in (None, one.type)), None):
            return found
        raise InvalidRequest(f"This call had no event {type_}.", param="event")

    async def _tenant(self, tenant_id: str) -> Tenant:
        tenant = await self._db.read(partial(directory.load, tenant_id))
        if tenant is None:
            raise WebhookNotFound("The tenant was removed.")
        return tenant


def _keep(tenant_id: str, tx: Connection, *, owed: Owed, outcome: Outcome, by: Actor) -> None:
    at = to_ms(_now())
    trials.save(tenant_id, tx, owed=owed, outcome=outcome, done_at=at)
    came_of_it = {"delivery": owed.id, "status": outcome.status, "error": outcome.error}
    entry = Entry(
        tenant_id=tenant_id, at=at, actor=by, action="test", kind="webhook", name=owed.webhook_id, after=came_of_it
    )
    audit.add(tenant_id, tx, entry)


def _shown(request: Request, webhook: Webhook, event: CallEvent, *, made_up: bool) -> Preview:
    shown = disguise.shown(request, secrets_of(webhook.security))
    return Preview(**structs.asdict(shown), event=event.type, call_id=event.call_id, sample=made_up)


def _typical(webhook: Webhook, event: str | None) -> str:
    return event or next((one for one in webhook.events if one in SUBSCRIBABLE), TEST)


def _now() -> datetime:
    return datetime.now(UTC)

"""A store, a tenant with webhooks, a clock that stands still, and a delivery worker whose sending is a script."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from sample_calls import START
from vonal.delivery.clock import Clock
from vonal.delivery.worker import Worker
from vonal.domain.delivery import Outcome, Owed, Request, Unsendable
from vonal.domain.directory import Directory, Tenant, Webhook
from vonal.domain.events import CallEvent
from vonal.store import deliveries, directory, events
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.store.sql import from_ms, to_ms
from vonal.webhooks.match import matches

EVERYTHING = ["call.incoming", "call.ringing", "call.answered", "call.ended", "call.completed", "recording.ready"]
DELIVERED = Outcome(status=200)
DOWN = Outcome(error="not_connected", fault="theirs")
Script = Callable[[str, CallEvent], Outcome]


def status(code: int, **members: Any) -> Outcome:
    """The receiver answered with this status."""
    return Outcome(status=code, fault=None if code < 300 else "theirs", **members)


def webhook(id_: str = "log", **members: Any) -> Webhook:
    """A webhook that wants everything."""
    return Webhook(**{"id": id_, "url": "https://crm.example/hook", "events": EVERYTHING, **members})


class Sent(Struct, frozen=True):
    """A request that was sent: when (ms), to which webhook, which event, the attempt's number."""

    at: int
    webhook: str
    event: CallEvent
    attempt: int


@dataclass
class _Clock(Clock):
    house: "House"

    def now(self) -> int:
        return self.house.now

    def steady(self) -> int:
        return self.house.now + self.house.set_back_by


@dataclass
class House:
    """`script(webhook, event)` says how each request ends, after `ticks()` turns of the loop; `sent` has them all."""

    db: Database
    webhooks: dict[str, Webhook] = field(default_factory=dict)
    script: Script = lambda _webhook, _event: DELIVERED
    ticks: Callable[[], int] = lambda: 0
    now: int = to_ms(START)
    set_back_by: int = 0
    sent: list[Sent] = field(default_factory=list)
    worker: Worker = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        """As after a restart."""
        return Worker(self.db, self._prepare, self._send, clock=_Clock(self), chance=lambda: 0.0)

    async def restart(self) -> None:
        """The process dies without a word, and another one starts."""
        self.worker = self.new_worker()
        await self.worker.refresh()
        await self.settle()

    async def save(self, *hooks: Webhook) -> None:
        """Makes these the tenant's webhooks."""
        self.webhooks = {one.id: one for one in hooks}
        tenant = Tenant(id="acme", country="HU", webhooks=list(hooks))
        parts = directory.parts_of(Directory(tenants=[tenant]))

        def replace(tx: Any) -> None:
            stored = directory.any_tenant_parts(tx)
            directory.any_tenant_remove(tx, [part for part in stored if part not in parts])
            directory.any_tenant_save(tx, parts)

        await self.db.write(replace)

    async def tell(self, told: Sequence[CallEvent], *, push: bool = True) -> list[Owed]:
        """The events happen: stored with what they owe in one transaction, then pushed."""
        at = from_ms(self.now)
        owed = await self.db.write(partial(self._store, told=list(told), at=at))
        if push:
            self.worker.push(owed)
        return owed

    def _store(self, tx: Any, *, told: list[CallEvent], at: datetime) -> list[Owed]:
        events.any_tenant_add(tx, told)
        hooks = list(self.webhooks.values())
        return deliveries.enqueue("acme", tx, events=told, webhooks=hooks, matches=matches, now=at)

    async def settle(self) -> None:
        """What is due now is sent, and everything is written."""
        await self.worker.sweep()
        await self.worker.idle()

    async def advance(self, seconds: float) -> None:
        """Time passes, in one step."""
        self.now += round(seconds * 1000)
        await self.settle()

    def set_clock_back(self, seconds: float) -> None:
        """The machine's clock is corrected; no time passes."""
        self.now -= round(seconds * 1000)
        self.set_back_by += round(seconds * 1000)

    async def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Time passes, as the sweep sees it."""
        for _ in range(round(seconds / step)):
            await self.advance(step)

    async def log(self, **wanted: Any) -> list[Delivery]:
        """The deliveries, oldest first."""
        look = partial(deliveries.listing, "acme", wanted=DeliveryFilter(**wanted), limit=1000)
        items, _ = await self.db.read(look)
        return items[::-1]

    async def states(self) -> list[str]:
        """The deliveries' states, oldest first."""
        return [one.state for one in await self.log()]

    def sent_to(self, webhook_id: str) -> list[str]:
        """The types of the events that were sent to the webhook."""
        return [one.event.type for one in self.sent if one.webhook == webhook_id]

    @asynccontextmanager
    async def _prepare(self, owed: Owed) -> AsyncIterator[Request | Unsendable]:
        hook = self.webhooks.get(owed.webhook_id)
        if hook is None:
            yield Unsendable(reason="gone")
        elif not hook.enabled:
            yield Unsendable(reason="paused")
        else:
            self.sent.append(Sent(self.now, owed.webhook_id, owed.event, owed.attempts + 1))
            yield Request(method="POST", url=hook.url, headers={"at": str(len(self.sent) - 1)})

    async def _send(self, request: Request) -> Outcome:
        for _ in range(self.ticks()):
            await asyncio.sleep(0)
        one = self.sent[int(request.headers["at"])]
        return self.script(one.webhook, one.event)

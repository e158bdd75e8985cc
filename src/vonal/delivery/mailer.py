"""Mails tenants about their webhooks, beside the deliveries and never in their way.

Of several processes one mails at a time: it holds a lease, in the database, that runs out by itself should it die. A
notice is marked after its mail was taken by the server, so none is lost; a process that is killed just between the two
sends that mail again, under the same Message-ID.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from vonal.delivery import letters, news
from vonal.delivery.news import News
from vonal.delivery.post import NotAccepted, Post, said
from vonal.domain.directory import Tenant
from vonal.store import notices, settings
from vonal.store.database import Database
from vonal.store.notices import Notice

log = structlog.get_logger(__name__)
LOOK_S = 5.0
PAUSES_S = (30, 60, 300, 900, 3600)  # after so many failures in a row
LEASE = "mailer"
LEASE_MS = 300_000  # longer than one mail may take
MOST = 10_000  # notices at a time


class Mailer:
    """`run()` it as a task. `tenant` finds a tenant as it is now; `where` is the service's own address."""

    def __init__(
        self,
        db: Database,
        post: Post,
        *,
        tenant: Callable[[str], Tenant | None],
        where: str,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._db, self._post, self._tenant, self._where, self._clock = db, post, tenant, where, clock
        self._name = uuid4().hex
        self._taken: set[int] = set()  # mailed, but not yet marked
        self._pauses: dict[str, tuple[int, int]] = {}  # tenant, or "" for all: (failures in a row, until)

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            try:
                await self.look()
            except Exception as fault:  # noqa: BLE001 - the database; what is owed stays owed
                log.error("mail.not_looked", error=repr(fault))  # noqa: TRY400
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Mails what is due now."""
        await self._mark(self._taken)
        if self._paused("") or not self._owed(await self._read()) or not await self._hold():
            return
        found = await self._read()  # what another process mailed meanwhile is marked now
        await self._mark(found.silent)
        for tenant_id, some in found.tell.items():
            if self._paused(tenant_id):
                continue
            if not await self._hold() or not await self._mail(tenant_id, some):
                return

    def _owed(self, found: News) -> bool:
        return bool(found.silent) or any(not self._paused(tenant_id) for tenant_id in found.tell)

    async def _read(self) -> News:
        now = self._clock()
        found = await self._db.read(partial(notices.any_tenant_unmailed, before=now, limit=MOST))
        return news.due(found, now=now)

    async def _hold(self) -> bool:
        now = self._clock()
        hold = partial(settings.any_tenant_hold, name=LEASE, owner=self._name, now=now, until=now + LEASE_MS)
        return await self._db.write(hold)

    async def _mark(self, positions: list[int] | set[int]) -> None:
        if positions:
            marked = set(positions)
            await self._db.write(partial(notices.any_tenant_mark_mailed, positions=marked, at=self._clock()))
            self._taken -= marked

    async def _mail(self, tenant_id: str, some: list[Notice]) -> bool:
        """Whether the server can be used for others."""
        tenant = self._tenant(tenant_id)
        positions = {one.position for one in some}
        if tenant is None or not tenant.notify:
            await self._mark(positions)
            return True
        waiting = await self._db.read(partial(_waiting, tenant_id, some=some))
        subject, text = letters.letter(tenant, some, waiting=waiting, where=self._where)
        number = f"vonal.{tenant_id}.{min(positions)}.{max(positions)}"
        try:
            message = self._post.message(tenant.notify, subject, text, number=number)
            refused = await _in_thread(partial(self._post.send, message))
        except (NotAccepted, ValueError) as fault:  # ValueError: an address that no mail can bear
            self._pause(tenant_id, str(fault))
            return True
        except OSError as fault:
            self._pause("", said(fault))
            return False
        self._pauses.pop(tenant_id, None)
        self._pauses.pop("", None)
        self._taken |= positions
        log.info("mail.sent", tenant=tenant_id, notices=len(some), refused=sorted(set(refused.values())) or None)
        await self._mark(positions)
        return True

    def _paused(self, whom: str) -> bool:
        return self._pauses.get(whom, (0, 0))[1] > self._clock()

    def _pause(self, whom: str, why: str) -> None:
        failures = self._pauses.get(whom, (0, 0))[0] + 1
        seconds = PAUSES_S[min(failures, len(PAUSES_S)) - 1]
        self._pauses[whom] = failures, self._clock() + seconds * 1000
        log.warning("mail.not_sent", tenant=whom or None, reason=why, again_in_s=seconds)


def _waiting(tenant_id: str, tx: Connection, some: list[Notice]) -> dict[str, int]:
    hooks = {one.webhook_id for one in some if one.webhook_id and one.type != "webhook.disabled"}
    count = partial(notices.records_waiting, tenant_id, tx, most=letters.MOST_COUNTED)
    return {hook: count(webhook_id=hook) for hook in hooks}


async def _in_thread(work: Callable[[], dict[str, int]]) -> dict[str, int]:
    """As asyncio.to_thread, but a mail server that hangs does not hold up the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, int]] = loop.create_future()

    def settle(result: dict[str, int] | None, fault: Exception | None) -> None:
        if done.cancelled():
            return
        if fault is not None:
            done.set_exception(fault)
        else:
            done.set_result(result or {})

    def run() -> None:
        try:
            outcome: tuple[dict[str, int] | None, Exception | None] = work(), None
        except Exception as fault:  # noqa: BLE001 - handed to the one who waits
            outcome = None, fault
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=run, name="mail", daemon=True).start()
    return await done

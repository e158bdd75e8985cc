"""The service of one process: put together, run until it is told to stop, and stopped without cutting a call."""

import asyncio
import signal
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal, Self

import structlog

from vonal.api.app import create_app
from vonal.api.metrics import Metrics
from vonal.api.server import Server
from vonal.api.services import Services
from vonal.app.facts import Facts
from vonal.app.portal import open_portal
from vonal.app.sending import Sending
from vonal.calls.broadcast import Broadcast
from vonal.calls.control import Control
from vonal.calls.folders import Folders
from vonal.calls.forgetting import Forgetting
from vonal.calls.ingest import Ingest, Taken
from vonal.calls.originate import Originator
from vonal.calls.people import People
from vonal.calls.playback import Playback
from vonal.calls.recordings import Recorder
from vonal.calls.reference import Keys, mint
from vonal.calls.retention import Retention
from vonal.calls.signing import Signer
from vonal.calls.waiting import Waiters
from vonal.config import Settings
from vonal.directory import effect
from vonal.directory.credentials import Authenticator
from vonal.directory.webhooks import Webhooks
from vonal.domain.directory import Directory, Tenant
from vonal.domain.errors import TelephonyUnavailable, VonalError
from vonal.portal.app import routes
from vonal.portal.faults import for_people
from vonal.store import directory as directories
from vonal.store import idempotency, notices
from vonal.store import settings as notes
from vonal.store.opening import open_database
from vonal.store.secret import load_secrets
from vonal.store.sql import to_ms
from vonal.telephony.ari import Event
from vonal.telephony.pbx import Pbx
from vonal.users import forgetting as people_forgetting
from vonal.webhooks import check as webhook_check
from vonal.webhooks.guard import fault_of_url
from vonal.webhooks.match import matches
from vonal.webhooks.trial import Trials

log = structlog.get_logger(__name__)

Role = Literal["all", "telephony", "delivery"]
NODE = "vonal"
DIRECTORY_LOOK_SECONDS = 0.25
HOUSEKEEPING_SECONDS = 5.0
RECONCILE_EVERY = 12  # times housekeeping
NOTICES_KEPT = timedelta(days=90)
DRAIN_CALLS_SECONDS = 20.0
DRAIN_DELIVERIES_SECONDS = 10.0


class Service:
    """Everything of one process. `role`: "telephony" does all but delivery, "delivery" only that, beside one database.

    Use as an async context manager; when it is left, Asterisk stays as it is, unless `drain` has stopped it.
    """

    def __init__(self, settings: Settings, *, role: Role = "all") -> None:
        self.settings = settings
        self.role = role
        self.draining = False
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup
        self._version = -1
        self._reconciling = asyncio.Lock()
        self._unsure = True  # which of the calls that we know Asterisk still has

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    # --- putting it together -----------------------------------------------------------------------------------------

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        delivers = self.role != "telephony"
        seat = stack.enter_context(effect.only_service(settings, role=self.role))
        self.db = await asyncio.to_thread(partial(open_database, settings, owner=True))
        stack.callback(self.db.close)
        secrets = load_secrets(settings)
        keys = Keys.of(secrets)
        self._version, self.directory = await self.db.read(_directory)
        self._mint = partial(mint, keys)
        folders = Folders.of(settings.data_dir)
        self.playback = Playback(self.db, folders, keys, timezone=self._timezone)
        stack.push_async_callback(self.playback.close)
        self.metrics = Metrics()
        self.sending = Sending(
            self.db,
            settings,
            seat=seat,
            delivers=delivers,
            secrets=secrets,
            load_recording=self.playback.load_bytes,
            told=self.metrics.delivery_tried,
        )
        stack.push_async_callback(self.sending.close)
        if self.role != "delivery":
            await self._open_telephony(stack, folders)

    async def _open_telephony(self, stack: AsyncExitStack, folders: Folders) -> None:
        self.pbx = Pbx(self.settings)
        self.waiters = Waiters()
        self.broadcast = Broadcast()
        self.ingest = Ingest(self.db, self._people(), matches=matches, told=self._told)
        self.facts = Facts(self.pbx.journal, self.ingest)
        self.recorder = Recorder(self.db, folders, settle=self.ingest.settle, asterisk_pid=lambda: self.pbx.engine.pid)
        self.retention = Retention(self.db, folders, settle=self.ingest.settle)
        self.forgetting = Forgetting(self.db, days=self.settings.event_days)
        ari = await stack.enter_async_context(self.pbx.ari)
        self.authenticator = Authenticator(self.db)
        stack.callback(self.authenticator.close)
        self.services = Services(
            db=self.db,
            authenticator=self.authenticator,
            originator=Originator(self.db, ari, tenant=self.tenant, abandon=self.ingest.abandon),
            control=Control(self.db, ari, tenant=self.tenant),
            waiters=self.waiters,
            broadcast=self.broadcast,
            signer=Signer(load_secrets(self.settings)),
            tenant=self.tenant,
            phones=ari.phones,
            open_recording=self.playback.open,
            probes={"database": self._probe_database, "asterisk": self._probe_asterisk, "journal": self._probe_journal},
            draining=lambda: self.draining,
            facts_until=self.facts.known_until,
            base_url=self.settings.base_url,
            webhooks=self._webhooks(),
            trials=Trials(self.db, self.sending.preparer, self.sending.sender.send),
            metrics=self.metrics,
        )
        self.metrics.gauges(
            {
                "journal_backlog_bytes": ("Journal not yet read", lambda: self.facts.backlog),
                "deliveries_in_flight": ("Webhook requests under way", lambda: self.sending.worker.in_flight),
            }
        )
        portal = await open_portal(self.services, self.settings, stack, directory=lambda: self.directory)
        self.api = create_app(self.services, others=routes(portal), for_people=for_people)

    def _webhooks(self) -> Webhooks:
        return Webhooks(
            self.db,
            checks=[webhook_check.faults],
            url_fault=partial(fault_of_url, allow=self.settings.webhook_allow),
            taken_in=partial(effect.taken_in, self.db),
        )

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant as the directory in effect has it."""
        return self._tenants.get(tenant_id)

    def _timezone(self, tenant_id: str) -> str:
        tenant = self.tenant(tenant_id)
        return tenant.timezone if tenant else "UTC"

    def _people(self) -> People:
        return People(node=NODE, tenants=self._tenants, mint=self._mint)

    @property
    def directory(self) -> Directory:
        """The directory in effect."""
        return self._directory

    @directory.setter
    def directory(self, directory: Directory) -> None:
        self._directory = directory
        self._tenants = {one.id: one for one in directory.tenants}

    # --- running it --------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set. Asterisk and all workers are started; the API answers when this says "ready"."""
        server = Server(self.api, self.settings) if self.role != "delivery" else None
        if server:
            await self.pbx.start(self.directory)
            await self.db.write(lambda tx: notes.any_tenant_mark_applied(tx, self._version))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in self._jobs()]
            serving: asyncio.Task[None] | None = None
            if server:
                serving = group.create_task(server.serve())
                await server.until_started()
            log.info("ready", url=self.settings.base_url if server else None, role=self.role)
            await stop.wait()
            await self.drain()
            if serving and server:
                server.should_exit = True
                await serving
            for task in tasks:
                task.cancel()

    def _jobs(self) -> list[Coroutine[Any, Any, None]]:
        jobs = [self._follow_directory(), self._keep_house(), *self.sending.jobs(self.tenant)]
        if self.role != "delivery":
            jobs += [self.facts.take(), self.pbx.keep_running(self._restarted), self.recorder.run()]
            jobs += [self.retention.run(), self.forgetting.run(), self._listen()]
        return jobs

    def _told(self, taken: Taken) -> None:
        self.sending.push(taken.owed)
        self.broadcast.ring({call.tenant_id for call in taken.calls.values()})
        for call in taken.calls.values():
            self.waiters.notify(call)
            if call.state == "completed" and call.revision == 1:
                self.metrics.call_completed(call)
        if taken.recorded:
            self.recorder.wake()

    async def _listen(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def heard(event: Event) -> None:
            if event["type"] in ("ChannelHold", "ChannelUnhold"):
                held = event["type"] == "ChannelHold"
                task = asyncio.create_task(self._note_hold(event["channel"]["id"], held=held))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        await self.pbx.ari.listen(heard, types=["ChannelHold", "ChannelUnhold"])

    async def _note_hold(self, channel: str, *, held: bool) -> None:
        now = datetime.now(UTC)
        await self.facts.up_to_now()  # the facts that were written before it come first
        await self.ingest.hold(channel, now, held=held)

    async def _follow_directory(self) -> None:
        while True:
            await asyncio.sleep(DIRECTORY_LOOK_SECONDS)
            try:
                if await self.db.read(notes.any_tenant_directory_version) != self._version:
                    await self._take_directory()
            except Exception:
                log.exception("directory_not_followed")
                await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def _take_directory(self) -> None:
        version, self.directory = await self.db.read(_directory)
        fault = ""
        if self.role != "delivery":
            self.ingest.people = self._people()
            try:
                await self.pbx.follow(self.directory)
            except VonalError as failure:
                fault = failure.detail
        await self.sending.refresh()
        if self.role != "delivery":
            await self.db.write(lambda tx: notes.any_tenant_mark_applied(tx, version, fault=fault))
        self._version = version
        log.info("directory_in_effect", version=version, fault=fault or None)

    async def _keep_house(self) -> None:
        rounds = 0
        while True:
            try:
                await self._tidy(rounds)
            except Exception:
                log.exception("housekeeping_failed")
            rounds += 1
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def _tidy(self, rounds: int) -> None:
        now = datetime.now(UTC)
        await self.db.write(lambda tx: notes.any_tenant_mark_seen(tx, now))
        if self.role == "delivery":
            return
        await self.ingest.complete_overdue()
        self.pbx.journal.rotate(self.facts.position)
        self._unsure = self._unsure or rounds % RECONCILE_EVERY == 0
        if self._unsure:
            await self._reconcile()
        if rounds % RECONCILE_EVERY == 0:
            await self.db.write(lambda tx: idempotency.any_tenant_purge(tx, now=now))
            await self.db.write(lambda tx: notices.any_tenant_forget(tx, before=to_ms(now - NOTICES_KEPT)))
            await self.db.write(lambda tx: people_forgetting.any_tenant_forget(tx, now=to_ms(now)))

    async def _restarted(self) -> None:
        log.warning("asterisk_restarted", pid=self.pbx.engine.pid)
        self._unsure = True  # if what follows fails, housekeeping comes back to it
        await self.db.write(lambda tx: notes.any_tenant_mark_applied(tx, self._version))  # it read all files anew
        await self._reconcile()

    async def _reconcile(self) -> None:
        """Closes calls of which Asterisk has nothing any more: it died in the middle of them, or has lost them."""
        async with self._reconciling:
            await self.facts.up_to_now()
            known = await self.ingest.unfinished()
            try:
                channels = [channel["id"] for channel in await self.pbx.ari.channels()]
            except TelephonyUnavailable:
                return  # it is being restarted; `_restarted` or housekeeping comes back here
            await self.facts.up_to_now()
            if closed := await self.ingest.interrupt_all_but(channels, among=known):
                log.warning("calls_interrupted", calls=closed)
            self._unsure = False

    # --- stopping it -------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """A clean stop: no new clicks, time for calls to end, all facts taken, deliveries finished. It cuts no call."""
        self.draining = True
        if self.role != "delivery":
            calls = await self._let_calls_end()
            if calls != 0:
                log.warning(
                    "asterisk_left_running",
                    channels=calls,
                    pid=self.pbx.engine.pid,
                    why="calls go on; the next start adopts it",
                )
            else:
                log.info("asterisk_stopping", pid=self.pbx.engine.pid)
                await self.pbx.engine.stop()
            await self.facts.up_to_now()
        log.info("deliveries_finishing", in_flight=self.sending.worker.in_flight)
        await self.sending.worker.stop(DRAIN_DELIVERIES_SECONDS)
        log.info("drained")

    async def _let_calls_end(self) -> int | None:
        """Waits for it; the number of channels left, None when Asterisk does not tell."""
        until = time.monotonic() + DRAIN_CALLS_SECONDS
        said = -1
        while True:
            channels = await self._count_channels()
            if channels == 0 or time.monotonic() > until:
                return channels
            if channels is not None and channels != said:
                log.info("draining", channels=channels, at_most_s=round(until - time.monotonic()))
                said = channels
            await asyncio.sleep(0.2)

    async def _count_channels(self) -> int | None:
        try:
            return len(await self.pbx.ari.channels())
        except TelephonyUnavailable:  # busy or frozen, its calls may well go on; only one that is dead has none
            return None if self.pbx.engine.pid else 0

    # --- how it is ---------------------------------------------------------------------------------------------------

    async def _probe_database(self) -> str | None:
        await self.db.read(notes.any_tenant_directory_version)
        return None

    async def _probe_asterisk(self) -> str | None:
        await self.pbx.ari.ping()
        return None

    async def _probe_journal(self) -> str | None:
        backlog = self.facts.backlog
        return f"{backlog} bytes of the journal wait to be read" if backlog > 1 << 20 else None


def _directory(tx: Any) -> tuple[int, Directory]:
    return notes.any_tenant_directory_version(tx), directories.any_tenant_load(tx)


async def serve(settings: Settings, *, role: Role = "all") -> None:
    """Runs the service until SIGTERM or SIGINT, then drains."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(one, stop.set)
    async with Service(settings, role=role) as service:
        await service.run(stop)

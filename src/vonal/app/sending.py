"""The delivery side of a process: how requests are made and sent, which lanes are its own, and who wakes whom."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

from vonal.config import Settings
from vonal.delivery.leases import AllLanes, Leases, NoLanes, SharedLanes
from vonal.delivery.mailer import Mailer
from vonal.delivery.post import Post
from vonal.delivery.worker import Worker
from vonal.domain.delivery import Owed
from vonal.domain.directory import Tenant
from vonal.store import wakeups
from vonal.store.database import Database
from vonal.webhooks.mask import tenant_key
from vonal.webhooks.prepare import LoadRecording, Preparer
from vonal.webhooks.sender import CurlSender


class Sending:
    """`delivers`: whether this process sends, under the name `seat` among those of its data folder; else it only wakes
    the processes that do. `told` hears what became of each attempt.
    """

    def __init__(
        self,
        db: Database,
        settings: Settings,
        *,
        seat: str,
        delivers: bool,
        secrets: tuple[bytes, ...],
        load_recording: LoadRecording,
        told: Callable[[str], None],
    ) -> None:
        self._db, self._settings, self._delivers = db, settings, delivers
        self.sender = CurlSender(settings.webhook_allow)
        self.preparer = Preparer(
            db,
            base_url=settings.base_url,
            load_recording=load_recording,
            clock=time.time,
            mask_key=partial(tenant_key, secrets[0]),  # the oldest: pseudonyms outlive a change of the secret
        )
        send = self.preparer.listening(self.sender.send)
        leases = self._leases(seat)
        self.worker = Worker(db, self.preparer.prepare, send, leases=leases, told=told)
        self._waking: asyncio.Task[None] | None = None
        self._wake_again = False

    def jobs(self, tenant: Callable[[str], Tenant | None]) -> list[Coroutine[Any, Any, None]]:
        """What runs as long as the process; `tenant` finds a tenant in the directory in effect."""
        if not self._delivers:
            return []
        jobs = [self.worker.run()]
        if self._settings.is_postgresql:
            jobs.append(wakeups.listen(self._settings.database_url, self.worker.wake))
        if self._settings.mail_url:
            post = Post.of(self._settings.mail_url, self._settings.mail_from)
            jobs.append(Mailer(self._db, post, tenant=tenant, where=self._settings.base_url).run())
        return jobs

    def push(self, owed: Iterable[Owed]) -> None:
        """Has these sent, here or by the process whose lanes they are in."""
        if self.worker.push(owed):
            self._wake_again = True
            if self._waking is None:
                self._waking = asyncio.create_task(self._wake_others())

    async def refresh(self) -> None:
        """The directory has changed."""
        self.preparer.forget()
        if self._delivers:
            await self.worker.refresh()

    async def close(self) -> None:
        """Ends all connections."""
        await self.sender.close()

    async def _wake_others(self) -> None:
        try:
            while self._wake_again:
                self._wake_again = False
                await self._db.write(wakeups.any_tenant_wake)
        finally:
            self._waking = None

    def _leases(self, seat: str) -> Leases:
        if not self._delivers:
            return NoLanes()
        if not self._settings.is_postgresql:
            return AllLanes()
        folder = hashlib.sha256(str(self._settings.data_dir).encode()).hexdigest()[:8]
        return SharedLanes(self._db, f"{socket.gethostname()[:24]}-{folder}-{seat}")

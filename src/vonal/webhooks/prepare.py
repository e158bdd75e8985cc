"""Makes a delivery's request, with the webhook as it is now: a corrected address helps everything that waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from vonal.domain.delivery import Owed, Request, Unsendable
from vonal.domain.directory import Webhook
from vonal.domain.errors import RequestError, VonalError
from vonal.store import directory
from vonal.store.database import Database
from vonal.webhooks import envelope

LONGEST_SOUND = 8 * 1024 * 1024  # bytes; a longer recording is only referred to
SOUNDS_AT_ONCE = 8  # requests with sound inside, which may take some 30 MB each
LoadRecording = Callable[[str, str], Awaitable[bytes]]


class RequestNotMade(RequestError):
    """A webhook's parameter cannot be filled in, or its address is none."""

    code = "request_not_made"


class _Known(Struct, frozen=True, kw_only=True):
    timezone: str
    webhooks: dict[str, Webhook]


class Preparer:
    """`prepare(owed)` for the delivery's worker. Call `forget` when the directory has changed.

    `load_recording(tenant_id, recording_id)` gives a ready recording's bytes, or raises a VonalError.
    """

    def __init__(
        self, db: Database, *, base_url: str, load_recording: LoadRecording, clock: Callable[[], float]
    ) -> None:
        self._db, self._base_url, self._load, self._clock = db, base_url, load_recording, clock
        self._known: dict[str, _Known] = {}
        self._with_sound = asyncio.Semaphore(SOUNDS_AT_ONCE)

    def forget(self) -> None:
        """The directory has changed."""
        self._known = {}

    @asynccontextmanager
    async def prepare(self, owed: Owed) -> AsyncIterator[Request | Unsendable]:
        """The request, or why there is none. Raises RequestNotMade."""
        tenant = await self._tenant(owed.event.tenant_id)
        webhook = tenant.webhooks.get(owed.webhook_id)
        if webhook is None:
            yield Unsendable(reason="gone")
        elif not webhook.enabled:
            yield Unsendable(reason="paused")
        elif webhook.recording == "inline" and webhook.method == "POST" and _ready(owed):
            async with self._with_sound:
                setting = replace(self._setting(tenant), sounds=await self._sounds(owed))
                yield await asyncio.to_thread(self._request, owed, webhook, setting)
        else:
            yield self._request(owed, webhook, self._setting(tenant))

    async def preview(self, owed: Owed, webhook: Webhook) -> Request:
        """The same request with this webhook, stored or not, but never sound in it. Raises RequestNotMade."""
        tenant = await self._tenant(owed.event.tenant_id)
        return self._request(owed, webhook, replace(self._setting(tenant), preview=True))

    def _setting(self, tenant: _Known) -> envelope.Setting:
        return envelope.Setting(timezone=tenant.timezone, base_url=self._base_url)

    def _request(self, owed: Owed, webhook: Webhook, setting: envelope.Setting) -> Request:
        try:
            return envelope.request(
                owed.event, webhook, setting, attempt=owed.attempts + 1, timestamp=int(self._clock())
            )
        except ValueError as fault:
            raise RequestNotMade(str(fault)) from fault

    async def _tenant(self, tenant_id: str) -> _Known:
        known = self._known  # `forget` puts another in its place, even while we read
        if tenant_id not in known:
            tenant = await self._db.read(partial(directory.load, tenant_id))
            webhooks = {one.id: one for one in tenant.webhooks} if tenant else {}
            known[tenant_id] = _Known(timezone=tenant.timezone if tenant else "UTC", webhooks=webhooks)
        return known[tenant_id]

    async def _sounds(self, owed: Owed) -> dict[str, bytes | None]:
        sounds: dict[str, bytes | None] = {}
        for recording_id, size in _ready(owed):
            if size is None or size > LONGEST_SOUND:
                sounds[recording_id] = None
                continue
            try:
                sounds[recording_id] = await self._load(owed.event.tenant_id, recording_id)
            except VonalError as fault:
                if fault.fault == "ours":
                    raise
                # deleted in the meantime: the address in the envelope says so too
        return sounds


def _ready(owed: Owed) -> list[tuple[str, int | None]]:
    return [(one["id"], one["size_bytes"]) for one in owed.event.data["recordings"] if one["state"] == "ready"]

"""Makes a delivery's request, with the webhook as it is now: a corrected address helps everything that waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from vonal.domain import numbers
from vonal.domain.delivery import Owed, Request, Unsendable
from vonal.domain.dialects import FOLLOWING
from vonal.domain.directory import Tenant, Webhook
from vonal.domain.errors import RequestError, VonalError
from vonal.store import directory
from vonal.store.database import Database
from vonal.webhooks import envelope
from vonal.webhooks.dialects import NotTold
from vonal.webhooks.dialects.asked import addressed
from vonal.webhooks.follow_ups import FollowUps, Send

LONGEST_SOUND = 8 * 1024 * 1024  # bytes; a longer recording is only referred to
SOUNDS_AT_ONCE = 8  # requests with sound inside, which may take some 30 MB each
LoadRecording = Callable[[str, str], Awaitable[bytes]]


class RequestNotMade(RequestError):
    """A webhook's parameter cannot be filled in, or its address is none."""

    code = "request_not_made"


class _Known(Struct, frozen=True, kw_only=True):
    timezone: str
    webhooks: dict[str, Webhook]
    ringing: dict[str, list[dict[str, str | None]]]  # by public number, the people whom it rings


class Preparer:
    """`prepare(owed)` for the delivery's worker. Call `forget` when the directory has changed.

    `load_recording(tenant_id, recording_id)` gives a ready recording's bytes, or raises a VonalError.
    `mask_key(tenant_id)` gives the tenant's key for pseudonyms; without one, masks of kind hash cannot be made.
    """

    def __init__(
        self,
        db: Database,
        *,
        base_url: str,
        load_recording: LoadRecording,
        clock: Callable[[], float],
        mask_key: Callable[[str], bytes] = lambda _: b"",
    ) -> None:
        self._db, self._base_url, self._load, self._clock = db, base_url, load_recording, clock
        self._mask_key = mask_key
        self._follow_ups = FollowUps(db)
        self._known: dict[str, asyncio.Future[_Known]] = {}
        self._with_sound = asyncio.Semaphore(SOUNDS_AT_ONCE)

    def forget(self) -> None:
        """The directory has changed."""
        self._known = {}

    def listening(self, send: Send) -> Send:
        """`send` for the delivery's worker: what a webhook's answer asks for is known when the next request is made."""
        return self._follow_ups.listening(send)

    def prepare(self, owed: Owed) -> AbstractAsyncContextManager[Request | Unsendable]:
        """The request, or why there is none. Raises RequestNotMade."""
        known = self._known.get(owed.event.tenant_id)
        if known is not None and known.done() and not known.cancelled() and known.exception() is None:
            tenant = known.result()
            webhook = tenant.webhooks.get(owed.webhook_id)
            if webhook is not None and webhook.enabled and _is_plain(webhook):  # most are, and need wait for nothing
                return nullcontext(self._request(owed, webhook, self._setting(owed, tenant, webhook)))
        return self._prepared(owed)

    @asynccontextmanager
    async def _prepared(self, owed: Owed) -> AsyncIterator[Request | Unsendable]:
        tenant = await self._tenant(owed.event.tenant_id)
        webhook = tenant.webhooks.get(owed.webhook_id)
        if webhook is None:
            yield Unsendable(reason="gone")
        elif not webhook.enabled:
            yield Unsendable(reason="paused")
        elif webhook.dialect != "native":
            yield await self._spoken(owed, webhook, self._setting(owed, tenant, webhook))
        elif webhook.recording == "inline" and webhook.method == "POST" and _ready(owed):
            async with self._with_sound:
                setting = replace(self._setting(owed, tenant, webhook), sounds=await self._sounds(owed))
                yield await asyncio.to_thread(self._request, owed, webhook, setting)
        else:
            yield self._request(owed, webhook, self._setting(owed, tenant, webhook))

    async def preview(self, owed: Owed, webhook: Webhook) -> Request:
        """The same request with this webhook, stored or not, but never sound in it. Raises RequestNotMade."""
        tenant = await self._tenant(owed.event.tenant_id)
        setting = replace(self._setting(owed, tenant, webhook), preview=True)
        try:
            return self._request(owed, webhook, setting)
        except NotTold as fault:
            raise RequestNotMade(str(fault)) from fault

    def _setting(self, owed: Owed, tenant: _Known, webhook: Webhook) -> envelope.Setting:
        return envelope.Setting(
            timezone=tenant.timezone,
            base_url=self._base_url,
            mask_key=self._mask_key(owed.event.tenant_id) if webhook.mask else b"",
            ringing=tenant.ringing,
        )

    async def _spoken(self, owed: Owed, webhook: Webhook, setting: envelope.Setting) -> Request | Unsendable:
        if webhook.dialect == "sipgate" and owed.event.type in FOLLOWING:
            url = await self._follow_ups.url(owed)
            if url is None:
                return Unsendable(reason="unwanted")
            webhook = addressed(webhook, url)
        try:
            request = self._request(owed, webhook, setting)
        except NotTold:
            return Unsendable(reason="unwanted")
        return self._follow_ups.of(owed, request) if webhook.dialect == "sipgate" else request

    def _request(self, owed: Owed, webhook: Webhook, setting: envelope.Setting) -> Request:
        try:
            return envelope.request(
                owed.event, webhook, setting, attempt=owed.attempts + 1, timestamp=int(self._clock())
            )
        except NotTold:
            raise
        except ValueError as fault:
            raise RequestNotMade(str(fault)) from fault

    async def _tenant(self, tenant_id: str) -> _Known:
        known = self._known  # `forget` puts another in its place, even while we read
        if tenant_id not in known:  # all that ask meanwhile wait for the one reading
            known[tenant_id] = asyncio.ensure_future(self._read(tenant_id))
        try:
            return await asyncio.shield(known[tenant_id])
        except Exception:
            known.pop(tenant_id, None)
            raise

    async def _read(self, tenant_id: str) -> _Known:
        tenant = await self._db.read(partial(directory.load, tenant_id))
        return _known(tenant) if tenant else _Known(timezone="UTC", webhooks={}, ringing={})

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


def _is_plain(webhook: Webhook) -> bool:
    return webhook.dialect == "native" and webhook.recording != "inline"


def _known(tenant: Tenant) -> _Known:
    people = {
        one.number: {"extension": one.number, "name": one.name or None, "email": one.email} for one in tenant.extensions
    }
    ringing = {
        numbers.read(one.number, tenant.country) or one.number: [people[ext] for ext in one.ring if ext in people]
        for one in tenant.numbers
    }
    return _Known(timezone=tenant.timezone, webhooks={one.id: one for one in tenant.webhooks}, ringing=ringing)


def _ready(owed: Owed) -> list[tuple[str, int | None]]:
    return [(one["id"], one["size_bytes"]) for one in owed.event.data["recordings"] if one["state"] == "ready"]

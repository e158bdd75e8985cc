"""A tenant's webhooks in the hands of its own people: made, changed and removed one at a time, in effect at once.

Every change goes the way of `vonal apply`, with the same checks; beside them its URL must be one that may be reached.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog
from msgspec import Struct
from msgspec.structs import replace

from vonal.directory import check, check_webhook, webhook_form
from vonal.directory.apply import apply
from vonal.directory.check import ExtraCheck
from vonal.directory.reading import Document
from vonal.directory.structure import Fault
from vonal.directory.webhook_form import Json
from vonal.domain.audit import COMMAND, Actor
from vonal.domain.call import new_id
from vonal.domain.directory import Directory, Security, Tenant, Webhook
from vonal.domain.errors import (
    DirectoryError,
    InvalidParts,
    InvalidRequest,
    RotationUnderWay,
    WebhookExists,
    WebhookLimitReached,
    WebhookNotFound,
    WebhookUrlRejected,
)
from vonal.domain.security import new_signing_key
from vonal.store import directory as store
from vonal.store.database import Database
from vonal.store.directory import PartId, Parts

log = structlog.get_logger(__name__)

MOST = 100  # webhooks of a tenant, unless the operator gives it more by `vonal apply`
Edit = Callable[[Webhook | None, int], Webhook | None]  # (as stored, how many there are) → as it shall be
_HERE = "tenants[0].webhooks[0]."


class _Edited(Struct, frozen=True, kw_only=True):
    version: int
    before: Webhook | None
    after: Webhook | None


class Webhooks:
    """`by` is who changes something, for the audit log. `url_fault` says what is wrong with a webhook's URL, or None.

    `checks` are those of `vonal apply`; `taken_in(version)` returns when the service works with this directory.
    """

    def __init__(
        self,
        db: Database,
        *,
        checks: Iterable[ExtraCheck],
        url_fault: Callable[[str], str | None],
        taken_in: Callable[[int], Awaitable[None]],
    ) -> None:
        self._db, self._checks, self._url_fault, self._taken_in = db, tuple(checks), url_fault, taken_in
        self._one_at_a_time = asyncio.Lock()  # other processes' changes are seen by the directory's version

    async def all(self, tenant_id: str) -> list[Webhook]:
        """The tenant's webhooks by id."""
        found = await self._db.read(partial(store.webhooks, tenant_id))
        return sorted(found, key=lambda one: one.id)

    async def find(self, tenant_id: str, webhook_id: str) -> Webhook:
        """The tenant's webhook of this id. Raises WebhookNotFound."""
        return _known(next((one for one in await self.all(tenant_id) if one.id == webhook_id), None))

    async def create(self, tenant_id: str, sent: Json, *, by: Actor) -> Webhook:
        """A new webhook. Raises InvalidParts, WebhookUrlRejected, WebhookExists, WebhookLimitReached."""
        wanted = webhook_form.read(sent, id_=new_id("whk"))
        return _known(await self._change(tenant_id, wanted.id, _creating(wanted.id, sent), by=by))

    async def replace(self, tenant_id: str, webhook_id: str, sent: Json, *, by: Actor) -> Webhook:
        """All of the webhook anew. Raises InvalidParts, WebhookUrlRejected, WebhookNotFound."""
        return _known(await self._change(tenant_id, webhook_id, _replacing(webhook_id, sent), by=by))

    async def patch(self, tenant_id: str, webhook_id: str, patch: Json, *, by: Actor) -> Webhook:
        """A part of the webhook anew (RFC 7396). Raises InvalidParts, WebhookUrlRejected, WebhookNotFound."""
        return _known(await self._change(tenant_id, webhook_id, _patching(patch), by=by))

    async def remove(self, tenant_id: str, webhook_id: str, *, by: Actor) -> None:
        """The webhook is no more, and what it is owed is dropped. Raises WebhookNotFound."""

        def edit(stored: Webhook | None, _count: int) -> None:
            _known(stored)

        await self._change(tenant_id, webhook_id, edit, by=by)

    async def draft(self, tenant_id: str, webhook_id: str, patch: Json | None) -> Webhook:
        """The webhook as it would be after `patch`, which is checked but not stored. Raises as `patch` does."""
        if not patch:
            return await self.find(tenant_id, webhook_id)
        edited = await asyncio.to_thread(self._apply, tenant_id, webhook_id, _patching(patch), only_check=True)
        return _known(edited.after)

    async def drafted(self, tenant_id: str, webhook_id: str, sent: Json, *, new: bool) -> Webhook:
        """The whole webhook as it would be, checked but not stored. Raises as `create` does, or as `replace`."""
        edit = _creating(webhook_id, sent) if new else _replacing(webhook_id, sent)
        edited = await asyncio.to_thread(self._apply, tenant_id, webhook_id, edit, only_check=True)
        return _known(edited.after)

    def url_fault(self, url: str) -> str | None:
        """What can be said against the address before any connection is made, or None."""
        return check_webhook.url_fault(url) or self._url_fault(url)

    async def rotate(self, tenant_id: str, webhook_id: str, *, by: Actor) -> tuple[Webhook, str]:
        """Gives the webhook a new signing key beside the present one; returns the new key too.

        Raises WebhookNotFound, RotationUnderWay, and InvalidRequest when the webhook is not signed.
        """
        key = new_signing_key()

        def edit(stored: Webhook | None, _count: int) -> Webhook:
            return _signed(_known(stored), lambda keys: _rotated(keys, key))

        return _known(await self._change(tenant_id, webhook_id, edit, by=by)), key

    async def finish_rotation(self, tenant_id: str, webhook_id: str, *, by: Actor) -> Webhook:
        """The previous key signs no more. Raises WebhookNotFound, and InvalidRequest when the webhook is not signed."""

        def edit(stored: Webhook | None, _count: int) -> Webhook:
            return _signed(_known(stored), lambda keys: (keys[0], None))

        return _known(await self._change(tenant_id, webhook_id, edit, by=by))

    async def _change(self, tenant_id: str, webhook_id: str, edit: Edit, *, by: Actor) -> Webhook | None:
        async with self._one_at_a_time:
            edited = await asyncio.to_thread(self._apply, tenant_id, webhook_id, edit, by=by)
        action = "change" if edited.before and edited.after else "create" if edited.after else "remove"
        fields = webhook_form.changed(edited.before, edited.after)
        log.info("webhook.changed", tenant=tenant_id, webhook=webhook_id, action=action, by=str(by), fields=fields)
        await self._taken_in(edited.version)
        return edited.after

    def _apply(
        self, tenant_id: str, webhook_id: str, edit: Edit, *, by: Actor = COMMAND, only_check: bool = False
    ) -> _Edited:
        """Blocks. What is wanted is worked out of what is stored, anew whenever somebody else was quicker."""
        before: Webhook | None = None
        document: Document

        def wanted(stored: Parts) -> Document:
            nonlocal before, document
            tenant, hooks = _of_tenant(tenant_id, stored)
            before = hooks.pop(webhook_id, None)
            after = edit(before, len(hooks))
            own = [after] if after else []
            changed = replace(tenant, webhooks=[*own, *hooks.values()])
            document = Document(directory=Directory(tenants=[changed]), named=(frozenset({"webhooks"}),))
            return document

        def guarded(directory: Directory) -> Iterable[Fault]:
            here = next((one for one in directory.tenants[0].webhooks if one.id == webhook_id), None)
            if here and not (before and before.url == here.url) and (reason := self._url_fault(here.url)):
                yield f"{_HERE}url", reason

        try:
            checks = [*self._checks, guarded]
            changes = apply(self._db, wanted, check=only_check, extra_checks=checks, by=by)
        except DirectoryError as fault:
            raise self._told(fault, document) from fault
        hooks = check.normalised(document.directory).tenants[0].webhooks
        after = next((one for one in hooks if one.id == webhook_id), None)
        return _Edited(version=changes.version, before=before, after=after)

    def _told(self, fault: DirectoryError, document: Document) -> InvalidRequest:
        faults: dict[str, str] = {}
        for path, reason in fault.faults:
            faults.setdefault(path.removeprefix(_HERE), reason)
        hooks = document.directory.tenants[0].webhooks
        if hooks and faults.keys() == {"url"} and faults["url"] == self._url_fault(hooks[0].url):
            return WebhookUrlRejected(f"url: {faults['url']}", param="url")
        return InvalidParts(faults.items())


def _known(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise WebhookNotFound("There is no webhook of this id.", param="id")
    return webhook


def _creating(webhook_id: str, sent: Json) -> Edit:
    wanted = webhook_form.read(sent, id_=webhook_id)

    def edit(stored: Webhook | None, count: int) -> Webhook:
        if stored:
            raise WebhookExists(f"There is a webhook {wanted.id} already.", param="id")
        if count >= MOST:
            raise WebhookLimitReached(f"A tenant has at most {MOST} webhooks; delete one first.")
        return wanted

    return edit


def _replacing(webhook_id: str, sent: Json) -> Edit:
    return lambda stored, _count: webhook_form.read(sent, id_=webhook_id, stored=_known(stored))


def _patching(patch: Json) -> Edit:
    return lambda stored, _count: webhook_form.patched(_known(stored), patch)


def _of_tenant(tenant_id: str, stored: Parts) -> tuple[Tenant, dict[str, Webhook]]:
    tenant = stored.get(PartId(tenant_id, "tenant", tenant_id))
    if not isinstance(tenant, Tenant):
        raise WebhookNotFound("The tenant was removed.")
    own = {part.name: one for part, one in stored.items() if part.tenant_id == tenant_id and isinstance(one, Webhook)}
    return tenant, own


Keys = tuple[str | None, str | None]  # the present one, the previous one


def _signed(webhook: Webhook, change: Callable[[Keys], Keys]) -> Webhook:
    """The webhook with its signing keys changed, where they stand."""
    security: Security = webhook.security
    if security.type == "hmac":
        key, previous = change((security.key, security.previous_key))
        return replace(webhook, security=replace(security, key=key, previous_key=previous))
    if security.hmac is None:
        raise InvalidRequest("This webhook is not signed: it has no security of type hmac.", param="id")
    key, previous = change((security.hmac.key, security.hmac.previous_key))
    return replace(
        webhook, security=replace(security, hmac=replace(security.hmac, key=key or "", previous_key=previous))
    )


def _rotated(keys: Keys, fresh: str) -> Keys:
    if keys[1] is not None:
        raise RotationUnderWay("Finish the change of the key that is under way, then begin another.", param="id")
    return fresh, keys[0]

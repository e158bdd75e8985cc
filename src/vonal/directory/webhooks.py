"""A tenant's webhooks in the hands of its own people: made, changed and removed one at a time, in effect at once.

Every change goes the way of `vonal apply`, with the same checks; beside them its URL must be one that may be reached.
"""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog
from msgspec.structs import replace

from vonal.directory import check_webhook, webhook_form
from vonal.directory.check import ExtraCheck
from vonal.directory.editing import Editor
from vonal.directory.structure import Fault
from vonal.directory.webhook_form import Json
from vonal.domain.audit import COMMAND, Actor
from vonal.domain.call import new_id
from vonal.domain.directory import Directory, Security, Tenant, Webhook
from vonal.domain.errors import (
    InvalidParts,
    InvalidRequest,
    NotFound,
    RotationUnderWay,
    WebhookExists,
    WebhookLimitReached,
    WebhookNotFound,
    WebhookUrlRejected,
)
from vonal.domain.security import new_signing_key
from vonal.store import directory as store
from vonal.store.database import Database

log = structlog.get_logger(__name__)

MOST = 100  # webhooks of a tenant, unless the operator gives it more by `vonal apply`
Edit = Callable[[Webhook | None, int], Webhook | None]  # (as stored, how many there are) → as it shall be
_HERE = "webhooks[0]."


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
        self._db, self._url_fault = db, url_fault
        self.editor = Editor(db, checks=checks, taken_in=taken_in)

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
        return _known(await self._edited(tenant_id, _Edit(webhook_id, _patching(patch)), only_check=True))

    async def drafted(self, tenant_id: str, webhook_id: str, sent: Json, *, new: bool) -> Webhook:
        """The whole webhook as it would be, checked but not stored. Raises as `create` does, or as `replace`."""
        edit = _creating(webhook_id, sent) if new else _replacing(webhook_id, sent)
        return _known(await self._edited(tenant_id, _Edit(webhook_id, edit), only_check=True))

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
        one = _Edit(webhook_id, edit)
        after = await self._edited(tenant_id, one, by=by)
        action = "change" if one.before and after else "create" if after else "remove"
        fields = webhook_form.changed(one.before, after)
        log.info("webhook.changed", tenant=tenant_id, webhook=webhook_id, action=action, by=str(by), fields=fields)
        return after

    async def _edited(
        self, tenant_id: str, one: "_Edit", *, by: Actor = COMMAND, only_check: bool = False
    ) -> Webhook | None:
        def guarded(directory: Directory) -> Iterable[Fault]:
            here = one.among(directory.tenants[0].webhooks)
            if here and not (one.before and one.before.url == here.url) and (reason := self._url_fault(here.url)):
                yield f"tenants[0].{_HERE}url", reason

        try:
            tenant = await self.editor.tenant(tenant_id, one, by=by, checks=[guarded], only_check=only_check)
        except InvalidParts as fault:
            raise self._told(fault, one) from fault
        except NotFound as fault:
            raise WebhookNotFound("The tenant was removed.") from fault
        return one.among(tenant.webhooks)

    def _told(self, fault: InvalidParts, one: "_Edit") -> InvalidRequest:
        faults: dict[str, str] = {}
        for path, reason in fault.faults:
            faults.setdefault(path.removeprefix(_HERE), reason)
        if one.after and faults.keys() == {"url"} and faults["url"] == self._url_fault(one.after.url):
            return WebhookUrlRejected(f"url: {faults['url']}", param="url")
        return InvalidParts(faults.items())


class _Edit:
    """An edit of one webhook as one of its tenant; `before` and `after` are those of the last time."""

    def __init__(self, webhook_id: str, edit: Edit) -> None:
        self._id, self._edit = webhook_id, edit
        self.before: Webhook | None = None
        self.after: Webhook | None = None

    def __call__(self, tenant: Tenant) -> Tenant:
        others = [one for one in tenant.webhooks if one.id != self._id]
        self.before = self.among(tenant.webhooks)
        self.after = self._edit(self.before, len(others))
        # The first one, so that its faults are known by their path.
        return replace(tenant, webhooks=[*([self.after] if self.after else []), *others])

    def among(self, webhooks: Iterable[Webhook]) -> Webhook | None:
        """The one in question."""
        return next((one for one in webhooks if one.id == self._id), None)


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

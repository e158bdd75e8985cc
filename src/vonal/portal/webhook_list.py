"""Webhooks: the list with their health, the page of each, and what is done to one: pause, keys, removal."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from litestar import Response

from vonal.domain.directory import Webhook
from vonal.domain.events import LIVE
from vonal.portal import delivery_log
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import notices, webhook_health
from vonal.store.notices import ShownNotice
from vonal.store.webhook_health import Health

NEW = "new"  # the form's address; a webhook of this id is shown where the form steps aside
NOTICES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A webhook as its people see it. Times are moments, None where there is none."""

    webhook: Webhook
    health: Health
    failing_since: datetime | None
    next_try_at: datetime | None

    @property
    def address(self) -> str:
        """Of its page."""
        return page_of(self.webhook.id)

    @property
    def loses_events(self) -> bool:
        """Whether some of what it gets is worth nothing late."""
        return any(one in LIVE for one in self.webhook.events)


def page_of(webhook_id: str) -> str:
    """The address of a webhook's page."""
    return f"/webhooks/{webhook_id}" if webhook_id != NEW else f"/webhooks/{NEW}?webhook={NEW}"


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """All of them, or what they are good for."""
    hooks = await _hooks(portal, asked, await portal.webhooks.all(asked.tenant.id))
    template = "webhooks/rows.html" if asked.is_fragment else "webhooks/list.html"
    return page(asked, template, hooks=hooks)


async def show(portal: Portal, asked: Asked, webhook_id: str | None = None) -> Response[bytes]:
    """One of them: what it sends where, how it is doing, and its deliveries."""
    hook = await find(portal, asked, webhook_id or asked.path["id"])
    told, _ = await portal.db.read(partial(notices.listing, asked.tenant.id))
    log = await delivery_log.read(portal, asked, webhook=hook.webhook.id)
    if asked.is_fragment and asked.one("part") == "health":
        return page(asked, "webhooks/health.html", hook=hook)
    if asked.is_fragment:
        return page(asked, "deliveries/rows.html", log=log)
    return page(asked, "webhooks/show.html", hook=hook, notices=_about(told, hook.webhook.id), log=log)


async def pause(portal: Portal, asked: Asked) -> Response[bytes]:
    """It is sent nothing until it is resumed."""
    return await _switch(portal, asked, enabled=False)


async def resume(portal: Portal, asked: Asked) -> Response[bytes]:
    """It is sent what comes, and what has waited."""
    return await _switch(portal, asked, enabled=True)


async def ask_to_remove(portal: Portal, asked: Asked) -> Response[bytes]:
    """What would be lost."""
    return page(asked, "webhooks/remove.html", hook=await find(portal, asked, asked.path["id"]))


async def remove(portal: Portal, asked: Asked) -> Response[bytes]:
    """It is no more."""
    await portal.webhooks.remove(asked.tenant.id, asked.path["id"], by=asked.actor)
    return go(asked, "/webhooks")


async def rotate(portal: Portal, asked: Asked) -> Response[bytes]:
    """A new signing key beside the present one, shown this once."""
    webhook, key = await portal.webhooks.rotate(asked.tenant.id, asked.path["id"], by=asked.actor)
    hook = (await _hooks(portal, asked, [webhook]))[0]
    return page(asked, "webhooks/new_key.html", hook=hook, key=key)


async def finish_rotation(portal: Portal, asked: Asked) -> Response[bytes]:
    """The previous key signs no more."""
    await portal.webhooks.finish_rotation(asked.tenant.id, asked.path["id"], by=asked.actor)
    return go(asked, page_of(asked.path["id"]))


async def _switch(portal: Portal, asked: Asked, *, enabled: bool) -> Response[Any]:
    webhook_id = asked.path["id"]
    await portal.webhooks.patch(asked.tenant.id, webhook_id, {"enabled": enabled}, by=asked.actor)
    return go(asked, "/webhooks" if asked.one("from") == "list" else page_of(webhook_id))


async def find(portal: Portal, asked: Asked, webhook_id: str) -> Hook:
    """The tenant's webhook of this id. Raises WebhookNotFound."""
    return (await _hooks(portal, asked, [await portal.webhooks.find(asked.tenant.id, webhook_id)]))[0]


async def _hooks(portal: Portal, asked: Asked, found: list[Webhook]) -> list[Hook]:
    healths = await portal.db.read(partial(webhook_health.of, asked.tenant.id, webhooks=found))
    return [_told(one, healths[one.id]) for one in found]


def _told(webhook: Webhook, health: Health) -> Hook:
    return Hook(
        webhook=webhook,
        health=health,
        failing_since=delivery_log.moment(health.failing_since),
        next_try_at=delivery_log.moment(health.next_try_at),
    )


def _about(told: list[ShownNotice], webhook_id: str) -> list[tuple[datetime | None, ShownNotice]]:
    mine = [one for one in told if one.webhook == webhook_id][:NOTICES_SHOWN]
    return [(delivery_log.moment(one.at), one) for one in mine]


ROUTES = (
    Route(path="/webhooks", handler=listing, needs="see_webhooks"),
    Route(path="/webhooks/{id}", handler=show, needs="see_webhooks"),
    Route(path="/webhooks/{id}/pause", handler=pause, needs="change_webhooks", method="POST"),
    Route(path="/webhooks/{id}/resume", handler=resume, needs="change_webhooks", method="POST"),
    Route(path="/webhooks/{id}/remove", handler=ask_to_remove, needs="change_webhooks"),
    Route(path="/webhooks/{id}/remove-now", handler=remove, needs="change_webhooks", method="POST"),
    Route(path="/webhooks/{id}/rotate-key", handler=rotate, needs="change_webhooks", method="POST"),
    Route(path="/webhooks/{id}/finish-rotation", handler=finish_rotation, needs="change_webhooks", method="POST"),
)

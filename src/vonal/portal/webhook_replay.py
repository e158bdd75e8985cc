"""Sending a webhook's deliveries of a time again: how many there are, then the question, then how far it has come."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response

from vonal.delivery import replay
from vonal.delivery.replay import MOST
from vonal.domain.delivery import State
from vonal.domain.errors import InvalidRequest, RequestError
from vonal.portal import webhook_list
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store.deliveries import REPLAYABLE, STATES
from vonal.store.replays import Range

CLOSED: tuple[State, ...] = tuple(one for one in STATES if one != "open")


async def ask(portal: Portal, asked: Asked) -> Response[Any]:
    """Which time; and when it is known, how many deliveries that are."""
    hook = await webhook_list.find(portal, asked, asked.path["id"])
    now = datetime.now(UTC)
    since, until = asked.one("from"), asked.one("until")
    count, trouble = None, ""
    if since:
        try:
            counted = partial(replay.count, portal.db, asked.tenant.id, _range(asked, now))
            count = await asyncio.to_thread(counted)
        except RequestError as fault:
            trouble = fault.param or "from"
    zone = ZoneInfo(asked.tenant.timezone)
    given: dict[str, Any] = {
        "since": since or _local(now - timedelta(days=1), zone),
        "until": until or _local(now + timedelta(minutes=1), zone),
        "earliest": _local(now - REPLAYABLE, zone),
        "states": [one for one in asked.many("state") if one in CLOSED],
    }
    return page(
        asked, "webhooks/replay.html", hook=hook, count=count, trouble=trouble, closed=CLOSED, most=MOST, **given
    )


async def start(portal: Portal, asked: Asked) -> Response[Any]:
    """They are owed again, piece by piece."""
    now = datetime.now(UTC)
    await portal.replays.start(portal.db, asked.tenant.id, _range(asked, now), now=now, by=asked.actor)
    return go(asked, f"/webhooks/{asked.path['id']}/replay-progress")


async def progress(portal: Portal, asked: Asked) -> Response[Any]:
    """How far the last one has come, and how much waits to be sent."""
    hook = await webhook_list.find(portal, asked, asked.path["id"])
    template = "webhooks/progress_part.html" if asked.is_fragment else "webhooks/progress.html"
    return page(asked, template, hook=hook, progress=portal.replays.of(asked.tenant.id, hook.webhook.id))


def _range(asked: Asked, now: datetime) -> Range:
    zone = ZoneInfo(asked.tenant.timezone)
    states = tuple(one for one in CLOSED if one in asked.many("state"))
    since, until = _moment(asked.one("from"), zone, "from"), _moment(asked.one("until"), zone, "until")
    return replay.wanted(asked.path["id"], since, until, states or None, now=now)


def _moment(text: str, zone: ZoneInfo, param: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as fault:
        raise InvalidRequest("This is no time.", param=param) from fault


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M")


ROUTES = (
    Route(path="/webhooks/{id}/replay", handler=ask, needs="change_webhooks"),
    Route(path="/webhooks/{id}/replay-now", handler=start, needs="change_webhooks", method="POST"),
    Route(path="/webhooks/{id}/replay-progress", handler=progress, needs="change_webhooks"),
)

"""Deliveries: what was sent to webhooks, each attempt and its answer, and sending one again."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from urllib.parse import urlencode

from litestar import Response

from vonal.delivery import replay
from vonal.domain.delivery import State
from vonal.domain.errors import DeliveryNotFound, InvalidRequest, WebhookNotFound
from vonal.domain.events import SUBSCRIBABLE
from vonal.portal import request_view
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import deliveries as store
from vonal.store.deliveries import STATES, Attempt, Delivery, DeliveryFilter
from vonal.webhooks.prepare import RequestNotMade

ON_A_PAGE = 50
LOOKED_THROUGH = 20_000  # deliveries for one page, so that a rare filter costs no more than this in a log of millions


@dataclass(frozen=True, kw_only=True)
class Row:
    """A delivery with its times as moments."""

    delivery: Delivery
    created_at: datetime | None
    next_at: datetime | None

    @property
    def last(self) -> Attempt | None:
        """The last attempt."""
        return self.delivery.attempts[-1] if self.delivery.attempts else None


@dataclass(frozen=True, kw_only=True)
class Log:
    """A page of the log, what was asked for, and the addresses of this page and of the next one."""

    rows: list[Row]
    wanted: DeliveryFilter
    path: str
    here: str
    older: str | None
    first: bool
    own: bool  # of one webhook alone, on its own page

    states = STATES
    types = SUBSCRIBABLE

    @property
    def filtered(self) -> bool:
        """Whether it was asked for something narrower than all there is here."""
        return bool(self.wanted.state or self.wanted.type or self.wanted.call or (self.wanted.webhook and not self.own))


def moment(text: str | None) -> datetime | None:
    """The moment that an ISO 8601 time names."""
    return datetime.fromisoformat(text) if text else None


async def read(portal: Portal, asked: Asked, *, webhook: str | None = None) -> Log:
    """The page of the log that the address asks for; `webhook`: only of this one. Raises InvalidRequest."""
    wanted = DeliveryFilter(
        webhook=webhook or asked.one("webhook") or None,
        state=cast("State", asked.one("state")) if asked.one("state") in STATES else None,
        call=asked.one("call") or None,
        type=asked.one("event") or None,
    )
    after = asked.one("after") or None
    look = partial(store.listing, asked.tenant.id, wanted=wanted, after=after, limit=ON_A_PAGE, among=LOOKED_THROUGH)
    try:
        found, cursor = await portal.db.read(look)
    except ValueError as fault:
        raise InvalidRequest("This page of the log does not exist; begin at its first page.") from fault
    path = asked.request.url.path
    asked_for = {"webhook": None if webhook else wanted.webhook, "state": wanted.state, "event": wanted.type}
    query = {name: value for name, value in {**asked_for, "call": wanted.call}.items() if value}
    return Log(
        rows=[row(one) for one in found],
        wanted=wanted,
        path=path,
        here=_address(path, query),
        older=_address(path, {**query, "after": cursor}) if cursor else None,
        first=after is None,
        own=webhook is not None,
    )


def row(delivery: Delivery) -> Row:
    """The delivery, to be shown."""
    return Row(delivery=delivery, created_at=moment(delivery.created_at), next_at=moment(delivery.next_at))


async def listing(portal: Portal, asked: Asked) -> Response[bytes]:
    """Of all webhooks."""
    log = await read(portal, asked)
    if asked.is_fragment:
        return page(asked, "deliveries/rows.html", log=log)
    return page(asked, "deliveries/list.html", log=log, webhooks=await portal.webhooks.all(asked.tenant.id))


async def show(portal: Portal, asked: Asked) -> Response[bytes]:
    """One delivery: each attempt, and the request as it would be made now."""
    found = await portal.db.read(partial(store.find, asked.tenant.id, delivery_id=_id(asked)))
    attempts = [(moment(one.at), one) for one in found.attempts]
    given = {"one": row(found), "attempts": attempts, **await _request(portal, asked, found)}
    return page(asked, "deliveries/part.html" if asked.is_fragment else "deliveries/show.html", **given)


async def send_again(portal: Portal, asked: Asked) -> Response[bytes]:
    """It is owed again."""
    again = partial(replay.again, asked.tenant.id, delivery_id=_id(asked), now=datetime.now(UTC), by=asked.actor)
    done = await portal.db.write(again)
    return go(asked, f"/deliveries/{done.id}")


async def _request(portal: Portal, asked: Asked, found: Delivery) -> dict[str, Any]:
    """What the page shows of the request: itself, or why there is none."""
    nothing: dict[str, Any] = {"webhook": None, "shown": None, "why": "gone"}
    try:
        webhook = await portal.webhooks.find(asked.tenant.id, found.webhook)
    except WebhookNotFound:
        return nothing
    may_sign = asked.me.may("change_webhooks")
    if webhook.security.type == "encrypted" and not may_sign:
        return {**nothing, "webhook": webhook, "why": "encrypted"}
    try:
        made = await portal.trials.again(
            asked.tenant.id, webhook, found.event_id, attempts=len(found.attempts), signed=may_sign
        )
    except RequestNotMade as fault:
        return {**nothing, "webhook": webhook, "why": "broken", "detail": fault.detail}
    if made is None:
        return {**nothing, "webhook": webhook, "why": "forgotten"}
    return {"webhook": webhook, "shown": request_view.of(made), "why": "", "exact": bool(asked.one("exact"))}


def _id(asked: Asked) -> str:
    wanted = asked.path["id"]
    if not wanted.isascii() or not wanted.replace("_", "").isalnum():
        raise DeliveryNotFound("There is no delivery of this id.")
    return wanted


def _address(path: str, query: dict[str, Any]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


ROUTES = (
    Route(path="/deliveries", handler=listing, needs="see_webhooks"),
    Route(path="/deliveries/{id}", handler=show, needs="see_webhooks"),
    Route(path="/deliveries/{id}/replay", handler=send_again, needs="change_webhooks", method="POST"),
)

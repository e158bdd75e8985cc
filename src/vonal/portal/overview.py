"""The first page: how the company's phones are doing today, and whether all is well."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response

from vonal.domain.call import Call
from vonal.domain.directory import Tenant
from vonal.domain.errors import TelephonyUnavailable
from vonal.portal import live
from vonal.portal.asked import Asked
from vonal.portal.call_page import number_of_other
from vonal.portal.own_calls import own
from vonal.portal.page import page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import call_counts, calls, notices, webhook_health
from vonal.store.call_counts import HOUR_MS, Counted
from vonal.store.call_search import CallFilter
from vonal.store.notices import ShownNotice

MISSED_SHOWN = 5
NOTICES_SHOWN = 3
NOTICES_FOR = timedelta(days=2)
PHONES_SECONDS = 2.0  # the page does not wait for longer to know which phones are registered
HEIGHT = 140  # of the chart's bars, in its own units
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Hour:
    """A bar of the chart. `other`: neither answered nor missed: busy, refused, or still under way."""

    at: datetime
    answered: int
    missed: int
    other: int

    @property
    def all(self) -> int:
        """So many began in this hour."""
        return self.answered + self.missed + self.other


@dataclass(frozen=True, kw_only=True)
class Day:
    """Today, as the tenant's clock has it."""

    hours: list[Hour]

    @property
    def all(self) -> int:
        """Calls."""
        return sum(one.all for one in self.hours)

    @property
    def answered(self) -> int:
        """Calls in which people talked."""
        return sum(one.answered for one in self.hours)

    @property
    def missed(self) -> int:
        """Calls from outside that nobody answered."""
        return sum(one.missed for one in self.hours)

    @property
    def shown(self) -> list[Hour]:
        """From an hour before the first call (at the latest 8) until an hour after the last (at the earliest 18)."""
        with_calls = [n for n, one in enumerate(self.hours) if one.all]
        first, last = min([8, *with_calls]), max([17, *with_calls])
        return self.hours[first : last + 1]

    @property
    def most(self) -> int:
        """In one hour."""
        return max([one.all for one in self.hours] or [0])


async def overview(portal: Portal, asked: Asked) -> Response[bytes]:
    """Calls today, and whether all is well; only the figures for a script."""
    mine = own(asked.me)
    day, missed, any_ = await _calls(portal, asked.tenant, mine)
    running = await live.under_way(portal, asked)
    given: dict[str, Any] = {
        "day": day,
        "live": running,
        "missed": [(call, number_of_other(call)) for call in missed],
        "none_yet": not any_ and not running,
        "phones": await _phones(portal, asked.tenant) if mine is None else None,
        "height": HEIGHT,
        **(await _webhooks(portal, asked) if asked.me.may("see_webhooks") else {"health": None, "notices": []}),
    }
    return page(asked, "overview/figures.html" if asked.is_fragment else "overview.html", **given)


async def _calls(portal: Portal, tenant: Tenant, mine: str | None) -> tuple[Day, list[Call], bool]:
    start, hours = today(datetime.now(UTC), ZoneInfo(tenant.timezone))
    end = start + hours * _HOUR
    wanted = CallFilter(own=mine)
    lost = CallFilter(own=mine, direction="inbound", disposition="no_answer")
    given_up = CallFilter(own=mine, direction="inbound", disposition="cancelled")

    def look(tx: Any) -> tuple[list[Counted], list[Call], list[Call]]:
        counted = call_counts.by_hour(tenant.id, tx, since=start, until=end, own=mine)
        newest, _ = calls.listing(tenant.id, tx, wanted, limit=1)
        missed = [call for one in (lost, given_up) for call in calls.listing(tenant.id, tx, one, limit=MISSED_SHOWN)[0]]
        return counted, missed, newest

    counted, missed, newest = await portal.db.read(look)
    missed.sort(key=lambda call: call.started_at, reverse=True)
    return day_of(start, hours, counted), missed[:MISSED_SHOWN], bool(newest)


def today(now: datetime, zone: ZoneInfo) -> tuple[datetime, int]:
    """When today began there, and how many hours it has: 23 or 25 when clocks are changed."""
    date = now.astimezone(zone).date()
    start = datetime.combine(date, time(), zone).astimezone(UTC)
    end = datetime.combine(date + timedelta(days=1), time(), zone).astimezone(UTC)
    return start, -(-(end - start) // _HOUR)


def day_of(start: datetime, hours: int, counted: Iterable[Counted]) -> Day:
    """The day that began then."""
    found = {n: {"answered": 0, "missed": 0, "other": 0} for n in range(hours)}
    for one in counted:
        found[one.hour][_kind(one)] += one.calls
    step = timedelta(milliseconds=HOUR_MS)
    return Day(hours=[Hour(at=start + n * step, **kinds) for n, kinds in found.items()])


def _kind(one: Counted) -> str:
    if one.disposition == "answered":
        return "answered"
    return "missed" if one.direction == "inbound" else "other"


async def _phones(portal: Portal, tenant: Tenant) -> tuple[int, int] | None:
    """(registered, all); None when the phone system does not say."""
    try:
        async with asyncio.timeout(PHONES_SECONDS):
            found = await portal.phones(tenant.id)
    except (TelephonyUnavailable, TimeoutError):
        return None
    known = {one.number for one in tenant.extensions}
    return sum(1 for number, phone in found.items() if number in known and phone.registered), len(known)


async def _webhooks(portal: Portal, asked: Asked) -> dict[str, Any]:
    tenant = asked.tenant
    since = datetime.now(UTC) - NOTICES_FOR

    def look(tx: Any) -> tuple[dict[str, webhook_health.Health], list[ShownNotice]]:
        told, _ = notices.listing(tenant.id, tx, limit=NOTICES_SHOWN)
        return webhook_health.of(tenant.id, tx, tenant.webhooks), told

    health, told = await portal.db.read(look)
    fresh = [(datetime.fromisoformat(one.at), one) for one in told]
    return {"health": health, "notices": [(at, one) for at, one in fresh if at >= since]}


ROUTES = (Route(path="/", handler=overview, needs="member"),)

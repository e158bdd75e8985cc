"""What somebody looks for in the call log, as it stands in the page's address."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any, get_args
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from vonal.domain import numbers
from vonal.domain.call import Direction, Disposition
from vonal.domain.directory import Tenant
from vonal.portal.asked import Asked
from vonal.portal.own_calls import own
from vonal.portal.services import Portal
from vonal.portal.words import N_
from vonal.store.call_search import MOST_KEYS, CallFilter, numbers_ending

FEWEST_DIGITS = 4
NAMES = ("q", "direction", "disposition", "extension", "recorded", "from", "until")
_DIRECTIONS, _DISPOSITIONS = get_args(Direction), get_args(Disposition)
_BAD_DATE = N_("This is no date; write it as 2026-11-24.")
_FEW_DIGITS = N_("Type at least four digits of the number, its end if you know no more.")
_NOBODY = N_("Nobody of your company is called so; to find other people, type their number.")


@dataclass(frozen=True, kw_only=True)
class Search:
    """What was asked for. `typed`: by the fields' names; `faults`: likewise; None in `wanted`: nothing can fit."""

    typed: dict[str, str]
    wanted: CallFilter | None
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def filtered(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.typed)

    def address(self, path: str, **more: str) -> str:
        """`path` with what was asked for."""
        query = {**self.typed, **more}
        return f"{path}?{urlencode(query)}" if query else path


async def read(portal: Portal, asked: Asked) -> Search:
    """What the address asks for, within what the viewer may see."""
    typed = {name: value for name in NAMES if (value := asked.one(name)[:64])}
    faults: dict[str, str] = {}
    zone = ZoneInfo(asked.tenant.timezone)
    first, last = _day(typed, "from", faults), _day(typed, "until", faults)
    wanted: dict[str, Any] = {
        "from_": _midnight(first, zone) if first else None,
        "until": _midnight(last + timedelta(days=1), zone) if last else None,
        "direction": typed.get("direction") if typed.get("direction") in _DIRECTIONS else None,
        "disposition": typed.get("disposition") if typed.get("disposition") in _DISPOSITIONS else None,
        "has_recording": True if typed.get("recorded") == "1" else None,
        "extensions": (typed["extension"],) if "extension" in typed else (),
        "own": own(asked.me),
    }
    if text := typed.get("q"):
        found = await _parties(portal, asked.tenant, text)
        if isinstance(found, str):
            return Search(typed=typed, wanted=None, faults={**faults, "q": found})
        wanted |= found
    return Search(typed=typed, wanted=CallFilter(**wanted), faults=faults)


async def _parties(portal: Portal, tenant: Tenant, text: str) -> dict[str, Any] | str:
    """Whom the words or digits mean: an extension, people of the company, or numbers; or what is wrong with them."""
    if any(one.isalpha() for one in text):
        people = tuple(one.number for one in tenant.extensions if _plain(text) in _plain(one.name))
        return {"extensions": people[:MOST_KEYS]} if people else _NOBODY
    digits = re.sub(r"[^0-9]", "", text)
    if any(one.number == digits for one in tenant.extensions):
        return {"extensions": (digits,)}
    if len(digits) < FEWEST_DIGITS:
        return _FEW_DIGITS
    exact = numbers.read(text, tenant.country)
    look = partial(numbers_ending, tenant.id, digits=digits, limit=MOST_KEYS)
    ending = await portal.db.read(look)
    return {"numbers": tuple(_once([exact or digits, *ending]))[:MOST_KEYS]}


def _once(these: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(these)


def _plain(name: str) -> str:
    """As people compare names: without accents and capitals."""
    letters = unicodedata.normalize("NFD", name.casefold())
    return "".join(one for one in letters if not unicodedata.combining(one))


def _day(typed: dict[str, str], name: str, faults: dict[str, str]) -> date | None:
    if name not in typed:
        return None
    try:
        found = date.fromisoformat(typed[name])
        if found.year in range(1980, 2200):
            return found
    except ValueError:
        pass
    faults[name] = _BAD_DATE
    return None


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)

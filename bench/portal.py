"""How long the portal's lists take among millions of calls, beside the same among ten thousand, in turns.

Nothing here passes or fails: the ratios stand beside what is aimed at. See docs/reference/performance.md.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import msgspec
from msgspec import Struct

sys.path.insert(0, str(Path(__file__).parent))
import call_filling
import filling
from call_filling import OWN, RARE, TENANT, customer
from parts import QUICK, STORES, Bench
from vonal.config import Settings
from vonal.store import call_search, calls
from vonal.store.calls import CallFilter
from vonal.store.database import Database

FEW = 10_000
WARMING = 6  # turns
PAGE = 50
AIM = 1.5
ROW = "{:<11} {:<44} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}"
HEAD = ("database", "list", "few p50", "p95", "many p50", "p95", "ratio", "aim")


class Chance:
    """Something of a year of so many calls; the same for the same turn."""

    def __init__(self, rows: int, turn: int) -> None:
        self._rows, self._dice = rows, random.Random(turn)

    def extension(self) -> tuple[str]:
        return (str(101 + self._dice.randrange(call_filling.EXTENSIONS)),)

    def number(self) -> tuple[str]:
        return (customer(self._dice.randrange(10**9), self._rows),)

    def month(self) -> dict[str, datetime]:
        until = datetime.now(UTC) - timedelta(days=self._dice.randrange(300))
        return {"from_": until - timedelta(days=30), "until": until}

    def of(self, *these: str) -> Any:
        return self._dice.choice(these)


CASES: dict[str, Callable[[Chance], CallFilter]] = {
    "first page": lambda _: CallFilter(),
    "direction": lambda a: CallFilter(direction=a.of("inbound", "outbound", "internal")),
    "disposition": lambda a: CallFilter(disposition=a.of("answered", "no_answer", "busy", "cancelled")),
    "a rare disposition": lambda _: CallFilter(disposition="failed"),
    "with a recording": lambda _: CallFilter(has_recording=True),
    "an extension": lambda a: CallFilter(extensions=a.extension()),
    "a month": lambda a: CallFilter(**a.month()),
    "missed ones of a month": lambda a: CallFilter(**a.month(), disposition="no_answer"),
    "missed inbound": lambda _: CallFilter(direction="inbound", disposition="no_answer"),
    "failed ones of an extension": lambda a: CallFilter(extensions=a.extension(), disposition="failed"),
    "a number": lambda a: CallFilter(numbers=a.number()),
    "a number of ours": lambda _: CallFilter(numbers=(OWN,)),
    "a number, recorded": lambda a: CallFilter(numbers=a.number(), has_recording=True),
    "an agent's, a number": lambda a: CallFilter(own=a.extension()[0], numbers=a.number()),
    "an agent's, a number of ours": lambda a: CallFilter(own=a.extension()[0], numbers=(OWN,)),
    "a rare agent's, a number of ours": lambda _: CallFilter(own=RARE, numbers=(OWN,)),
}


class Line(Struct, frozen=True, kw_only=True):
    """One list, times in ms."""

    store: str
    what: str
    few: tuple[float, float]
    many: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.many[0] / self.few[0]


def measure(store: str, few: Database, many: Database, *, rows: int, turns: int) -> Iterator[Line]:
    """Every list in turns; p50 and p95."""
    for what, look in LOOKS.items():
        times: dict[str, list[float]] = {"few": [], "many": []}
        for turn in range(turns + WARMING):
            for name, db, size in (("few", few, FEW), ("many", many, rows)):
                work = partial(look, Chance(size, turn))
                began = time.perf_counter()
                db.read_now(work)
                times[name].append((time.perf_counter() - began) * 1000)
        yield Line(store=store, what=what, **{name: _middle(found[WARMING:]) for name, found in times.items()})


def _listing(a: Chance, tx: Any, *, case: Callable[[Chance], CallFilter]) -> None:
    calls.listing(TENANT, tx, case(a), limit=PAGE)


def _further(a: Chance, tx: Any) -> None:
    at = round(a.month()["until"].timestamp() * 1000)
    calls.listing(TENANT, tx, CallFilter(extensions=a.extension()), after=f"{at}.call_z", limit=PAGE)


def _ending(a: Chance, tx: Any) -> None:
    call_search.numbers_ending(TENANT, tx, a.number()[0][-7:], limit=8)


LOOKS: dict[str, Callable[[Chance, Any], None]] = {
    **{what: partial(_listing, case=case) for what, case in CASES.items()},
    "a further page of an extension": _further,
    "numbers by their last 7 digits": _ending,
}


def _middle(times: list[float]) -> tuple[float, float]:
    return median(times), quantiles(times, n=20, method="inclusive")[18]


@contextmanager
def opened(bench: Bench, store: str, rows: int) -> Iterator[tuple[Database, str]]:
    """A database with so many calls."""
    with bench.database(store) as place:
        call_filling.fill(place.url, rows=rows)
        db = Database(Settings(database_url=place.url).sqlalchemy_url, owner=True)
        yield db, place.url
        db.close()


def main() -> None:
    """The command."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rows", type=int, default=100_000, help="calls of the large database (100000)")
    words.add_argument("--turns", type=int, default=60, help="times that each list is read (60)")
    words.add_argument("--only", choices=STORES, help="one database")
    words.add_argument("--json", action="store_true", help="the figures as JSON")
    given = words.parse_args()
    tell = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    found: list[Line] = []
    with Bench(QUICK, STORES, tell) as bench:
        for store in [given.only] if given.only else STORES:
            with opened(bench, store, FEW) as (few, _), opened(bench, store, given.rows) as (many, url):
                tell(f"{store}: {given.rows:,} calls, {filling.size_mb(url):,.0f} MB")
                found += measure(store, few, many, rows=given.rows, turns=given.turns)
    if given.json:
        print(msgspec.json.encode([{**msgspec.to_builtins(one), "ratio": one.ratio} for one in found]).decode())
        return
    print(ROW.format(*HEAD))
    for one in found:
        figures = [f"{value:.2f}" for value in (*one.few, *one.many, one.ratio)]
        print(ROW.format(one.store, one.what, *figures, f"≤ {AIM}"))


if __name__ == "__main__":
    main()

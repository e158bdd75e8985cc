"""The parts of the delivery's bench: who is measured at what, in turns, so that a noisy moment meets everybody."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Self

import msgspec
from msgspec import Struct

import filling
import world
from postgresql import Server, running_server
from sink import Sink
from vonal.config import Settings
from vonal.store import migrate
from vonal.store.database import Database
from world import Figures, Spec

STORES = ("sqlite", "postgresql")
PARTS = ("floor", "burst", "peers", "latency", "isolation", "backlog", "rows")
HEALTHY, HEALTHY_RATE = 50, 50
SETTLE = 20.0  # s: the endless ones answer 200, so at first their backlog is worked off as fast as it goes
SOON = 1.0
DEAD_AT_ONCE = ("hang", "500", "refused")  # those of which nothing is delivered
BACKLOG_OF_DEAD = 50
DRIPPING = ("drip",)


class Size(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    rounds: int = 3
    floor: int = 20_000
    burst: int = 20_000
    celery: int = 3_000
    careful: int = 1_000  # Celery that promises as much as we do
    procrastinate: int = 1_000
    seconds: float = 8  # at a fixed rate
    long: float = 20  # beside dead webhooks, once
    dead: int = 1_000
    backlog: int = 1_000_000
    rows: int = 0


QUICK = Size(
    rounds=1,
    floor=8_000,
    burst=5_000,
    celery=600,
    careful=300,
    procrastinate=200,
    seconds=3,
    long=4,
    dead=200,
    backlog=50_000,
)


class Place(Struct, frozen=True):
    """A database: its URL, and the process of the server that has it (0: there is none)."""

    url: str
    server: int = 0


class Bench:
    """Sinks, and databases by kind. `found[part, contender]`: the figures of each round."""

    def __init__(self, size: Size, stores: tuple[str, ...], tell: Callable[[str], None], *, profile: str = "") -> None:
        self.size, self.stores, self._tell, self._profile = size, stores, tell, profile
        self.found: dict[tuple[str, str], list[Figures]] = {}
        self._stack = ExitStack()
        self._server: tuple[Server, int] | None = None
        self._made = 0

    def __enter__(self) -> Self:
        self.sink = self._stack.enter_context(Sink()).port
        self.dead_sink = self._stack.enter_context(Sink()).port
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vonal-bench-")))
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def figures(self, part: str, contender: str) -> Figures | None:
        """The medians of all rounds; what went missing is added up."""
        rounds = self.found.get((part, contender))
        if not rounds:
            return None
        missing = {"events": sum(one.events for one in rounds), "missing": sum(one.missing for one in rounds)}
        return msgspec.structs.replace(rounds[0], **{**_medians(rounds), **missing})

    def measure(self, part: str, contender: str, script: str, place: Place | None = None, **how: Any) -> Figures:
        """Runs a contender once."""
        self._tell(f"{part}: {contender} …")
        where = {"database": place.url, "server": place.server} if place else {}
        profile = ("-m", "cProfile", "-o", self._profile) if self._profile and script == "ours" else ()
        spec = Spec(**{"sink": self.sink, "dead_sink": self.dead_sink, **where, **how})
        figures = world.run(script, spec, profile=profile)
        self.found.setdefault((part, contender), []).append(figures)
        return figures

    @contextmanager
    def database(self, store: str) -> Iterator[Place]:
        """A fresh one, with all tables."""
        self._made += 1
        name = f"bench{self._made}"
        if store == "sqlite":
            folder = self._folder / name
            folder.mkdir()
            place = Place(f"sqlite:///{folder / 'vonal.db'}")
            migrated(place.url)
            yield place
            shutil.rmtree(folder)
        else:
            server, pid = self.server()
            server.create(name)
            place = Place(server.url(name), pid)
            migrated(place.url)
            yield place
            server.drop(name)

    def fill(self, place: Place, *, lanes: int, rows: int, delivered: bool = False) -> None:
        """Puts deliveries into the database (`filling.fill`)."""
        if rows:
            self._tell(f"filling with {rows:,} rows …")
            filling.fill(place.url, lanes=lanes, rows=rows, delivered=delivered)

    def server(self) -> tuple[Server, int]:
        """PostgreSQL, and its process."""
        if self._server is None:
            server = self._stack.enter_context(running_server())
            self._server = server, filling.postmaster(server.url("postgres"))
        return self._server


def migrated(url: str) -> None:
    """Makes the tables."""
    opened = Database(Settings(database_url=url).sqlalchemy_url, owner=True)
    migrate.upgrade(opened.engine)
    opened.close()


def _medians(rounds: list[Figures]) -> dict[str, float]:
    found = {}
    for name in Figures.__struct_fields__:
        values = [getattr(one, name) for one in rounds if getattr(one, name) is not None]
        if values:
            found[name] = median(values)
    return found


# --- the parts -------------------------------------------------------------------------------------------------------


def bursts(bench: Bench, parts: set[str]) -> None:
    """As many as go: the bare client, ours and the peers, taking turns."""
    size = bench.size
    for _ in range(size.rounds):
        if "floor" in parts:
            bench.measure("burst", "client", "bare", events=size.floor, option="client")
            bench.measure("burst", "sender", "bare", events=size.floor, option="sender")
        if "burst" in parts:
            for store in bench.stores:
                with bench.database(store) as place:
                    bench.measure("burst", store, "ours", place, events=size.burst)
        if "peers" in parts:
            bench.measure("burst", "celery", "peer_celery", events=size.celery)
            bench.measure("burst", "celery, careful", "peer_celery", events=size.careful, option="careful")
            with bench.database("postgresql") as place:
                bench.measure("burst", "procrastinate", "peer_procrastinate", place, events=size.procrastinate)


def latency(bench: Bench, parts: set[str]) -> None:
    """At a fixed rate: from the event in hand to the request on the wire."""
    for _ in range(bench.size.rounds):
        for rate in (50, 1000):
            for store in bench.stores:
                with bench.database(store) as place:
                    _at(bench, rate, store, "ours", place)
    if "peers" in parts:
        _at(bench, 50, "celery", "peer_celery", None)
        with bench.database("postgresql") as place:
            _at(bench, 50, "procrastinate", "peer_procrastinate", place)


def _at(bench: Bench, rate: int, contender: str, script: str, place: Place | None) -> Figures:
    return bench.measure(f"{rate}/s", contender, script, place, work="open", rate=rate, seconds=bench.size.seconds)


def isolation(bench: Bench, _parts: set[str]) -> None:
    """Healthy webhooks, without and with many dead ones."""
    dead = bench.size.dead
    groups = (
        ("none dead", 0, world.KINDS, SOON),
        (f"{dead} dead", dead, world.KINDS, SETTLE),
        (f"{dead} dead at the start", dead, DEAD_AT_ONCE, SOON),
        (f"{dead} dripping", dead, DRIPPING, SETTLE),
    )
    for store in bench.stores:
        for name, how_many, kinds, settle in groups:
            with bench.database(store) as place:
                bench.fill(place, lanes=how_many, rows=how_many * BACKLOG_OF_DEAD)
                _healthy(bench, "isolation", f"{store}, {name}", place, dead=how_many, kinds=kinds, settle=settle)


def backlog(bench: Bench, _parts: set[str]) -> None:
    """Healthy webhooks, without and with one dead one that is owed very much."""
    how_many = bench.size.backlog
    for store in bench.stores:
        for rows in (0, how_many):
            with bench.database(store) as place:
                bench.fill(place, lanes=1, rows=rows)
                figures = _healthy(bench, "backlog", f"{store}, {rows} rows", place, dead=1, kinds=("500",))
                figures.size_mb = filling.size_mb(place.url)


def rows(bench: Bench, _parts: set[str]) -> None:
    """A burst and a fixed rate with many delivered rows behind, and without."""
    if not bench.size.rows:
        return
    for store in bench.stores:
        for behind in (0, bench.size.rows):
            with bench.database(store) as place:
                bench.fill(place, lanes=1000, rows=behind, delivered=True)
                for _ in range(bench.size.rounds):
                    name = f"{store}, {behind} rows"
                    figures = bench.measure("rows", name, "ours", place, events=bench.size.burst)
                    open_ = _at(bench, 50, name, "ours", place)
                    figures.size_mb = open_.size_mb = filling.size_mb(place.url)


def _healthy(bench: Bench, part: str, contender: str, place: Place, **dead: Any) -> Figures:
    how = {"work": "open", "rate": HEALTHY_RATE, "seconds": bench.size.long, "lanes": HEALTHY, **dead}
    return bench.measure(part, contender, "ours", place, **how)

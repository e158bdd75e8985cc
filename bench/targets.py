"""What was reached beside what is aimed at."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from parts import Size
from world import Figures

Find = Callable[[str, str], Figures | None]


class Line(Struct, frozen=True):
    """One comparison. `target` says at least or at most; empty when nothing was promised."""

    what: str
    reached: float
    target: str = ""

    @property
    def met(self) -> bool:
        """Whether it holds."""
        if not self.target:
            return True
        sign, _, number = self.target.partition(" ")
        return self.reached >= float(number) if sign == "≥" else self.reached <= float(number)


def lines(find: Find, stores: tuple[str, ...], size: Size) -> list[Line]:
    """Every comparison that what was measured allows."""
    found: list[Line] = []
    for store in stores:
        found += [Line(f"{store}: {line.what}", line.reached, line.target) for line in _of(find, store, size)]
    return found


def _of(find: Find, store: str, size: Size) -> Iterator[Line]:
    ours, slow, fast = find("burst", store), find("50/s", store), find("1000/s", store)
    if ours:
        yield from _rates(find, ours)
    if slow:
        yield from _ratio("event → wire p50 at 50/s, of Celery's", slow, find("50/s", "celery"), "wire_p50", "≤ 0.4")
        yield from _ratio("event → wire p99 at 50/s, of Celery's", slow, find("50/s", "celery"), "wire_p99", "≤ 0.4")
        yield Line("commit → wire p99 at 50/s, ms", slow.commit_p99 or 0, "≤ 2")
    if fast:
        yield Line("event → wire p99 at 1000/s, ms", fast.wire_p99 or 0, "≤ 5")
    alone = find("isolation", f"{store}, none dead")
    for name in (f"{size.dead} dead", f"{size.dead} dead at the start", f"{size.dead} dripping"):
        beside = find("isolation", f"{store}, {name}")
        yield from _ratio(f"healthy p50 beside {name}, of that alone", beside, alone, "wire_p50", "")
        yield from _ratio(f"healthy p99 beside {name}, of that alone", beside, alone, "wire_p99", "≤ 1.2")
    yield from _backlog(find("backlog", f"{store}, {size.backlog} rows"), find("backlog", f"{store}, 0 rows"), size)
    for part, name, what in (("rows", "per_s", "burst"), ("50/s", "wire_p99", "event → wire p99 at 50/s")):
        many, none = find(part, f"{store}, {size.rows} rows"), find(part, f"{store}, 0 rows")
        yield from _ratio(f"{what} with {size.rows:,} delivered rows, of that with none", many, none, name, "")
        if many and many.size_mb and part == "rows":
            yield Line("size on disk, MB", many.size_mb)


def _rates(find: Find, ours: Figures) -> Iterator[Line]:
    for name, who, target in (
        ("client", "the bare client", "≥ 0.45"),
        ("celery", "Celery", "≥ 15"),
        ("celery, careful", "Celery, AOF and late ack", ""),
        ("procrastinate", "procrastinate", "≥ 45"),
    ):
        yield from _ratio(f"events/s, of {who}'s", ours, find("burst", name), "per_s", target)
    yield Line("CPU per event, ms", ours.cpu or 0, "≤ 0.15")


def _backlog(many: Figures | None, none: Figures | None, size: Size) -> Iterator[Line]:
    what = f"with {size.backlog:,} rows in a dead lane"
    yield from _ratio(f"healthy p99 {what}", many, none, "wire_p99", "≤ 1.25")
    if many and none:
        yield Line(f"memory {what}, MB more", (many.rss_mb or 0) - (none.rss_mb or 0), "≤ 20")
        yield Line(f"start {what}, s to the first request", (many.first or 0) / 1000, "≤ 2")


def _ratio(what: str, one: Figures | None, other: Figures | None, name: str, target: str) -> Iterator[Line]:
    if one and other and getattr(one, name) and getattr(other, name):
        yield Line(what, getattr(one, name) / getattr(other, name), target)

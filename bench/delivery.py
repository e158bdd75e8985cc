"""How fast webhooks are served: Vonal's delivery beside the bare HTTP client and beside others that do the same work.

All of one run meets the same sink on the same machine, so read ratios. Nothing here passes or fails: what was reached
stands beside what is aimed at. See docs/reference/performance.md.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent))
import parts
import targets
from parts import PARTS, QUICK, STORES, Bench, Size
from world import Figures

ROW = "{:<12} {:<24} {:>7} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8}"
HEAD = ("part", "who", "events", "missing", "events/s", "CPU ms", "wire p50", "p99", "commit", "p99")


def main() -> None:
    """The command."""
    given = _words().parse_args()
    began = time.monotonic()
    chosen = set(given.parts or [one for one in PARTS if one != "rows"])
    size = msgspec.structs.replace(QUICK if given.quick else Size(), **_changes(given))
    if size.rows:
        chosen.add("rows")
    stores = (given.only,) if given.only else STORES

    def tell(text: str) -> None:
        if not given.json:
            print(f"[{time.monotonic() - began:5.0f} s] {text}", file=sys.stderr, flush=True)

    with Bench(size, stores, tell, profile=given.profile) as bench:
        _measure(bench, chosen)
        show = _as_json if given.json else _as_text
        show(bench)


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all but rows", choices=[*PARTS, []]
    )
    words.add_argument("--quick", action="store_true", help="one small round of everything: a look, no measurement")
    words.add_argument("--json", action="store_true", help="the figures as JSON")
    words.add_argument("--only", choices=STORES, help="one database")
    words.add_argument("--rounds", type=int, help="of which medians are taken (3)")
    words.add_argument("--seconds", type=float, help="how long each round at a fixed rate lasts (8)")
    words.add_argument("--burst", type=int, metavar="N", help="events of a burst of ours (20000)")
    words.add_argument(
        "--rows",
        type=int,
        metavar="N",
        help="part `rows`: so many delivered rows; 10000000 take 25 GB and most of an hour",
    )
    words.add_argument("--profile", default="", metavar="FILE", help="cProfile of ours into this file; spoils figures")
    return words


def _changes(given: argparse.Namespace) -> dict[str, Any]:
    named = {name: getattr(given, name) for name in ("rounds", "seconds", "burst", "rows")}
    return {name: value for name, value in named.items() if value is not None}


def _measure(bench: Bench, chosen: set[str]) -> None:
    if chosen & {"floor", "burst", "peers"}:
        parts.bursts(bench, chosen)
    steps: dict[str, Callable[[Bench, set[str]], None]] = {
        "latency": parts.latency,
        "isolation": parts.isolation,
        "backlog": parts.backlog,
        "rows": parts.rows,
    }
    for name, step in steps.items():
        if name in chosen:
            step(bench, chosen)


def _as_text(bench: Bench) -> None:
    print(ROW.format(*HEAD))
    for part, who in bench.found:
        one = bench.figures(part, who)
        assert one
        times = (one.wire_p50, one.wire_p99, one.commit_p50, one.commit_p99)
        rate = f"{one.per_s:.0f}" if one.per_s else ""
        print(ROW.format(part, who, one.events, one.missing, rate, _short(one.cpu, 3), *map(_short, times)))
    print(f"\n{'':<58} {'reached':>9} {'target':>9}")
    for line in targets.lines(bench.figures, bench.stores, bench.size):
        print(f"{line.what:<58} {line.reached:>9.3g} {line.target:>9}{'' if line.met else '  missed'}")
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; times in ms; CPU of app and database, per event")


def _as_json(bench: Bench) -> None:
    measured: dict[str, dict[str, Figures | None]] = {}
    for part, who in bench.found:
        measured.setdefault(part, {})[who] = bench.figures(part, who)
    lines = targets.lines(bench.figures, bench.stores, bench.size)
    done = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "measured": measured, "targets": lines}
    print(msgspec.json.format(msgspec.json.encode(done)).decode())


def _short(value: float | None, places: int = 2) -> str:
    return "" if value is None else f"{value:.{places}f}"


if __name__ == "__main__":
    main()

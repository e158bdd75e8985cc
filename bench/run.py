"""How fast Vonal is: from the INVITE on the wire to the request at the CRM, and what a call costs in CPU.

Beside it, in the same run and in turns: the floor, a bare ARI listener that posts at once and stores nothing, on an
Asterisk with the same configuration. See docs/reference/performance.md.
"""

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

import msgspec
from msgspec import Struct

sys.path.insert(0, str(Path(__file__).parent))
import load
from house import POP, WHOLE, WHOLE_SET, Crm, House, Ports, cpu_ms, free_ports, start_floor

SETTLE = 1.0
ROW = "{:>7} {:>9} {:>8} {:>8} {:>8} {:>8} {:>9} {:>7} {:>8}"


class Measured(Struct, kw_only=True):
    """One contender at one rate. Times in ms: INVITE → CRM; CPU per call of the contender and of its Asterisk.

    `failed`: calls that did not come to their proper end, which SIP or the load is to blame for as well; `missing`:
    requests of the other calls that were not at the CRM when the round was over, whether late or dropped.
    """

    rate: int
    contender: str
    calls: int
    failed: int
    missing: int
    p50: float
    p99: float
    cpu: float
    asterisk: float


class Contender(Struct):
    """Who tells the CRM of calls to `number`: a process, beside its Asterisk."""

    name: str
    number: str
    pid: int
    asterisk: int
    carrier: load.Carrier
    requests: int  # per call


class Bench:
    """Everything running."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._callers = itertools.count(1)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.crm = Crm()
        self._stack.callback(self.crm.stop)
        vonal, carrier = await self._house("vonal", 20000)
        bare, bare_carrier = await self._house("bare", 23000)
        bare.kill_service()
        floor = start_floor(bare, self.crm)
        self._stack.callback(floor.wait)
        self._stack.callback(floor.kill)
        self.vonal = vonal
        pid = vonal.service.pid
        self.contenders = [
            Contender("floor", POP, floor.pid, bare.asterisk, bare_carrier, 1),
            Contender("vonal", POP, pid, vonal.asterisk, carrier, 1),
            Contender("whole set", WHOLE, pid, vonal.asterisk, carrier, len(WHOLE_SET)),
        ]
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self._stack.aclose()

    async def _house(self, name: str, rtp: int) -> tuple[House, load.Carrier]:
        ports = Ports(*free_ports(5), rtp=rtp)
        house = House(self._folder / name, ports, self.crm.url)
        self._stack.push_async_callback(house.stop)
        await house.start()
        carrier = load.Carrier(("127.0.0.1", ports.sip))
        await load.endpoint(carrier, ports.carrier)
        await load.endpoint(load.Phone(), ports.phone)
        return house, carrier

    async def measure(self, who: Contender, rate: int, count: int) -> Measured:
        """One round."""
        await self.crm.taken()
        first = next(self._callers)
        self._callers = itertools.count(first + count)
        before = cpu_ms(who.pid), cpu_ms(who.asterisk)
        sent = await load.calls(who.number, first=first, count=count, rate=rate, carrier=who.carrier)
        await asyncio.sleep(SETTLE)
        after = cpu_ms(who.pid), cpu_ms(who.asterisk)
        taken = await self.crm.taken()
        arrived = {number: at for at, event, number in taken if event in ("", "call.incoming")}
        times = [(arrived[by] - at) * 1000 for by, at in sent.at.items() if by in arrived]
        requests = {(event, number) for _, event, number in taken if number in sent.ended}
        return Measured(
            rate=rate,
            contender=who.name,
            calls=len(sent.ended),
            failed=count - len(sent.ended),
            missing=who.requests * len(sent.ended) - len(requests),
            p50=median(times),
            p99=quantiles(times, n=100, method="inclusive")[98],
            cpu=(after[0] - before[0]) / count,
            asterisk=(after[1] - before[1]) / count,
        )

    async def idle(self, seconds: float) -> float:
        """CPU of the service without calls, in percent of a core."""
        before = cpu_ms(self.vonal.service.pid)
        await asyncio.sleep(seconds)
        return (cpu_ms(self.vonal.service.pid) - before) / seconds / 10


def summed(rounds: list[Measured]) -> Measured:
    """The medians of several rounds of one contender at one rate; calls and what went wrong added up."""
    mid: Callable[[str], float] = lambda name: median(getattr(one, name) for one in rounds)  # noqa: E731
    return Measured(
        rate=rounds[0].rate,
        contender=rounds[0].contender,
        calls=sum(one.calls for one in rounds),
        failed=sum(one.failed for one in rounds),
        missing=sum(one.missing for one in rounds),
        p50=mid("p50"),
        p99=mid("p99"),
        cpu=mid("cpu"),
        asterisk=mid("asterisk"),
    )


async def run(rates: list[int], *, seconds: float, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measures in turns, so that a noisy moment meets everybody; returns what --json prints."""
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="vonal-bench-") as folder:
        async with Bench(Path(folder)) as bench:
            for who in bench.contenders:
                await bench.measure(who, 10, 20)  # warms up
            idle = await bench.idle(seconds)
            tell(f"idle: {idle:.2f} % of a core\n" + ROW.format(*HEAD))
            for rate in rates:
                taken = {who.name: [] for who in bench.contenders}  # type: dict[str, list[Measured]]
                for _ in range(rounds):
                    for who in bench.contenders:
                        taken[who.name].append(await bench.measure(who, rate, max(int(rate * seconds), 20)))
                for one in taken.values():
                    found.append(summed(one))
                    tell(_line(found[-1], found[-len(taken) :]))
    return {"cores": os.cpu_count(), "load": os.getloadavg()[0], "idle_percent": idle, "measured": found}


HEAD = ("calls/s", "who", "p50 ms", "p99 ms", "/ floor", "CPU ms", "Asterisk", "failed", "missing")


def _line(one: Measured, same_rate: list[Measured]) -> str:
    floor = next((other for other in same_rate if other.contender == "floor"), one)
    return ROW.format(
        one.rate,
        one.contender,
        f"{one.p50:.2f}",
        f"{one.p99:.2f}",
        f"{one.p50 / floor.p50:.2f}",
        f"{one.cpu:.2f}",
        f"{one.asterisk:.2f}",
        one.failed,
        one.missing,
    )


def main() -> None:
    """The command."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--short", action="store_true", help="one round of a few seconds: a look, no measurement")
    words.add_argument("--json", action="store_true", help="the figures as JSON")
    words.add_argument("--rates", type=int, nargs="+", default=[5, 20, 50], metavar="N", help="calls per second")
    words.add_argument("--rounds", type=int, default=3, help="of which medians are taken (3)")
    words.add_argument("--seconds", type=float, default=15, help="how long each round sends calls (15)")
    given = words.parse_args()
    if given.short:
        given.rounds, given.seconds = 1, 4
    tell: Callable[[str], None] = (lambda _: None) if given.json else (lambda text: print(text, flush=True))
    done = asyncio.run(run(given.rates, seconds=given.seconds, rounds=given.rounds, tell=tell))
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(done)).decode())


if __name__ == "__main__":
    main()

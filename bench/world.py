"""What all contenders have in common: what they are told to do, webhooks, events, and how time is taken.

A contender is a script of its own: `python ours.py SPEC`, where SPEC is JSON; its last line of output is its `Figures`.
"""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from sample_calls import answered_call, recording  # noqa: E402 - lies beside us
from vonal.domain.call import Call, Party  # noqa: E402
from vonal.domain.directory import Directory, Security, Tenant, Webhook, WebhookScope  # noqa: E402
from vonal.domain.events import CallEvent, next_event  # noqa: E402
from vonal.webhooks import envelope  # noqa: E402

SECRET = "whsec_" + "c2lnbmVkLWJ5LXRoZS1iZW5jaG1hcms="
PER_TENANT = 10
HOSTS = 10  # addresses of loopback: as many connections as requests.Session keeps
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # ms
KINDS = ("hang", "500", "endless", "refused")


class Spec(Struct, kw_only=True, omit_defaults=True):
    """One measurement. `work`: a burst of `events` as fast as they go, or `open`: at `rate`/s for `seconds`.

    `dead` webhooks of `kinds` (paths of the sink, or "refused") are there besides the `lanes` that answer; what they
    are owed was put into the database before. `server`: the process of PostgreSQL, whose CPU counts too.
    """

    sink: int  # port
    work: str = "burst"
    events: int = 1000
    rate: float = 0
    seconds: float = 0
    lanes: int = 100
    database: str = ""
    server: int = 0
    dead: int = 0
    dead_sink: int = 0
    settle: float = 0  # s between the first event and the measurement, in which the dead are found to be dead
    kinds: tuple[str, ...] = KINDS
    batch: int = 128
    at_once: int = 32
    option: str = ""


class Figures(Struct, kw_only=True, omit_defaults=True):
    """What came out; None where it does not apply. Times in ms, rates per second, `cpu` in ms for each event."""

    events: int = 0
    missing: int = 0
    per_s: float | None = None
    cpu: float | None = None
    server_cpu: float | None = None
    wire_p50: float | None = None  # event in hand → request on the wire
    wire_p99: float | None = None
    commit_p50: float | None = None  # commit → request on the wire
    commit_p99: float | None = None
    first: float | None = None  # start of the worker → first request on the wire
    rss_mb: float | None = None  # what the process has grown by
    size_mb: float | None = None  # of the database


def run(script: str, spec: Spec, *, profile: Sequence[str] = ()) -> Figures:
    """Runs a contender and returns its figures."""
    command = [sys.executable, *profile, HERE / f"{script}.py", msgspec.json.encode(spec).decode()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Figures)


def contender(work: Callable[[Spec], Any]) -> None:
    """A contender's `main`: `work(spec)` is a coroutine that returns its figures."""
    import uvloop  # noqa: PLC0415 - only where a loop is run

    spec = msgspec.json.decode(sys.argv[1], type=Spec)
    figures = uvloop.run(work(spec))
    print(msgspec.json.encode(figures).decode(), flush=True)


# --- webhooks and events ---------------------------------------------------------------------------------------------


def number(lane: int) -> str:
    """The number that is called; by it the webhook is found."""
    return f"+361{lane:07d}"


def tenant_of(kind: str, lane: int) -> str:
    """Whose webhook number `lane` is."""
    return f"{kind}{lane // PER_TENANT}"


def webhook(lane: int, url: str) -> Webhook:
    """A signed webhook that wants the records of its number."""
    return Webhook(
        id=f"w{lane % PER_TENANT}",
        url=url,
        events=["call.completed"],
        security=Security(type="hmac", key=SECRET),
        fields="full",
        scope=WebhookScope(numbers=[number(lane)]),
    )


def hooks(spec: Spec) -> list[Webhook]:
    """Those that answer, by lane."""
    return [webhook(lane, f"http://127.0.0.{1 + lane % HOSTS}:{spec.sink}/ok/{lane}") for lane in range(spec.lanes)]


def dead_hooks(spec: Spec) -> list[Webhook]:
    """Those that do not, by lane; each has an address of its own."""
    made = []
    for lane in range(spec.dead):
        kind = spec.kinds[lane % len(spec.kinds)]
        port = 9 if kind == "refused" else spec.dead_sink
        made.append(webhook(lane, f"http://127.1.{lane // 250}.{1 + lane % 250}:{port}/{kind}/{lane}"))
    return made


def directory(spec: Spec) -> Directory:
    """Everybody's."""
    found: dict[str, list[Webhook]] = {}
    for kind, those in (("ok", hooks(spec)), ("dead", dead_hooks(spec))):
        for lane, hook in enumerate(those):
            found.setdefault(tenant_of(kind, lane), []).append(hook)
    return Directory(tenants=[Tenant(id=name, country="HU", webhooks=those) for name, those in found.items()])


def call(kind: str, lane: int) -> Call:
    """A call to the lane's number that is over, fresh but for its story."""
    to = Party(number=number(lane), raw=number(lane)[1:], name="Központ")
    return answered_call(tenant_of(kind, lane), at=datetime.now(UTC), to=to, recordings=[recording()])


def events(spec: Spec, how_many: int) -> list[CallEvent]:
    """One record (`call.completed`) of each of so many calls, in turns to all lanes."""
    now = datetime.now(UTC)
    return [next_event(call("ok", n % spec.lanes), "call.completed", now) for n in range(how_many)]


def bodies(spec: Spec, told: Sequence[CallEvent]) -> list[tuple[str, dict[str, Any]]]:
    """The same as (URL, what Vonal sends there as JSON), for those that have no envelopes."""
    setting = envelope.Setting(timezone="UTC", base_url="http://pbx.example")
    made = []
    targets = hooks(spec)
    for n, one in enumerate(told):
        hook = targets[n % spec.lanes]
        request = envelope.request(one, hook, setting, attempt=1, timestamp=0)
        made.append((hook.url, msgspec.json.decode(request.body)))
    return made


# --- time, CPU and memory --------------------------------------------------------------------------------------------


class Metronome:
    """Gives items out at a fixed rate, whatever becomes of them; a thread, so that a busy loop hides nothing.

    `await take()` gives what is there: (monotonic ns when it came, item). Empty when all were given out.
    """

    def __init__(self, items: Sequence[Any], rate: float) -> None:
        self._items, self._rate = items, rate
        self._there: deque[tuple[int, Any]] = deque()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._left = len(items)

    def start(self) -> Self:
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    async def take(self) -> list[tuple[int, Any]]:
        while self._left and not self._there:
            self._wake.clear()
            await self._wake.wait()
        taken = []
        while self._there:
            taken.append(self._there.popleft())
        self._left -= len(taken)
        return taken

    def _beat(self) -> None:
        begin = time.monotonic()
        for n, item in enumerate(self._items):
            if (wait := begin + n / self._rate - time.monotonic()) > 0:
                time.sleep(wait)
            self._there.append((time.monotonic_ns(), item))
            self._loop.call_soon_threadsafe(self._wake.set)


def cpu_here() -> float:
    """The CPU time (ms) that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000


def cpu_tree(*roots: int) -> float:
    """The CPU time (ms) of processes with all their descendants, also those that have ended; 0 is no process."""
    if not any(roots):
        return 0.0
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stats[int(path.parent.name)] = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
    family = set(roots)
    while more := {one for one, fields in stats.items() if int(fields[1]) in family} - family:
        family |= more
    return sum(sum(map(int, stats[one][11:15])) for one in family if one in stats) * TICK


def rss_mb() -> float:
    """The memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def delays(since: Mapping[str, int], came: Mapping[str, int]) -> tuple[float | None, float | None]:
    """p50 and p99 (ms), by id and monotonic ns; what has not come is taken to come now."""
    now = time.monotonic_ns()
    those = sorted((came.get(one, now) - at) / 1e6 for one, at in since.items())
    if not those:
        return None, None
    return those[len(those) // 2], those[min(len(those) * 99 // 100, len(those) - 1)]

"""Looks at processes that may not be our children: which one a pid file means, whether it lives, when it ends."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PROC = Path("/proc")
SETTLING_TICKS = os.sysconf("SC_CLK_TCK")  # a second: some kernels count the start anew at exec


@dataclass(frozen=True)
class Process:
    """A process told from any later one with the same pid by its start, in clock ticks since boot."""

    pid: int
    start: int

    @property
    def lives(self) -> bool:
        """False also for a zombie, which has ended and waits for its parent to notice."""
        return (found := _stat(self.pid)) is not None and abs(found - self.start) <= SETTLING_TICKS

    @property
    def started_at(self) -> datetime:
        """UTC; to a second, as the kernel tells its boot time no finer."""
        boot = next(line for line in (PROC / "stat").read_text().splitlines() if line.startswith("btime "))
        seconds = int(boot.split()[1]) + self.start / os.sysconf("SC_CLK_TCK")
        return datetime.fromtimestamp(seconds, UTC)

    def kill(self, number: signal.Signals) -> None:
        """Sends a signal; does nothing when the process has ended."""
        if self.lives:
            os.kill(self.pid, number)

    async def end(self, *, grace: float) -> bool:
        """Asks the process to end and waits `grace` seconds, then kills it. True when asking was enough."""
        self.kill(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.ended()
        asked = not self.lives
        self.kill(signal.SIGKILL)
        await self.ended()
        return asked

    async def ended(self) -> None:
        """Returns when the process has ended; needs not be its parent."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, done.set)
        try:
            if self.lives:  # else the pid is another's by now
                await done.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def find(pid: int, *, argument: str) -> Process | None:
    """The living process `pid`, if `argument` is one of its command line's; None otherwise."""
    start = _stat(pid)
    try:
        arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return Process(pid, start) if start is not None and os.fsencode(argument) in arguments else None


def child(pid: int) -> Process | None:
    """Our own child just started. The kernel may not tell its command line yet, so `find` would miss it."""
    start = _stat(pid)
    return None if start is None else Process(pid, start)


def read_pid(path: Path) -> int | None:
    """The number in a pid file; None when there is none to read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _stat(pid: int) -> int | None:
    """Start of a living process (proc(5), field 22); None when there is none or it is a zombie."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # a program's name may hold spaces and brackets
    return None if fields[0] in "ZX" else int(fields[19])

"""How each fault is done, and how it is lifted again."""

import asyncio
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from faults.house import House
from faults.plan import Fault

DATABASE = "faults"
RESTART_S = 60.0  # a clean stop waits 20 s for calls and 10 s for deliveries
SMALL = 4096  # bytes; less than any file that matters


class Injector:
    """`happen(fault)` returns when it is lifted; `lifted` has each fault with that moment (s, UTC)."""

    def __init__(self, house: House, *, say: Callable[[str], None] = print) -> None:
        self._house, self._say = house, say
        self._began = time.monotonic()
        # One thing at a time for each of them. The clock takes both: where it is wrong while deliveries fail, their
        # next try is an hour or a day off.
        self._database, self._answering = asyncio.Lock(), asyncio.Lock()
        self.lifted: list[tuple[Fault, float]] = []

    async def all(self, faults: list[Fault]) -> None:
        """Has all of them happen, each at its time."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._at_its_time(fault))

    async def _at_its_time(self, fault: Fault) -> None:
        await asyncio.sleep(max(fault.at - (time.monotonic() - self._began), 0))
        jump = f" {fault.jump:+d} s" if fault.jump else ""
        self._say(f"{fault.at:8.1f} s  {fault.kind}{jump} for {fault.lasts} s")
        await self.happen(fault)
        self.lifted.append((fault, time.time()))

    async def happen(self, fault: Fault) -> None:
        await getattr(self, f"_{fault.kind.replace('.', '_')}", self._crm)(fault)

    # --- Vonal ---

    async def _vonal_kill(self, _fault: Fault) -> None:
        self._signal_vonal(signal.SIGKILL)

    async def _vonal_freeze(self, fault: Fault) -> None:
        pid = self._signal_vonal(signal.SIGSTOP)
        await asyncio.sleep(fault.lasts)
        self._signal_vonal(signal.SIGCONT, pid)

    async def _vonal_restart(self, _fault: Fault) -> None:
        service = self._house.service
        self._signal_vonal(signal.SIGTERM)
        until = time.monotonic() + RESTART_S
        while service and service.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.1)

    def _signal_vonal(self, number: signal.Signals, pid: int | None = None) -> int | None:
        """`pid`: only if it is still this process."""
        service = self._house.service
        if not self._house.vonal_lives() or service is None or pid not in (None, service.pid):
            return None
        service.send_signal(number)
        return service.pid

    # --- Asterisk ---

    async def _asterisk_kill(self, _fault: Fault) -> None:
        if process := self._house.asterisk():
            process.kill(signal.SIGKILL)

    async def _asterisk_freeze(self, fault: Fault) -> None:
        if process := self._house.asterisk():
            process.kill(signal.SIGSTOP)
            await asyncio.sleep(fault.lasts)
            process.kill(signal.SIGCONT)

    # --- PostgreSQL ---

    async def _postgresql_kill(self, fault: Fault) -> None:
        server = self._house.server
        assert server
        async with self._database:
            server.kill()
            await asyncio.sleep(fault.lasts)
            server.start()
            await asyncio.to_thread(server.until_ready)

    async def _postgresql_freeze(self, fault: Fault) -> None:
        server = self._house.server
        assert server
        async with self._database:
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(fault.lasts)
            server.signal(signal.SIGCONT)

    async def _postgresql_terminate(self, _fault: Fault) -> None:
        server = self._house.server
        assert server
        async with self._database:
            await asyncio.to_thread(server.terminate, DATABASE)

    # --- the CRM ---

    async def _crm(self, fault: Fault) -> None:
        crm, mode = self._house.crm, fault.kind.partition(".")[2]
        async with self._answering:
            if mode == "down":
                await crm.down()
            crm.mode = mode
            await asyncio.sleep(fault.lasts)
            crm.let_go()
            await crm.up()

    # --- disk and clock ---

    async def _disk_full(self, fault: Fault) -> None:
        """No file of Vonal's may grow, nor be written beyond its first page: every write fails with EFBIG."""
        async with self._database:
            self._limit(SMALL)
            await asyncio.sleep(fault.lasts)
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        service, asterisk = self._house.service, self._house.asterisk()
        limited = set(_family(service.pid)) if service else set()
        if asterisk and size != resource.RLIM_INFINITY:
            limited -= set(_family(asterisk.pid))
        elif asterisk:
            limited.add(asterisk.pid)  # it may have been started meanwhile, and have inherited the limit
        for pid in limited:
            with suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    async def _clock_jump(self, fault: Fault) -> None:
        self._house.set_clock(fault.jump)
        await asyncio.sleep(fault.lasts)
        self._house.set_clock(0)


def _family(pid: int) -> Iterator[int]:
    """The process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for one in task.read_text().split():
                yield from _family(int(one))

"""Runs Asterisk, and outlives neither it nor its calls: starts it detached, adopts a running one, watches, restarts.

Asterisk is no part of our process group or session: when we are killed, calls go on. The next start finds it by its pid
file. All that it writes lies in `folder` (the data folder's `engine/`), whose `etc/` others render before a start.
"""

import asyncio
import os
import resource
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import aiohttp
import structlog

from vonal.domain.errors import EngineUnavailable
from vonal.telephony.binary import AsteriskBinary, environment
from vonal.telephony.process import Process, child, find, read_pid

FOLDERS = (".", "etc", "run", "log", "log/cel-custom", "spool", "spool/monitor", "db", "keys")
SOCKET_PATH = 107  # bytes of a Unix socket's path, unix(7)
START_SECONDS = 60.0  # with thousands of phones Asterisk reads its files for some seconds
PATIENCE = 10.0  # seconds between two looks at a running one; also what an answer may take
SILENCE_PROVEN = 3  # looks in a row, 30 s and more, without an answer on either of its two ways
OPEN_FILES = 1 << 20
HEALTHY_SECONDS = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Port:
    """A port that Asterisk will take, and the setting that moves it."""

    setting: str
    host: str
    port: int
    protocol: Literal["tcp", "udp"]


def asterisk_conf(binary: AsteriskBinary, folder: Path) -> str:
    """`asterisk.conf`: the program's modules and sounds, and everything it writes under `folder`."""
    folders = {
        "astetcdir": folder / "etc",
        "astmoddir": binary.module_dir,
        "astdatadir": binary.data_dir,
        "astagidir": folder / "agi",
        "astvarlibdir": folder,
        "astdbdir": folder / "db",
        "astkeydir": folder,  # Asterisk appends `/keys`
        "astspooldir": folder / "spool",
        "astlogdir": folder / "log",
        "astrundir": run_folder(folder),
    }
    lines = [f"{name} => {str(path).replace(';', chr(92) + ';')}" for name, path in folders.items()]
    options = "live_dangerously = no\nnocolor = yes\ndumpcore = no\n"
    return "[directories]\n" + "\n".join(lines) + f"\n\n[options]\n{options}\n[files]\nastctlpermissions = 0600\n"


def run_folder(folder: Path) -> Path:
    """Where the control socket and pid file lie, as Asterisk is told: relative to `folder`, its working folder, where
    the whole path would be too long for a socket.
    """
    whole = folder / "run"
    return whole if len(os.fsencode(whole / "asterisk.ctl")) <= SOCKET_PATH else Path("run")


def restart_delay(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row: 0.5, 1, 2, … 30."""
    return float(min(0.5 * 2 ** (min(deaths, 10) - 1), 30.0))


class Engine:
    """One data folder's Asterisk. `ari_…` are those of its rendered files.

    `ports` are proved free before a start, since Asterisk itself would run on without them. `patience` is in seconds:
    how often a running one is looked at, and how long it may take to answer.
    """

    def __init__(
        self,
        binary: AsteriskBinary,
        folder: Path,
        *,
        ari_port: int,
        ari_password: str,
        ari_user: str = "vonal",
        ports: Sequence[Port] = (),
        patience: float = PATIENCE,
    ) -> None:
        self.binary = binary
        self.folder = folder
        self.adopted = False
        self._ari = f"http://127.0.0.1:{ari_port}/ari/asterisk/ping"
        self._credentials = b64encode(f"{ari_user}:{ari_password}".encode()).decode()
        self._ports = ports
        self._patience = patience
        self._process: Process | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """None when no Asterisk runs."""
        return self._process.pid if self._process and self._process.lives else None

    @property
    def started_at(self) -> datetime | None:
        """When the running one was started, UTC."""
        return self._process.started_at if self._process and self._process.lives else None

    @property
    def version(self) -> str:
        """Of the program on disk; a running one that was adopted may be older."""
        return self.binary.version

    async def ensure_running(self) -> None:
        """Adopts the Asterisk that runs for this folder, or starts one; returns when it answers ARI.

        Raises EngineUnavailable when a port is taken, it ends at once, or the running one answers nobody.
        """
        self._stopping = False
        self._process = self.find()
        self.adopted = self._process is not None
        if not self._process:
            await self._start()
        elif not await self._adopt(self._process):
            await self._replace(self._process)

    def find(self) -> Process | None:
        """The running Asterisk of this folder, whoever started it."""
        return running(self.folder)

    async def answers(self) -> bool:
        """Whether it answers ARI with our credentials within the patience given."""
        limit = aiohttp.ClientTimeout(total=self._patience)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(self._ari, headers={"Authorization": f"Basic {self._credentials}"}) as answer,
            ):
                return answer.status == 200  # noqa: PLR2004 - OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def command(self, text: str) -> str | None:
        """Says `text` on Asterisk's control socket; None when it does not answer within the patience given."""
        process = await asyncio.create_subprocess_exec(
            *self.binary.argv, "-C", self._conf, "-rx", text,
            cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._patience):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return None
        return output.decode(errors="replace") if process.returncode == 0 else None

    async def watch(self, on_restart: Callable[[], Awaitable[None]]) -> None:
        """Keeps Asterisk running until `stop`; awaits `on_restart` each time after a new one answers.

        Restarts after 0.5, 1, 2, … 30 s, counted anew after a minute's health. One that answers neither ARI nor its
        control socket, three looks in a row, is killed and restarted: no call can be going on in it.
        """
        loop, deaths = asyncio.get_running_loop(), 0
        while True:
            since = loop.time()
            if self._process:
                await self._gone_or_hung(self._process)
            if self._stopping:
                return
            deaths = 1 if loop.time() - since >= HEALTHY_SECONDS else deaths + 1
            delay = restart_delay(deaths)
            log.error("asterisk ended", end=self._reap(), restart_in=delay, deaths=deaths, log=str(self.folder / "log"))
            await asyncio.sleep(delay)
            if self._stopping:
                return
            await self._restart(on_restart)

    async def stop(self, *, grace: float = 10.0) -> None:
        """Ends Asterisk, and its calls with it: asks, waits `grace` seconds, kills. Nothing to do when none runs."""
        self._stopping = True
        process = self._process or self.find()
        if process:
            await self._end(process, grace)
        self._process = None

    @property
    def _conf(self) -> str:
        return _conf(self.folder)

    async def _adopt(self, process: Process) -> bool:
        """True when `process` answers ARI, False when it is proved dumb; raises when a person must decide."""
        for _ in range(SILENCE_PROVEN):
            if await self._up(process, self._patience):
                log.info("asterisk adopted", pid=process.pid, started_at=process.started_at.isoformat())
                return True
            if not process.lives:
                return False
            # It may have been started with another ARI port or password; the files on disk say what is wanted now.
            await self.command("module reload http")
            await self.command("module reload res_ari.so")
        if await self.command("core show uptime") is None:
            return False
        raise EngineUnavailable(
            f"Asterisk (pid {process.pid}) of {self.folder} runs, but does not answer us at {self._ari}; "
            "set VONAL_ARI_PORT to what it was, or run `vonal engine stop`, which ends its calls"
        )

    async def _replace(self, process: Process) -> None:
        if process.lives:
            log.error("asterisk answers neither ARI nor its control socket and is replaced", pid=process.pid)
            await self._end(process, 0)
        self.adopted = False
        await self._start()

    async def _start(self) -> None:
        for port in self._ports:
            require_free(port)
        for name in FOLDERS:
            (self.folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # who rendered our files may have made it; they hold passwords
        self._child = self._spawn()
        # Asterisk writes the same later; but were we killed before, nobody would know whose child it is.
        (self.folder / "run" / "asterisk.pid").write_text(f"{self._child.pid}\n")
        self._process = child(self._child.pid)
        log.info("asterisk started", pid=self._child.pid, version=self.version)
        if self._process and await self._up(self._process, START_SECONDS):
            return
        pid, end = self._child.pid, self._reap()
        if self._process and self._process.lives:
            await self._end(self._process, 0)
            end = f"gave no answer at {self._ari} in {START_SECONDS:.0f} s"
        self._process = None
        raise EngineUnavailable(f"Asterisk (pid {pid}) did not start, it {end}: {self._last_words()}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))  # each call takes some; Asterisk inherits it
        with (self.folder / "log" / "asterisk.out").open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - no shell
                [*self.binary.argv, "-C", self._conf, "-f"],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # no signal of our terminal reaches it
            )

    async def _up(self, process: Process, seconds: float) -> bool:
        """Waits until it answers ARI; False when it ends or `seconds` pass."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while process.lives and loop.time() < until:
            if await self.answers():
                return True
            await asyncio.sleep(0.05)
        return False

    async def _gone_or_hung(self, process: Process) -> None:
        """Returns when `process` has ended, by itself or, being hung, by us."""
        ended = asyncio.ensure_future(process.ended())
        silent = 0
        try:
            while silent < SILENCE_PROVEN:
                await asyncio.wait({ended}, timeout=self._patience)
                if ended.done():
                    return
                if await self.answers():
                    silent = 0
                    continue
                hung = await self.command("core show uptime") is None
                silent = silent + 1 if hung else 0
                log.error("asterisk does not answer ARI", pid=process.pid, control_socket=not hung, proofs=silent)
        finally:
            ended.cancel()
        log.error("asterisk is hung and is killed", pid=process.pid)
        await self._end(process, 0)

    async def _restart(self, on_restart: Callable[[], Awaitable[None]]) -> None:
        try:
            await self.ensure_running()
        except EngineUnavailable as fault:
            log.error("asterisk cannot be restarted", reason=fault.detail)  # noqa: TRY400 - the reason says it all
            return
        try:
            await on_restart()
        except Exception:
            # Whatever goes wrong there, a dead Asterisk must still be noticed.
            log.exception("what follows a restart of asterisk failed")

    async def _end(self, process: Process, grace: float) -> None:
        killed = not await process.end(grace=grace)
        log.info("asterisk stopped", pid=process.pid, killed=killed, end=self._reap())

    def _reap(self) -> str:
        """How our child ended; an adopted one ends as somebody else's child, who alone is told."""
        code = self._child.poll() if self._child else None
        if code is None:
            return "ended"
        self._child = None
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _last_words(self) -> str:
        output = self.folder / "log" / "asterisk.out"
        lines = output.read_text(errors="replace").split("\n")[-8:]
        return " ".join(line.strip() for line in lines if line.strip())[-500:] or f"see {output.parent}"


def running(folder: Path) -> Process | None:
    """The Asterisk that runs with the files in `folder`, whoever started it; None when there is none."""
    pid = read_pid(folder / "run" / "asterisk.pid")
    return find(pid, argument=_conf(folder)) if pid else None


def _conf(folder: Path) -> str:
    return str(folder / "etc" / "asterisk.conf")


def require_free(port: Port) -> None:
    """Raises EngineUnavailable, naming the setting, when `port` cannot be taken."""
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if port.protocol == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Asterisk: TIME_WAIT is no obstacle
        try:
            probe.bind((port.host, port.port))
        except OSError as fault:
            raise EngineUnavailable(
                f"Asterisk cannot take {port.host}:{port.port} ({port.protocol}): {os.strerror(fault.errno or 0)}; "
                f"stop what uses it, or change {port.setting}"
            ) from fault

"""Vonal as it runs in earnest: somebody starts it again when it dies, beside a CRM, a telephone network and phones."""

import asyncio
import os
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import ports
from faults.crm import Crm
from faults.truth import Keeper
from postgresql import Server
from vonal.config import load
from vonal.domain.directory import (
    ApiKey,
    Directory,
    Extension,
    Number,
    Outbound,
    RecordingPolicy,
    Tenant,
    Trunk,
    Webhook,
)
from vonal.telephony.binary import locate
from vonal.telephony.engine import running
from vonal.telephony.process import Process
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import BUSY, answer, refuse, ring
from world import KEY, VONAL, World, until

ANSWERS, BUSY_HERE, RINGS, HANGS_UP = "101", "102", "103", "104"
NUMBERS = {one: f"+3612345{one}" for one in (ANSWERS, BUSY_HERE, RINGS, HANGS_UP)}
RESTART_S = 1.0  # systemd's RestartSec in docs/guides/operating.md
CLOCK = Path(__file__).with_name("clock.c")


def directory(crm: Crm, *, carrier: int, sends: int, phones: int) -> Directory:
    """One tenant, whose phones sit at fixed addresses: what a phone does after Asterisk's death is not our theme."""
    extensions = [
        Extension(number=one, secret=f"phone-secret-{one}", contact=f"sip:{one}@127.0.0.1:{phones}") for one in NUMBERS
    ]
    events = ["call.incoming", "call.outgoing", "call.answered", "call.ended", "call.completed", "call.updated"]
    acme = Tenant(
        id="acme",
        country="HU",
        extensions=extensions,
        numbers=[Number(number=number, ring=[one], timeout=5) for one, number in NUMBERS.items()],
        outbound=Outbound(trunk="carrier", caller_id=NUMBERS[ANSWERS], countries=["HU"], max_calls=500),
        recording=RecordingPolicy(mode="inbound", format="wav"),
        api_keys=[ApiKey(name="crm", key=KEY)],
        webhooks=[Webhook(id="all", url=f"http://127.0.0.1:{crm.port}/hook", events=events, fields="full", timeout=2)],
    )
    trunk = Trunk(id="carrier", address=f"127.0.0.1:{carrier}", match=[f"127.0.0.1:{sends}"])
    return Directory(trunks=[trunk], tenants=[acme])


class House(World):
    """`keeper` keeps the journal; `server`: PostgreSQL's, where it is the database. `clock`: what moves Vonal's."""

    keeper: Keeper
    server: Server | None = None
    clock_moves = False
    starts = 0
    _log: subprocess.Popen[bytes] | None = None

    @property
    def clock(self) -> Path:
        return self.folder / "clock"

    def set_clock(self, jump: int) -> None:
        """Vonal's clock goes wrong by so many seconds, at once."""
        self.clock.touch()
        with self.clock.open("r+b") as file:  # in place, for Vonal has it mapped
            file.write(struct.pack("=q", jump))

    def asterisk(self) -> Process | None:
        """Our Asterisk, if it runs."""
        return running(self.settings.data_dir / "engine")

    def vonal_lives(self) -> bool:
        return self.service is not None and self.service.poll() is None

    async def supervise(self) -> None:
        """For ever starts the service again when it has died, and keeps the journal."""
        while True:
            if not self.vonal_lives():
                self._serve()
            self.keeper.keep()
            await asyncio.sleep(RESTART_S)

    def _serve(self) -> None:
        self.starts += 1
        if self._log is None:  # through a pipe, as in earnest: the log is no file of the service's own
            with (self.folder / "service.log").open("ab") as log:
                self._log = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log)
        self.service = subprocess.Popen(
            [VONAL, "serve"],
            env={**self.environment, **self._faked()},
            stdin=subprocess.DEVNULL,
            stdout=self._log.stdin,
            stderr=self._log.stdin,
        )

    def _faked(self) -> dict[str, str]:
        if not self.clock_moves:
            return {}
        library = self.folder / "clock.so"
        if not library.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, CLOCK, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library), "VONAL_TEST_CLOCK": str(self.clock)}

    async def is_up(self) -> bool:
        """Ready, however often it has died so far."""
        return self.vonal_lives() and await self.is_ready()

    def close(self) -> None:
        if self.service and self.vonal_lives():
            self.service.kill()
            self.service.wait()
        if self._log and self._log.stdin:
            self._log.stdin.close()
            self._log.wait()


@asynccontextmanager
async def house(folder: Path, *, server: Server | None, name: str, clock_moves: bool = False) -> AsyncIterator[House]:
    """Everything running. `name`: of a fresh database on `server`."""
    api, sip, ari, carrier, sends, phones, crm_port = (ports.free_port() for _ in range(7))
    environ = {
        "VONAL_DATA_DIR": str(folder / "data"),
        "VONAL_LISTEN": f"127.0.0.1:{api}",
        "VONAL_SIP_LISTEN": f"127.0.0.1:{sip}",
        "VONAL_ARI_PORT": str(ari),
        "VONAL_RTP_PORTS": "20000-24000",
        "VONAL_DATABASE_URL": server.url(name) if server else "",
    }
    settings = load({**os.environ, **environ})
    crm = Crm(crm_port)
    await crm.up()
    made = House(folder, crm, settings)  # type: ignore[arg-type]
    made.server, made.clock_moves = server, clock_moves
    journal = settings.data_dir / "engine" / "log" / "cel-custom"
    made.keeper = Keeper(journal, folder / "journal")
    made.set_clock(0)
    supervisor = asyncio.create_task(made.supervise())
    try:
        await until(made.is_up, "the service is ready", seconds=120)
        wanted = directory(crm, carrier=carrier, sends=sends, phones=phones)
        await made.apply(wanted)
        binary = locate("embedded", settings.engine_dir)
        async with Simulator(wanted, folder=folder / "outside", binary=binary, pbx=f"127.0.0.1:{sip}") as made.outside:
            _tell_phones(made)
            yield made
    finally:
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor
        made.close()
        await made.vonal("engine", "stop", "--yes")
        await crm.down()


def _tell_phones(made: House) -> None:
    made.phone(ANSWERS).behaviour = answer(440)
    made.phone(BUSY_HERE).behaviour = refuse(BUSY)
    made.phone(RINGS).behaviour = ring()
    made.phone(HANGS_UP).behaviour = answer(None, after=0.3, talk=1.5)

"""What is measured: a `vonal serve` with its Asterisk, a bare Asterisk with the floor on it, and the CRM."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vonal.domain.directory import Directory, Extension, Number, RecordingPolicy, Tenant, Trunk, Webhook, WebhookScope

HERE = Path(__file__).parent
VONAL = Path(sys.executable).parent / "vonal"
POP, WHOLE = "+3612345678", "+3612345679"
WHOLE_SET = ["call.incoming", "call.ringing", "call.answered", "call.ended", "call.completed"]
TICK = 1000 / os.sysconf("SC_CLK_TCK")  # ms


@dataclass
class Ports:
    """Ports of one Asterisk and of those around it."""

    api: int
    sip: int
    ari: int
    carrier: int
    phone: int
    rtp: int


class House:
    """`vonal serve` and its Asterisk. A call to POP pops up a card; of a call to WHOLE, the CRM hears everything."""

    def __init__(self, folder: Path, ports: Ports, crm: str) -> None:
        self.folder, self.ports = folder, ports
        self._crm = crm
        self._environ = {
            **os.environ,
            "VONAL_DATA_DIR": str(folder / "data"),
            "VONAL_LISTEN": f"127.0.0.1:{ports.api}",
            "VONAL_SIP_LISTEN": f"127.0.0.1:{ports.sip}",
            "VONAL_RTP_PORTS": f"{ports.rtp}-{ports.rtp + 2000}",
            "VONAL_ARI_PORT": str(ports.ari),
            "VONAL_WEBHOOK_ALLOW": "127.0.0.0/8",
            "VONAL_LOG": "json",
        }

    async def start(self) -> None:
        """Returns when the directory is in effect."""
        self.folder.mkdir(parents=True)
        path = self.folder / "directory.yaml"
        path.write_bytes(msgspec.yaml.encode(_directory(self.ports, self._crm)))
        await self._vonal("apply", str(path))
        with (self.folder / "service.log").open("ab") as log:
            self.service = subprocess.Popen([VONAL, "serve"], env=self._environ, stdout=log, stderr=log)
        while not await asyncio.to_thread(self._ready):
            if self.service.poll() is not None:
                raise SystemExit((self.folder / "service.log").read_text()[-3000:])
            await asyncio.sleep(0.1)
        self.asterisk = int((self.folder / "data/engine/run/asterisk.pid").read_text())

    def kill_service(self) -> None:
        """Leaves Asterisk running by itself, with the configuration it has."""
        self.service.kill()
        self.service.wait()

    async def stop(self) -> None:
        """Ends everything."""
        if self.service.poll() is None:
            self.service.send_signal(signal.SIGKILL)
            self.service.wait()
        await self._vonal("engine", "stop", "--yes")

    @property
    def ari_password(self) -> str:
        """For who would command this Asterisk."""
        return (self.folder / "data/engine/ari.secret").read_text()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.api}/readyz") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def _vonal(self, *words: str) -> None:
        run = await asyncio.create_subprocess_exec(VONAL, *words, env=self._environ, stdout=subprocess.DEVNULL)
        if await run.wait():
            raise SystemExit(f"vonal {' '.join(words)} failed")


class Crm:
    """The receiving process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, HERE / "receiver.py"], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    async def taken(self) -> list[tuple[float, str, str]]:
        """What came since the last time: (monotonic s, event, caller's number)."""
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(f"{self.url}/taken").read())
        return [(at, event, number) for at, event, number in msgspec.json.decode(answer)]

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def start_floor(house: House, crm: Crm) -> subprocess.Popen[str]:
    """The floor, listening."""
    words = [sys.executable, HERE / "floor.py", str(house.ports.ari), house.ari_password, f"{crm.url}/"]
    floor = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert floor.stdout
    assert floor.stdout.readline() == "ready\n"
    return floor


def cpu_ms(pid: int) -> float:
    """The CPU time that the process has taken so far, its ended children's included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * TICK


def free_ports(count: int) -> list[int]:
    """Ports of loopback that are free for TCP and UDP."""
    found: list[socket.socket] = []
    while len(found) < 2 * count:
        tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        tcp.bind(("127.0.0.1", 0))
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            continue
        found += [tcp, udp]
    ports = [one.getsockname()[1] for one in found[::2]]
    for one in found:
        one.close()
    return ports


def _directory(ports: Ports, crm: str) -> Directory:
    tenant = Tenant(
        id="acme",
        country="HU",
        extensions=[Extension(number="101", secret="phone-secret-1", contact=f"sip:101@127.0.0.1:{ports.phone}")],
        numbers=[Number(number=POP, ring=["101"]), Number(number=WHOLE, ring=["101"])],
        recording=RecordingPolicy(mode="none"),
        webhooks=[
            Webhook(id="pop", url=f"{crm}/", events=["call.incoming"], scope=WebhookScope(numbers=[POP])),
            Webhook(id="whole", url=f"{crm}/", events=WHOLE_SET, fields="full", scope=WebhookScope(numbers=[WHOLE])),
        ],
    )
    trunk = Trunk(id="carrier", address=f"127.0.0.1:{ports.carrier}", match=[f"127.0.0.1:{ports.carrier}"])
    return Directory(trunks=[trunk], tenants=[tenant])

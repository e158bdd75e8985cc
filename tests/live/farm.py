"""A PBX configured as Vonal configures it, without the service, and the outside world around it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from ports import free_port
from tones import RATE, dominant_tone, hear
from vonal.domain.directory import Directory
from vonal.telephony import configuration
from vonal.telephony.binary import AsteriskBinary
from vonal.telephony.engine import FOLDERS, Engine, asterisk_conf
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import Call

WINDOW = RATE // 10
LOUD = 3000
T = TypeVar("T")
ARI_PASSWORD = "farm-password"
YAML = """
trunks:
  - {id: carrier, address: "127.0.0.1:{port}", match: ["127.0.0.1:{port}"]}
  - {id: member, address: "127.0.0.1:{port}", username: vonaluser, password: trunk-secret, register: true}
tenants:
  - id: acme
    name: Acme Kft.
    country: HU
    extensions:
      - {number: "101", name: Kovács Anna, secret: phone-secret-1}
      - {number: "102", name: Nagy Béla, secret: phone;secret-2}
      - {number: "103", name: Tóth Csaba, contact: "sip:103@127.0.0.1:{port}"}
      - {number: "104", name: Kis Dóra, secret: phone-secret-4, contact: "sip:104@127.0.0.1:{port}"}
      - {number: "105", name: Szabó Éva, secret: phone-secret-5}
    numbers:
      - {number: "+3612345678", name: Központ, ring: ["101"]}
      - {number: "+3612345679", name: Mindenki, ring: ["101", "102"]}
      - {number: "+3612345670", name: Sorban, ring: ["101", "102"], strategy: in_order, timeout: 5}
    outbound: {trunk: carrier, caller_id: "+3612345678", countries: [HU, AT]}
    recording: {mode: all}
  - id: other
    name: Other Ltd.
    country: HU
    extensions:
      - {number: "101", secret: phone-secret-9}
    numbers:
      - {number: "+3619999999", ring: ["101"]}
    outbound: {trunk: member, caller_id: "+3619999999", countries: [HU]}
"""


@dataclass(frozen=True)
class Farm:
    """A PBX (`journal`: its CEL file) and the `outside`."""

    pbx: Engine
    outside: Simulator

    @property
    def journal(self) -> Path:
        return self.pbx.folder / "log" / "cel-custom" / configuration.JOURNAL


@asynccontextmanager
async def running_farm(folder: Path, binary: AsteriskBinary, *, yaml: str = YAML) -> AsyncIterator[Farm]:
    """A running farm of the directory in `yaml`, where each `{port}` is a free port of its own; phones registered."""
    directory = read_directory(yaml)
    sip, ari = _free_ports(2)
    site = configuration.Site(
        sip_listen=("127.0.0.1", sip),
        rtp_ports=(20000, 24000),
        ari_port=ari,
        ari_password=ARI_PASSWORD,
        modules=binary.modules,
    )
    pbx = Engine(binary, folder / "pbx", ari_port=ari, ari_password=ARI_PASSWORD)
    for name in FOLDERS:
        (pbx.folder / name).mkdir(parents=True, exist_ok=True)
    files = {**configuration.render(directory, site), "asterisk.conf": asterisk_conf(binary, pbx.folder)}
    configuration.write(pbx.folder / "etc", files)
    try:
        await pbx.ensure_running()
        async with Simulator(directory, folder=folder / "outside", binary=binary, pbx=f"127.0.0.1:{sip}") as outside:
            await outside.registered()
            yield Farm(pbx, outside)
    finally:
        await pbx.stop(grace=0.5)


def read_directory(yaml: str) -> Directory:
    """The directory, with a free port in place of each `{port}`."""
    pieces = yaml.split("{port}")
    ports = [*map(str, _free_ports(len(pieces) - 1)), ""]
    text = "".join(piece + port for piece, port in zip(pieces, ports, strict=True))
    return msgspec.yaml.decode(text, type=Directory)


async def heard(outside: Simulator, call: Call) -> AsyncIterator[Sequence[int]]:
    """What this end of the call hears from now on, a tenth of a second at a time."""
    path = outside.heard_folder / await call.listen()
    at = len(_heard(path))
    while True:
        samples = _heard(path)
        if len(samples) < at + WINDOW:
            await asyncio.sleep(0.02)
            continue
        yield samples[at : at + WINDOW]
        at += WINDOW


async def soon(wait: Awaitable[T]) -> T:
    """Fails when what is waited for does not come in a time in which everything comes."""
    return await asyncio.wait_for(wait, 10)


async def hears(outside: Simulator, call: Call, tone: int | None) -> None:
    """Waits until this end of the call hears `tone` (Hz; None: no tone)."""
    async for samples in heard(outside, call):
        if dominant_tone(samples) == tone:
            return


async def hears_speech(outside: Simulator, call: Call) -> None:
    """Waits until this end of the call hears something loud that is no tone."""
    async for samples in heard(outside, call):
        if max(samples) > LOUD and dominant_tone(samples) is None:
            return


def _heard(path: Path) -> Sequence[int]:
    return hear(path).left if path.exists() else []


def _free_ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return list(found)

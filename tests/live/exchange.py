"""An exchange with three tenants for the dialplan's tests: its directory, its journal, and bare SIP from anywhere."""

import asyncio
import csv
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote

from live.farm import ARI_PASSWORD, Farm, soon
from ports import free_port
from vonal.telephony.ari import Ari
from vonal.telephony.simulator import Simulator

RAW_TRUNK = free_port()
COUNTRIES = ["HU", "AT", "US", "GB"]
YAML = f"""
trunks:
  - {{id: carrier, address: "127.0.0.1:{{port}}", match: ["127.0.0.1:{{port}}"]}}
  - {{id: member, address: "127.0.0.1:{{port}}", username: vonaluser, password: 'tru;nk\\\\sec"ret', register: true}}
  - {{id: raw, address: "127.0.0.1:{{port}}", match: ["127.0.0.1:{{port}}", "127.0.0.1:{RAW_TRUNK}"],
     username: line7, password: secret, register: true}}
tenants:
  - id: acme
    country: HU
    extensions:
      - {{number: "101", name: 'Kovács "Anna"; [x] ${{EXTEN}}', secret: 'pho;ne "secret'}}
      - {{number: "102", secret: phone-secret-2}}
      - {{number: "103", contact: "sip:103@127.0.0.1:{{port}}"}}
      - {{number: "105", secret: phone-secret-5}}
      - {{number: "107", secret: phone-secret-7}}
    numbers:
      - {{number: "+3612345678", ring: ["101", "102"], timeout: 5}}
      - {{number: "+3612345679", ring: ["101", "102"], strategy: in_order, timeout: 5}}
    outbound: {{trunk: carrier, caller_id: "+3612345678", countries: [HU, AT, US, GB], max_calls: 2}}
    recording: {{mode: all}}
  - id: be-ta
    country: AT
    extensions:
      - {{number: "101", secret: phone-secret-b}}
      - {{number: "201", secret: phone-secret-c}}
    numbers:
      - {{number: "+431234567", ring: ["101"]}}
    outbound: {{trunk: member, caller_id: "+431234567", countries: [AT]}}
  - id: quiet
    country: HU
    extensions:
      - {{number: "101", secret: phone-secret-q}}
"""
PHONES = ("acme-101", "acme-102", "acme-103", "acme-105", "acme-107", "be-ta-101", "be-ta-201", "quiet-101")


class Journal:
    """What Asterisk writes from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size if path.exists() else 0

    def rows(self) -> list[list[str]]:
        if not self._path.exists():
            return []
        text = self._path.read_bytes()[self._from :].decode("utf-8", "replace")
        return list(csv.reader(text.splitlines()))

    def told(self) -> list[tuple[str, dict[str, str]]]:
        """(name, values) of what our dialplan told."""
        found = [(row[1], json.loads(row[19])["extra"]) for row in self.rows() if row[0] == "USER_DEFINED"]
        return [(name, {key: unquote(value) for key, value in pairs(extra)}) for name, extra in found]

    async def joined(self) -> None:
        """Waits until two are in conversation."""
        while sum(row[0] == "BRIDGE_ENTER" for row in self.rows()) < 2:
            await asyncio.sleep(0.02)

    async def ended(self, calls: int = 1) -> list[tuple[str, dict[str, str]]]:
        """What was told until so many calls had ended."""
        while sum(row[0] == "LINKEDID_END" for row in self.rows()) < calls:
            await asyncio.sleep(0.02)
        return self.told()


def pairs(extra: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (pair.partition("=") for pair in extra.split(";"))]


async def refused(outside: Simulator, phone: str, number: str) -> int | None:
    """The SIP code with which a phone's call is refused."""
    call = await outside.phone(phone).dial(number)
    await soon(call.ended.wait())
    assert not call.answered.is_set()
    return call.sip_code


class Wire(asyncio.DatagramProtocol):
    """Bare SIP from any port of ours, under any name."""

    def __init__(self, pbx: str) -> None:
        self._pbx = pbx
        self._codes: asyncio.Queue[int] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data.startswith(b"SIP/2.0 "):
            self._codes.put_nowait(int(data.split()[1]))

    def invite(self, user: str, *, sender: str = "0630", to: str | None = None, method: str = "INVITE") -> None:
        mark = random.randrange(1 << 60)
        lines = [
            f"{method} sip:{user}@{self._pbx} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{mark};rport",
            f"From: <sip:{sender}@127.0.0.1>;tag={mark}",
            f"To: <sip:{to or user}@{self._pbx}>",
            f"Call-ID: {mark}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{sender}@127.0.0.1:{self._port}>",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        self._transport.sendto("\r\n".join([*lines, "", ""]).encode())

    async def refusal(self, user: str, *, sender: str = "0630", to: str | None = None, method: str = "INVITE") -> int:
        self.invite(user, sender=sender, to=to, method=method)
        while (code := await self._codes.get()) < 300:
            pass
        return code


@asynccontextmanager
async def wire_to(farm: Farm, port: int = 0) -> AsyncIterator[Wire]:
    """Bare SIP to the exchange from `port`."""
    host, pbx = farm.outside.pbx.split(":")
    loop = asyncio.get_running_loop()
    transport, wire = await loop.create_datagram_endpoint(
        lambda: Wire(farm.outside.pbx), local_addr=("127.0.0.1", port), remote_addr=(host, int(pbx))
    )
    yield wire
    transport.close()


def ari_of(farm: Farm) -> Ari:
    text = (farm.pbx.folder / "etc" / "http.conf").read_text()
    port = re.search(r"bindport = (\d+)", text)[1]
    return Ari(f"http://127.0.0.1:{port}", password=ARI_PASSWORD)

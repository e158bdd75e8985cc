"""A little world for the live tests: `vonal serve` as a process, a CRM that listens, and the second Asterisk outside.

Each has its own ports and data folder. The service can be killed and started again while calls go on.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

import ports
from receiver import Receiver, receiving
from vonal.config import Settings, load
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
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import Call, answer
from vonal.telephony.simulator_party import Carrier, Phone

KEY = "vk_test_0123456789abcdef"
VONAL = Path(sys.executable).parent / "vonal"
DID = "+3612345678"
IN_ORDER = "+3612345679"
CUSTOMER = "+36305550123"
PHONES = ("101", "102", "103", "104")


def directory(
    crm: Receiver, *, carrier: int, sends: int, fixed: int, webhooks: list[Webhook] | None = None
) -> Directory:
    """One tenant with four phones, of which 104 sits at a fixed address, and a trunk."""
    acme = Tenant(
        id="acme",
        name="Acme Kft.",
        country="HU",
        language="hu",
        timezone="Europe/Budapest",
        extensions=[
            Extension(number="101", name="Kovács Anna", secret="phone-secret-1", email="anna@acme.example"),
            Extension(number="102", name="Nagy Béla", secret="phone-secret-2"),
            Extension(number="103", name="Szabó Csaba", secret="phone-secret-3"),
            Extension(number="104", name="Tóth Dóra", secret="phone-secret-4", contact=f"sip:104@127.0.0.1:{fixed}"),
        ],
        numbers=[
            Number(number=DID, name="Központ", ring=["101", "102"], timeout=5),
            Number(number=IN_ORDER, name="Ügyelet", ring=["101", "102"], strategy="in_order", timeout=5),
        ],
        outbound=Outbound(trunk="carrier", caller_id=DID, countries=["HU", "AT"], max_calls=60),
        recording=RecordingPolicy(mode="all", format="wav"),
        api_keys=[ApiKey(name="crm", key=KEY)],
        webhooks=webhooks or [_everything(crm)],
    )
    trunk = Trunk(id="carrier", address=f"127.0.0.1:{carrier}", match=[f"127.0.0.1:{sends}"])
    return Directory(trunks=[trunk], tenants=[acme])


def _everything(crm: Receiver) -> Webhook:
    events = ["call.incoming", "call.outgoing", "call.ringing", "call.answered", "call.transferred", "call.ended"]
    records = ["call.completed", "call.updated", "recording.ready", "recording.failed", "click_to_call.failed"]
    return Webhook(id="all", url=crm.url, events=[*events, *records], fields="full")


class World:
    """`crm` has got what was delivered; `outside` plays everybody else; `settings` are the service's."""

    def __init__(self, folder: Path, crm: Receiver, settings: Settings, *, role: str = "all") -> None:
        self.folder = folder
        self.role = role
        self.deliverers: list[subprocess.Popen[bytes]] = []
        self.crm = crm
        self.settings = settings
        self.outside: Simulator
        self.service: subprocess.Popen[bytes] | None = None

    # --- the service ---

    @property
    def environment(self) -> dict[str, str]:
        """The service's settings as environment variables."""
        host, port = self.settings.listen
        sip_host, sip_port = self.settings.sip_listen
        first, last = self.settings.rtp_ports
        return {
            **os.environ,
            "VONAL_DATA_DIR": str(self.settings.data_dir),
            "VONAL_LISTEN": f"{host}:{port}",
            "VONAL_SIP_LISTEN": f"{sip_host}:{sip_port}",
            "VONAL_RTP_PORTS": f"{first}-{last}",
            "VONAL_ARI_PORT": str(self.settings.ari_port),
            "VONAL_DATABASE_URL": self.settings.database_url,
            "VONAL_WEBHOOK_ALLOW": "127.0.0.0/8",
            "VONAL_LOG": "json",
        }

    async def start(self) -> None:
        """Starts `vonal serve` and returns when it is ready."""
        self.service = self._serve(self.role)
        await until(self.is_ready, "the service is ready", seconds=60)

    def deliver(self) -> subprocess.Popen[bytes]:
        """Starts one more process that only delivers."""
        self.deliverers.append(self._serve("delivery"))
        return self.deliverers[-1]

    def _serve(self, role: str) -> subprocess.Popen[bytes]:
        with (self.folder / "service.log").open("ab") as log:
            words = [VONAL, "serve", "--role", role]
            return subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    async def is_ready(self) -> bool:
        """Whether /readyz says so; fails the test when the process has ended."""
        assert self.service is not None
        assert self.service.poll() is None, self.log()[-3000:]
        try:
            return (await self.get("/readyz"))[0] == 200
        except aiohttp.ClientError:
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.service is not None
        self.service.kill()
        self.service.wait()

    def terminate(self, seconds: float = 60) -> int:
        """SIGTERM; the process's exit code."""
        assert self.service is not None
        self.service.send_signal(signal.SIGTERM)
        return self.service.wait(seconds)

    def asterisk_pid(self) -> int:
        """Our Asterisk's process."""
        found = running(self.settings.data_dir / "engine")
        assert found is not None
        return found.pid

    def log(self) -> str:
        """What the service has logged."""
        return (self.folder / "service.log").read_text(errors="replace")

    async def vonal(self, *words: str) -> tuple[int, str, str]:
        """Runs a command of the operator's: its exit code, stdout and stderr."""
        done = await asyncio.create_subprocess_exec(
            VONAL,
            *words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await done.communicate()
        return done.returncode or 0, out.decode(), err.decode()

    async def apply(self, wanted: Directory) -> None:
        """`vonal apply`; the directory is in effect when this returns."""
        path = self.folder / "directory.yaml"
        path.write_bytes(msgspec.yaml.encode(wanted))
        code, out, err = await self.vonal("apply", str(path))
        assert code == 0, out + err

    # --- the API ---

    async def get(self, path: str, **params: Any) -> tuple[int, Any]:
        """Status and JSON of a GET with the tenant's key."""
        return await self.request("GET", path, params=params)

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON (or bytes) of any request with the tenant's key."""
        host, port = self.settings.listen
        url, headers = f"http://{host}:{port}{path}", {"X-API-Key": KEY}
        async with aiohttp.ClientSession() as http, http.request(method, url, headers=headers, **options) as answer:
            body = await answer.read()
            return answer.status, msgspec.json.decode(body) if "json" in answer.content_type else body

    async def click(self, number: str = CUSTOMER, extension: str = "101", **more: Any) -> tuple[int, Any]:
        """Click-to-call."""
        return await self.get("/api/v1/click-to-call", extension=extension, number=number, **more)

    # --- the outside ---

    def phone(self, number: str) -> Phone:
        """An agent's phone."""
        return self.outside.phone(f"acme-{number}")

    @property
    def carrier(self) -> Carrier:
        """The telephone network."""
        return self.outside.carrier("carrier")

    async def call_in(self, number: str = DID, **more: Any) -> Call:
        """A customer calls."""
        return await self.carrier.call_in(number, **more)

    async def quiet(self) -> None:
        """Ends all calls, waits for their records, and forgets them; phones answer at once again."""
        for party in (*(self.phone(one) for one in PHONES), self.carrier):
            await party.hang_up()
            party.forget()
            party.behaviour = answer(440) if isinstance(party, Phone) else answer(880)
        await until(self._is_quiet, "all calls are over and told")
        self.crm.requests.clear()

    async def _is_quiet(self) -> bool:
        _, calls = await self.get("/api/v1/calls")
        over = all(one["call"]["state"] == "completed" for one in calls["items"])
        _, deliveries = await self.get("/api/v1/deliveries", state="open")
        return over and not deliveries["items"]

    # --- what the CRM has got ---

    def events(self, call_id: str | None = None, type_: str | None = None) -> list[dict[str, Any]]:
        """The envelopes that have arrived, each id once, in order of arrival."""
        found = {got.json["id"]: got.json for got in self.crm.requests if got.path == "/hook"}
        return [
            one
            for one in found.values()
            if call_id in (None, one["data"]["call"]["id"]) and type_ in (None, one["type"])
        ]

    async def completed(self, count: int = 1, seconds: float = 30) -> list[dict[str, Any]]:
        """The records of `count` calls, as soon as the CRM has them all."""
        await until(lambda: len(self.events(type_="call.completed")) >= count, f"{count} records", seconds=seconds)
        return self.events(type_="call.completed")


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = 20) -> None:
    """Returns as soon as the condition holds; fails the test, saying `what` was missed, after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def world(folder: Path, *, database_url: str = "", role: str = "all") -> AsyncIterator[World]:
    """Everything running, all phones registered. With the `role` telephony nothing is delivered until `deliver`."""
    api, sip, ari, carrier, sends, fixed = (ports.free_port() for _ in range(6))
    environ = {
        "VONAL_DATA_DIR": str(folder / "data"),
        "VONAL_LISTEN": f"127.0.0.1:{api}",
        "VONAL_SIP_LISTEN": f"127.0.0.1:{sip}",
        "VONAL_ARI_PORT": str(ari),
        "VONAL_RTP_PORTS": "20000-24000",
        "VONAL_DATABASE_URL": database_url,
    }
    settings = load({**os.environ, **environ})
    async with receiving() as crm:
        made = World(folder, crm, settings, role=role)
        try:
            wanted = directory(crm, carrier=carrier, sends=sends, fixed=fixed)
            await made.start()
            await made.apply(wanted)
            binary = locate("embedded", settings.engine_dir)
            outside = Simulator(wanted, folder=folder / "outside", binary=binary, pbx=f"127.0.0.1:{sip}")
            async with outside as made.outside:
                for number in ("101", "102", "103"):
                    await made.outside.phone(f"acme-{number}").registered()
                yield made
        finally:
            await _stop(made)


async def _stop(made: World) -> None:
    for one in (made.service, *made.deliverers):
        if one and one.poll() is None:
            one.kill()
            one.wait()
    await made.vonal("engine", "stop", "--yes")

"""The API on a real socket, with a real store and a fake phone system, for tests that speak HTTP to it."""

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from fake_telephony import FakeTelephony
from vonal.api import Services, create_app, server
from vonal.calls.broadcast import Broadcast
from vonal.calls.control import Control
from vonal.calls.originate import Originator
from vonal.calls.playback import Opened
from vonal.calls.signing import Signer
from vonal.calls.waiting import Waiters
from vonal.directory.apply import apply
from vonal.directory.credentials import Authenticator
from vonal.directory.webhooks import Webhooks
from vonal.domain.call import Call, Leg
from vonal.domain.directory import ApiKey, ApiUser, Directory, Extension, Number, Outbound, Tenant, Trunk, Webhook
from vonal.domain.errors import RecordingDeleted, RecordingIdUndecodable, RecordingNotFound, RecordingNotReady
from vonal.store import calls
from vonal.store import directory as directories
from vonal.store.database import Database
from vonal.webhooks import check as webhook_check
from vonal.webhooks import guard
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender
from vonal.webhooks.trial import Trials

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
KEY = "vk_test_0123456789abcdef"
READ_KEY = "vk_test_only_reads_calls"
FAR_KEY = "vk_test_from_far_away_only"
OTHER_KEY = "vk_test_of_other_tenant"
USER, PASSWORD = "crm", "s3cret-pw"
NUMBER = "+36301234567"

ACME = Tenant(
    id="acme",
    name="Acme Kft.",
    country="HU",
    timezone="Europe/Budapest",
    extensions=[
        Extension(number="101", name="Kovács Anna", secret="phone-secret-1", email="anna@acme.example"),
        Extension(number="102", name="Nagy Béla", secret="phone-secret-2"),
        Extension(number="103", name="", secret="phone-secret-3"),
    ],
    numbers=[Number(number="+3612345678", ring=["101"]), Number(number="+3612345679", ring=["102"])],
    outbound=Outbound(trunk="carrier", caller_id="+3612345678", countries=["HU", "AT"]),
    api_users=[ApiUser(user=USER, password=PASSWORD)],
    api_keys=[
        ApiKey(name="crm", key=KEY),
        ApiKey(name="reader", key=READ_KEY, scopes=["read"]),
        ApiKey(name="far", key=FAR_KEY, networks=["203.0.113.0/24"]),
    ],
    webhooks=[Webhook(id="log", url="https://crm.example/calls", events=["call.completed"])],
)
OTHER = Tenant(
    id="other",
    country="AT",
    extensions=[Extension(number="101", secret="phone-secret-9")],
    api_keys=[ApiKey(name="crm", key=OTHER_KEY)],
)
DIRECTORY = Directory(trunks=[Trunk(id="carrier", address="127.0.0.1:5080")], tenants=[ACME, OTHER])


class House:
    """A running API. `url` is where; `telephony` is its phone system; `sounds` are its recordings by id."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.telephony = FakeTelephony()
        self.telephony.registered = {("acme", "101"), ("acme", "102")}
        self.sounds: dict[tuple[str, str], Opened | Exception] = {}
        self.waiters = Waiters()
        self.broadcast = Broadcast()
        self.abandoned: list[tuple[str, str, str]] = []
        self.draining = False
        self.facts_until: datetime | None = None
        self.wrong: str | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.directory = DIRECTORY  # the one in effect
        self.url = ""
        self.steady = 1000.0
        self.allow: tuple[guard.IPNetwork, ...] = LOOPBACK  # what a webhook's URL may name, beside the internet
        self.time = time.time
        self.preparer = Preparer(
            db,
            base_url="https://pbx.example",
            load_recording=self._no_sound,
            clock=lambda: self.time(),  # noqa: PLW0108 - tests put another in its place
        )

    def services(self, base_url: str = "http://127.0.0.1") -> Services:
        return Services(
            db=self.db,
            authenticator=Authenticator(self.db),
            originator=Originator(
                self.db, self.telephony, tenant=self.tenant, abandon=self._abandon, steady=lambda: self.steady
            ),
            control=Control(self.db, self.telephony, tenant=self.tenant),
            waiters=self.waiters,
            broadcast=self.broadcast,
            signer=Signer([b"an-older-secret-0123", b"a-newer-secret-45678"]),
            tenant=self.tenant,
            phones=self.telephony.phones,
            open_recording=self._open,
            probes={"database": self._probe},
            draining=lambda: self.draining,
            facts_until=lambda: self.facts_until or datetime.now(UTC),
            base_url=base_url,
            webhooks=Webhooks(
                self.db,
                checks=[webhook_check.faults],
                url_fault=lambda url: guard.fault_of_url(url, self.allow),
                taken_in=self._taken_in,
            ),
            trials=Trials(self.db, self.preparer, CurlSender(LOOPBACK).send),
            steady=lambda: self.steady,
        )

    def client(self, **more: object) -> httpx.Client:
        """An HTTP client with the tenant's key, unless `headers` says otherwise."""
        return httpx.Client(base_url=self.url, **{"headers": {"X-API-Key": KEY}, "timeout": 20, **more})

    def call(self, call_id: str, tenant_id: str = "acme") -> Call | None:
        return self.db.read_now(lambda tx: calls.find(tenant_id, tx, call_id))

    def keep(self, call: Call, *, tell: bool = False) -> Call:
        """Stores the call as it is now, as the fact lane would, and tells those who wait."""
        self.db.submit(lambda tx: calls.save(call.tenant_id, tx, call)).result()
        if tell and self.loop:
            self.loop.call_soon_threadsafe(self.waiters.notify, call)
        return call

    def tenant(self, tenant_id: str) -> Tenant | None:
        return next((one for one in self.directory.tenants if one.id == tenant_id), None)

    async def _taken_in(self, _version: int) -> None:
        self.directory = await self.db.read(directories.any_tenant_load)
        self.preparer.forget()

    async def _no_sound(self, _tenant_id: str, _recording_id: str) -> bytes:
        raise AssertionError("a preview or test has asked for sound")

    async def _abandon(self, tenant_id: str, call_id: str, reason: str) -> None:
        self.abandoned.append((tenant_id, call_id, reason))

    async def _probe(self) -> str | None:
        return self.wrong

    async def _open(self, tenant_id: str, recording_id: str, format_: str | None = None) -> Opened:
        if not recording_id.startswith("rec_") or not recording_id.isascii():
            raise RecordingIdUndecodable("Not a recording id of this service.", param="id")
        found = self.sounds.get((tenant_id, recording_id), RecordingNotFound("There is no such recording.", param="id"))
        if isinstance(found, Exception):
            raise found
        return found


@contextmanager
def running(
    db: Database, *, host: str = "127.0.0.1", others: Callable[[Services], Sequence[Any]] = lambda _: (), **more: Any
) -> Iterator[House]:
    """The API of a house with two tenants, listening; `others` makes the routes beside it; `more`: of `create_app`."""
    apply(db, DIRECTORY)
    house = House(db)
    # asyncio spares small answers Nagle's delay only on sockets that say that they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    house.url = f"http://{host}:{listener.getsockname()[1]}"
    ready = threading.Event()

    async def serve() -> None:
        house.loop = asyncio.get_running_loop()
        services = house.services(house.url)
        app = create_app(services, others=others(services), **more)
        serving = uvicorn.Server(server.config(app))
        house.stop = lambda: setattr(serving, "should_exit", True)
        ready.set()
        await serving.serve(sockets=[listener])

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield house
    finally:
        house.stop()
        thread.join(10)


def recently(**ago: float) -> str:
    """A time shortly before now, as it stands in a request."""
    return (datetime.now(UTC) - timedelta(**(ago or {"hours": 1}))).isoformat()


def sound_file(path: Path, content: bytes) -> Opened:
    path.write_bytes(content)
    return Opened(
        path=path,
        size=len(content),
        etag="0f" * 32,
        filename="2026-11-22_10-20_inbound_101.mp3",
        media_type="audio/mpeg",
    )


def in_talk(call: Call) -> Call:
    """The call, with the agent and the customer in conversation."""
    now = datetime.now(UTC)
    call.state = "live"
    call.answered_at = call.talk_from = now
    call.disposition = "answered"
    call.legs = [
        Leg(
            id="leg_1",
            channel=call.linkedid,
            kind="extension",
            party="caller",
            extension="101",
            started_at=now,
            answered_at=now,
        ),
        Leg(id="leg_2", channel="17.2", kind="trunk", party="called", number=NUMBER, started_at=now, answered_at=now),
    ]
    return call


__all__ = ["House", "RecordingDeleted", "RecordingNotReady", "in_talk", "running", "sound_file"]

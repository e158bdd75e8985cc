"""The demo put on stage: service, Asterisk, the simulated outside world, and the CRM that knows only Vonal's API."""

import asyncio
import contextlib
import secrets
from base64 import b64encode
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Self

import aiohttp

from vonal.app import Service
from vonal.calls.folders import Folders
from vonal.cli.demo import cast, month, people, place
from vonal.cli.demo.crm.server import Crm, Softphone, serving
from vonal.cli.demo.crm.vonal import Vonal
from vonal.config import Settings, SettingsError
from vonal.directory import apply, effect
from vonal.domain.directory import Directory
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.store.secret import load_secrets
from vonal.telephony.binary import locate
from vonal.telephony.engine import running
from vonal.telephony.simulator import Simulator

CRM_PORT = 8081
CARRIER_PORT = 5080
ENDING_SECONDS = 5.0
LOOK_SECONDS = 0.05


class Demo:
    """Use as an async context manager: when it is entered, everything can be clicked; when it is left, nothing runs.

    `settings` are `place.load`'s; `say` gets a line for each step. Raises SettingsError when a service works in the
    data folder already.
    """

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.outside: Simulator
        self._say = say
        self._stack = AsyncExitStack()
        self._began = monotonic()
        self._secret = b""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._say("Stopping …")
        await self._stack.aclose()
        self._say("Everything has ended.")

    async def watch(self) -> None:
        """Comes back only when the service ends by itself, with what went wrong."""
        await asyncio.shield(self._serving)

    @property
    def api(self) -> str:
        """Vonal, API and portal, as this machine reaches it."""
        return _url(*self.settings.listen)

    @property
    def url(self) -> str:
        """The CRM's page."""
        return _url(self.settings.listen[0], self._crm_port)

    async def _open(self, stack: AsyncExitStack) -> None:
        signing_key = f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"
        await self._clear()
        self._choose_ports()
        directory = await asyncio.to_thread(self._apply, signing_key)
        self._step(f"demo tenant in {self.settings.data_dir}")
        vonal = await stack.enter_async_context(Vonal(self.api, cast.API_KEY))
        crm = Crm(vonal, cast.CUSTOMERS, signing_key=signing_key, call_me=self._call_me, softphone=self._softphone())
        await stack.enter_async_context(serving(crm, self.settings.listen[0], self._crm_port))
        service = await stack.enter_async_context(Service(self.settings))
        await self._open_service(stack, service)
        self._step(f"Vonal with Asterisk {service.pbx.engine.version}, API at {self.api}")
        await self._open_outside(stack, directory)
        self._step("simulated carrier, customers and phones")
        await crm.remember()
        self._step(f"CRM at {self.url}")

    def _step(self, text: str) -> None:
        self._say(f"{monotonic() - self._began:5.1f} s  {text}")

    async def _clear(self) -> None:
        """Nobody else may be at work here; a demo that was killed may have left its Asterisk behind."""
        with contextlib.closing(await asyncio.to_thread(open_database, self.settings)) as db:
            if effect.service_runs(self.settings, db):
                raise SettingsError(
                    f"VONAL_DATA_DIR={self.settings.data_dir}: a demo or service runs in it; stop it, or name another"
                )
        await self._end_asterisk()

    def _choose_ports(self) -> None:
        self.settings, said = place.settled(self.settings)
        for line in said:
            self._say(line)
        (host, api), (_, sip) = self.settings.listen, self.settings.sip_listen
        self._crm_port = place.first_free(host, CRM_PORT, [place.TCP], but=[api])
        listens = place.first_free(place.LOOPBACK, CARRIER_PORT, [place.UDP], but=[sip])
        self._carrier = listens, place.first_free(place.LOOPBACK, listens + 1, [place.UDP], but=[sip])

    def _apply(self, signing_key: str) -> Directory:
        self._secret = load_secrets(self.settings)[-1]
        hook = f"{self.url}/hooks/vonal"
        wanted = cast.directory(secret=self._secret, webhook_url=hook, signing_key=signing_key, carrier=self._carrier)
        with contextlib.closing(open_database(self.settings)) as db:
            apply.apply(db, wanted)
            self._fill(db, wanted)
        return wanted

    def _fill(self, db: Database, wanted: Directory) -> None:
        """Somebody who may sign in, and a month of calls behind the company; once."""
        people.add(db)
        binary = locate(self.settings.asterisk, self.settings.engine_dir)
        filled = month.fill(
            db,
            wanted.tenants[0],
            now=datetime.now(UTC),
            folders=Folders.of(self.settings.data_dir),
            secrets=load_secrets(self.settings),
            sounds=binary.data_dir / "sounds" / "en",
        )
        if filled:
            self._step(f"a month of {filled} made-up calls")

    def _softphone(self) -> Softphone:
        host, port = self.settings.sip_listen
        everywhere = host in ("0.0.0.0", "::")
        lan = place.lan_address() if everywhere else None
        return Softphone(
            servers=[f"{one}:{port}" for one in dict.fromkeys((place.reached(host), lan or place.reached(host)))],
            user=f"{cast.TENANT}-{cast.SOFTPHONE}",
            password=cast.phone_secret(self._secret, cast.SOFTPHONE),
            extension=cast.SOFTPHONE,
        )

    async def _open_service(self, stack: AsyncExitStack, service: Service) -> None:
        stop = asyncio.Event()
        self._serving = asyncio.create_task(service.run(stop))
        stack.push_async_callback(self._end_asterisk)
        stack.push_async_callback(self._end_service, stop)
        async with aiohttp.ClientSession() as http:
            while not await _is_ready(http, f"{self.api}/readyz"):
                if self._serving.done():
                    self._serving.result()
                await asyncio.sleep(LOOK_SECONDS)

    async def _open_outside(self, stack: AsyncExitStack, directory: Directory) -> None:
        host, port = self.settings.sip_listen
        self.outside = Simulator(
            cast.without_softphone(directory),
            folder=self.settings.data_dir / "outside",
            binary=locate(self.settings.asterisk, self.settings.engine_dir),
            pbx=f"{place.reached(host)}:{port}",
        )
        await stack.enter_async_context(self.outside)
        stack.push_async_callback(self._end_calls)
        cast.rehearse(self.outside)
        for extension in cast.SIMULATED:
            await self.outside.phone(f"{cast.TENANT}-{extension}").registered()

    async def _call_me(self, customer: cast.Customer, extension: str) -> None:
        number = cast.DIRECT if extension == cast.SOFTPHONE else cast.SWITCHBOARD
        shown = f"06{customer.number[3:]}" if customer.number.startswith("+36") else customer.number
        await self.outside.carrier("carrier").call_in(number, from_number=shown, sound=customer.says, talk=cast.TALKS)

    async def _end_calls(self) -> None:
        calls = self.outside.calls
        await asyncio.gather(*(call.hang_up() for call in calls))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                await asyncio.gather(*(call.ended.wait() for call in calls))

    async def _end_service(self, stop: asyncio.Event) -> None:
        stop.set()
        with contextlib.suppress(Exception):  # `watch` has told it, or the start has
            await self._serving

    async def _end_asterisk(self) -> None:
        if process := running(self.settings.data_dir / "engine"):
            await process.end(grace=ENDING_SECONDS)


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.status == HTTPStatus.OK
    except aiohttp.ClientError:
        return False


def _url(host: str, port: int) -> str:
    return f"http://{place.reached(host)}:{port}"

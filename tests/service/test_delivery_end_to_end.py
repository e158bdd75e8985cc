"""From an event's transaction to a real receiver: envelope, HTTP, isolation, and being killed."""

import asyncio
import ipaddress
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import delivery_process
from delivery_house import webhook
from receiver import OK, Answer, Receiver, receiving
from sample_calls import answered_call, events_of_call, recording
from vonal.config import Settings
from vonal.delivery.worker import Worker
from vonal.domain.directory import Directory, Security, Tenant, Webhook
from vonal.domain.errors import RecordingDeleted
from vonal.domain.events import CallEvent, next_event
from vonal.store import deliveries, directory, events
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import LONGEST_SOUND, Preparer
from vonal.webhooks.sender import CurlSender

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
Load = Callable[[str, str], Awaitable[bytes]]


async def _sound(_tenant: str, _recording: str) -> bytes:
    return b"\xff\xfbsound"


async def _save(db: Database, hooks: list[Webhook]) -> None:
    tenant = Tenant(id="acme", country="HU", timezone="Europe/Budapest", webhooks=hooks)
    await db.write(lambda tx: directory.any_tenant_save(tx, directory.parts_of(Directory(tenants=[tenant]))))


@dataclass
class Service:
    """The delivery as `app` puts it together."""

    db: Database
    worker: Worker
    hooks: list[Webhook]

    async def tell(self, *told: CallEvent) -> None:
        """The events happen."""

        def store(tx: Any) -> Any:
            events.any_tenant_add(tx, list(told))
            now = datetime.now(UTC)
            return deliveries.enqueue("acme", tx, events=told, webhooks=self.hooks, matches=matches, now=now)

        self.worker.push(await self.db.write(store))

    async def log(self) -> list[Delivery]:
        items, _ = await self.db.read(partial(deliveries.listing, "acme", wanted=DeliveryFilter(), limit=1000))
        return items


@asynccontextmanager
async def _serving(db: Database, *hooks: Webhook, load: Load = _sound) -> AsyncIterator[Service]:
    await _save(db, list(hooks))
    sender = CurlSender(LOOPBACK)
    preparer = Preparer(db, base_url="https://pbx.example", load_recording=load, clock=time.time)
    worker = Worker(db, preparer.prepare, sender.send)
    running = asyncio.create_task(worker.run())
    try:
        yield Service(db, worker, list(hooks))
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await worker.stop(0.1)
        await sender.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


def _now_told(types: tuple[str, ...] = ("call.completed",)) -> list[CallEvent]:
    return events_of_call(at=datetime.now(UTC), types=types)


async def test_a_call_reaches_a_screen_pop_by_get_and_a_call_log_by_post(database: Database, receiver: Receiver):
    pop = webhook("pop", url=receiver.url, method="GET", events=["call.incoming"], params={"who": "{{ caller }}"})
    log = webhook("log", url=receiver.url, events=["call.completed"], security=Security(type="basic", user="u",
                  password="pass"))  # fmt: skip
    async with _serving(database, pop, log) as service:
        told = _now_told(("call.incoming", "call.completed"))
        await service.tell(*told)
        await receiver.got(2)
        await service.worker.idle()
        assert {one.state for one in await service.log()} == {"delivered"}
    by_method = {got.method: got for got in receiver.requests}
    assert dict(by_method["GET"].query)["who"] == "+36305550123"
    assert by_method["POST"].json["id"] == told[1].id
    assert by_method["POST"].json["tenant"]["timezone"] == "Europe/Budapest"
    assert by_method["POST"].headers["authorization"] == "Basic dTpwYXNz"


async def test_the_same_event_id_comes_on_every_attempt_and_attempts_are_counted(
    database: Database, receiver: Receiver
):
    receiver.answer_in_turn(Answer(status=500), Answer(status=500), OK)
    async with _serving(database, webhook(url=receiver.url)) as service:
        await service.tell(*_now_told(("call.incoming",)))
        await receiver.got(3)
    assert len({got.event_id for got in receiver.requests}) == 1
    assert [got.headers["x-vonal-attempt"] for got in receiver.requests] == ["1", "2", "3"]
    first, second, third = (got.at for got in receiver.requests)
    assert second - first >= 0.99
    assert third - second >= 1.99


async def test_sound_comes_inside_the_envelope_if_it_is_asked_for(database: Database, receiver: Receiver):
    small, large, gone = recording(id="rec_s"), recording(id="rec_l", size_bytes=LONGEST_SOUND + 1), recording(id="g")

    async def load(_tenant: str, recording_id: str) -> bytes:
        if recording_id == "g":
            raise RecordingDeleted("gone")
        return b"\xff\xfbsound"

    async with _serving(database, webhook(url=receiver.url, recording="inline"), load=load) as service:
        call = answered_call(recordings=[small, large, gone])
        await service.tell(next_event(call, "call.completed", datetime.now(UTC)))
        await receiver.got(1)
    shown = {one["id"]: one for one in receiver.requests[0].json["data"]["recordings"]}
    assert shown["rec_s"]["content_base64"] == "//tzb3VuZA=="
    assert shown["rec_l"]["content_base64"] is None
    assert shown["rec_l"]["inline_omitted"] == "too_large"
    assert shown["g"]["content_base64"] is None


async def test_a_template_that_cannot_be_filled_in_is_the_webhooks_fault_and_told(
    database: Database, receiver: Receiver
):
    async with _serving(database, webhook(url=receiver.url, params={"a": "{{ caller"})) as service:
        await service.tell(*_now_told())
        while not (log := await service.log())[0].last_error:
            await asyncio.sleep(0.01)
    assert (log[0].state, log[0].last_error, log[0].attempts[0].fault) == ("open", "request_not_made", "theirs")
    assert receiver.requests == []


async def test_a_private_address_is_refused_and_told(database: Database, receiver: Receiver):
    async with _serving(database, webhook(url=f"https://[::1]:{receiver.port}/")) as service:
        await service.tell(*_now_told())
        while not (log := await service.log())[0].attempts:
            await asyncio.sleep(0.01)
    assert log[0].attempts[0].error == "address_refused"
    assert "VONAL_WEBHOOK_ALLOW" in (log[0].attempts[0].answer or "")


async def test_a_webhook_that_hangs_delays_no_other(database: Database, receiver: Receiver):
    async with receiving() as hanging:
        hanging.answer(Answer(broken="hang"))
        hooks = [webhook(f"w{n}", url=receiver.url, events=["call.completed"]) for n in range(4)]
        async with _serving(database, *hooks, webhook("hangs", url=hanging.url, timeout=30)) as service:
            for _ in range(100):
                await service.tell(*_now_told())
            await receiver.got(400)
            assert len(hanging.requests) <= 8
            assert {one.state for one in await service.log() if one.webhook == "hangs"} == {"open"}


async def test_no_secret_of_a_webhook_is_logged_or_stored(
    database: Database, receiver: Receiver, capfd: pytest.CaptureFixture[str]
):
    receiver.answer(lambda got: Answer(status=500, body=f"{got.path_qs} {got.headers}".encode()))
    hooks = [
        webhook("a", url=receiver.url, security=Security(type="userpass_params", user="u", password="s3cr3t")),
        webhook("b", url=receiver.url, security=Security(type="api_key_param", param="k", key="s3cr3t")),
        webhook("c", url=receiver.url, security=Security(type="api_key_header", header="X-K", key="s3cr3t")),
        webhook("d", url="http://127.0.0.1:1/?k=s3cr3t"),
    ]
    async with _serving(database, *hooks) as service:
        await service.tell(*_now_told())
        while not all(one.attempts for one in await service.log()):
            await asyncio.sleep(0.01)
        assert "s3cr3t" not in str(await service.log())
    assert "s3cr3t" not in "".join(capfd.readouterr())


async def test_nothing_committed_is_lost_when_the_process_is_killed_in_a_burst(database_url: str, receiver: Receiver):
    url = Settings(database_url=database_url).sqlalchemy_url
    db = Database(url)
    await _save(db, [webhook(url=receiver.url, events=list(delivery_process.TYPES))])
    db.close()
    committed: list[str] = []
    for kill_after in (3, 40, 120):
        committed += await _run_and_kill(url, receiver, kill_after)
    await _drain(url)
    seen = [got.event_id for got in receiver.requests]
    assert set(committed) <= set(seen)
    assert len(committed) > 9
    _check_first_arrivals_are_in_order(receiver)


async def _run_and_kill(url: str, receiver: Receiver, kill_after: int) -> list[str]:
    """Kills the process when so many more requests have arrived; the ids of the events it had committed by then."""
    enough = len(receiver.requests) + kill_after
    process = await _start(url, 100_000)
    await receiver.until(lambda requests: len(requests) >= enough)
    process.kill()
    printed, _ = await process.communicate()
    whole = printed.decode().rpartition("\n")[0]
    return whole.split()


async def _drain(url: str) -> None:
    process = await _start(url, 0)
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert printed == b"idle\n"


async def _start(url: str, calls: int) -> asyncio.subprocess.Process:
    script = Path(delivery_process.__file__)
    return await asyncio.create_subprocess_exec(
        sys.executable, script, url, str(calls), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )


def _check_first_arrivals_are_in_order(receiver: Receiver) -> None:
    arrived: dict[str, list[int]] = {}
    seen = set()
    for got in receiver.requests:
        if got.event_id not in seen:
            seen.add(got.event_id)
            arrived.setdefault(got.json["data"]["call"]["id"], []).append(got.json["sequence"])
    for sequences in arrived.values():
        assert sequences == sorted(sequences)

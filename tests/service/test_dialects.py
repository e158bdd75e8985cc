"""sipgate's conversation on a real wire: what a receiver's answer asked for is told, there, and nothing else."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import pytest
from structlog.testing import capture_logs

from delivery_house import webhook
from receiver import Answer, Got, Receiver, receiving
from sample_calls import answered_call
from vonal.delivery.worker import Worker
from vonal.domain.call import Call
from vonal.domain.delivery import Owed, Unsendable
from vonal.domain.directory import Directory, Extension, Number, Security, Tenant, Webhook
from vonal.domain.events import CallEvent, next_event
from vonal.store import deliveries, directory, events
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.webhooks.mask import tenant_key
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
MOMENTS = ["call.incoming", "call.outgoing", "call.answered", "call.ended"]
XML = {"Content-Type": "application/xml"}


async def _no_recording(_tenant: str, _recording: str) -> bytes:
    raise AssertionError


class House:
    """One delivery process as `app` puts it together, and a call that goes on."""

    def __init__(self, db: Database, hook: Webhook, worker: Worker) -> None:
        self.db, self.hook, self.worker = db, hook, worker

    async def tell(self, call: Call, *types: str) -> list[CallEvent]:
        """The call's next events."""
        told = [next_event(call, type_, datetime.now(UTC)) for type_ in types]

        def store(tx: Any) -> Any:
            events.any_tenant_add(tx, told)
            now = datetime.now(UTC)
            return deliveries.enqueue("acme", tx, events=told, webhooks=[self.hook], matches=matches, now=now)

        self.worker.push(await self.db.write(store))
        return told

    async def settled(self) -> dict[str, Delivery]:
        """The deliveries by their event's type, when none is open."""
        async with asyncio.timeout(20):
            while True:
                await self.worker.idle()
                items, _ = await self.db.read(partial(deliveries.listing, "acme", wanted=DeliveryFilter()))
                if all(one.state != "open" for one in items):
                    return {one.type: one for one in items}
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _house(db: Database, hook: Webhook) -> AsyncIterator[House]:
    tenant = Tenant(
        id="acme",
        country="HU",
        extensions=[Extension(number="101", name="Kovács Anna"), Extension(number="102", name="Nagy Béla")],
        numbers=[Number(number="06 1 234 5678", ring=["101", "102"])],
        webhooks=[hook],
    )
    await db.write(lambda tx: directory.any_tenant_save(tx, directory.parts_of(Directory(tenants=[tenant]))))
    sender = CurlSender(LOOPBACK)
    preparer = Preparer(
        db,
        base_url="https://pbx.example",
        load_recording=_no_recording,
        clock=time.time,
        mask_key=partial(tenant_key, b"a-secret-of-the-service"),
    )
    worker = Worker(db, preparer.prepare, preparer.listening(sender.send))
    running = asyncio.create_task(worker.run())
    try:
        yield House(db, hook, worker)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await worker.stop(0.1)
        await sender.close()


def _call() -> Call:
    return answered_call(at=datetime.now(UTC), agent=None)


def _hook(receiver: Receiver, **members: Any) -> Webhook:
    return webhook("sip", url=receiver.url, events=MOMENTS, dialect="sipgate", **members)


def _asking(receiver: Receiver, **paths: str) -> Answer:
    there = " ".join(f'{name}="http://127.0.0.1:{receiver.port}/{path}"' for name, path in paths.items())
    return Answer(body=f'<?xml version="1.0" encoding="UTF-8"?>\r\n<Response {there}/>'.encode(), headers=XML)


def _form(got: Got) -> list[tuple[str, str]]:
    return parse_qsl(got.body.decode())


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def test_who_asked_is_told_of_answer_and_end_at_the_addresses_he_gave(database: Database, receiver: Receiver):
    receiver.answer(_asking(receiver, onAnswer="a", onHangup="h"))
    async with _house(database, _hook(receiver)) as house:
        await house.tell(_call(), "call.incoming", "call.answered", "call.ended")
        by_type = await house.settled()
    assert {one.state for one in by_type.values()} == {"delivered"}
    assert [(got.path, dict(_form(got))["event"]) for got in receiver.requests] == [
        ("/hook", "newCall"),
        ("/a", "answer"),
        ("/h", "hangup"),
    ]
    users = [value for name, value in _form(receiver.requests[0]) if name == "user[]"]
    assert users == ["Kovács Anna", "Nagy Béla"]
    assert len({dict(_form(got))["callId"] for got in receiver.requests}) == 1


async def test_who_did_not_ask_is_told_no_more(database: Database, receiver: Receiver):
    receiver.answer(_asking(receiver, onHangup="h"))
    async with _house(database, _hook(receiver)) as house:
        await house.tell(_call(), "call.incoming", "call.answered", "call.ended")
        by_type = await house.settled()
    assert by_type["call.answered"].state == "dropped"
    assert by_type["call.answered"].attempts == []
    assert [got.path for got in receiver.requests] == ["/hook", "/h"]


async def test_what_was_asked_is_known_after_a_restart(database: Database, receiver: Receiver):
    call, hook = _call(), _hook(receiver)
    receiver.answer(_asking(receiver, onHangup="h"))
    async with _house(database, hook) as house:
        await house.tell(call, "call.incoming")
        await house.settled()
    receiver.answer(Answer())
    async with _house(database, hook) as house:
        await house.tell(call, "call.answered", "call.ended")
        await house.settled()
    assert [got.path for got in receiver.requests] == ["/hook", "/h"]


async def test_an_answer_to_an_attempt_that_failed_asks_for_nothing(database: Database, receiver: Receiver):
    asking = _asking(receiver, onAnswer="a")
    receiver.answer(Answer(status=400, body=asking.body))
    async with _house(database, _hook(receiver)) as house:
        told = await house.tell(_call(), "call.incoming")
        await receiver.got(1)
        await house.worker.idle()
        look = partial(
            deliveries.accepted_answer, "acme", webhook_id="sip", call_id=told[0].call_id, types=["call.incoming"]
        )
        assert await database.read(look) is None


async def test_another_tenants_answer_is_never_found(database: Database, receiver: Receiver):
    receiver.answer(_asking(receiver, onAnswer="a"))
    async with _house(database, _hook(receiver)) as house:
        told = await house.tell(_call(), "call.incoming")
        await house.settled()
    look = partial(deliveries.accepted_answer, webhook_id="sip", call_id=told[0].call_id, types=["call.incoming"])
    assert "onAnswer" in (await database.read(partial(look, "acme")) or "")
    assert await database.read(partial(look, "other")) is None


async def test_credentials_stay_with_the_server_that_they_are_for(database: Database, receiver: Receiver):
    async with receiving() as other:
        receiver.answer(_asking(other, onAnswer="a"))
        security = Security(type="basic", user="u", password="pass")
        async with _house(database, _hook(receiver, security=security, params={"k": "abc"})) as house:
            await house.tell(_call(), "call.incoming", "call.answered")
            await house.settled()
        [there] = other.requests
    assert receiver.requests[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in there.headers
    assert there.path_qs == "/a"


async def test_an_asked_address_is_guarded_as_any_other(database: Database, receiver: Receiver):
    receiver.answer(Answer(body=b'<Response onAnswer="http://169.254.169.254/latest/meta-data"/>', headers=XML))
    async with _house(database, _hook(receiver)) as house:
        told = await house.tell(_call(), "call.incoming", "call.answered")
        async with asyncio.timeout(20):
            while True:
                await house.worker.idle()
                items, _ = await database.read(partial(deliveries.listing, "acme", wanted=DeliveryFilter()))
                answered = next(one for one in items if one.event_id == told[1].id)
                if answered.attempts:
                    break
                await asyncio.sleep(0.02)
    assert answered.attempts[0].error == "address_refused"


async def test_what_is_not_supported_is_said_once(database: Database, receiver: Receiver):
    receiver.answer(Answer(body=b'<Response><Reject reason="busy"/></Response>', headers=XML))
    with capture_logs() as logs:
        async with _house(database, _hook(receiver)) as house:
            await house.tell(_call(), "call.incoming", "call.ended")
            await house.tell(_call(), "call.incoming", "call.ended")
            await house.settled()
    said = [one for one in logs if one["event"] == "webhook.answer_not_supported"]
    assert [(one["webhook"], one["asked"]) for one in said] == [("sip", "Reject")]


async def test_a_zammad_is_told_in_json_with_the_numbers_masked(database: Database, receiver: Receiver):
    hook = webhook("z", url=receiver.url, events=MOMENTS, dialect="zammad", mask={"from.number": "hash"})
    async with _house(database, hook) as house:
        await house.tell(_call(), "call.incoming", "call.ended")
        await house.settled()
    first, last = (got.json for got in receiver.requests)
    assert first["user"] == ["Kovács Anna", "Nagy Béla"]
    assert len(first["from"]) == 32
    assert last["from"] == first["from"]


@pytest.mark.parametrize(
    ("dialect", "type_", "direction"),
    [
        ("sipgate", "call.ended", "inbound"),  # nobody asked
        ("placetel", "call.answered", "outbound"),  # it has no word for it
        ("zammad", "call.transferred", "inbound"),
    ],
)
async def test_what_nobody_wants_is_told_apart_from_a_fault(
    database: Database, dialect: str, type_: str, direction: str
):
    hook = webhook("sip", events=MOMENTS, dialect=dialect)
    async with _house(database, hook):
        preparer = Preparer(database, base_url="https://x.example", load_recording=_no_recording, clock=time.time)
        told = next_event(answered_call(direction=direction), type_, datetime.now(UTC))
        async with preparer.prepare(Owed(id="dlv_x", webhook_id="sip", event=told, due_at=0)) as request:
            assert request == Unsendable(reason="unwanted")

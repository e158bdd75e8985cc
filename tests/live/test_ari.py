"""The ARI client against a real Asterisk: what it says of phones, and what it does when there is no Asterisk."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientTimeout

import ports
from vonal.config import load
from vonal.domain.call import new_id
from vonal.domain.directory import Directory, Extension, Tenant
from vonal.domain.errors import OriginateFailed, TelephonyUnavailable
from vonal.domain.telephony import Phone, Ring
from vonal.telephony.ari import Ari
from vonal.telephony.pbx import Pbx

TENANT = Tenant(
    id="acme",
    country="HU",
    extensions=[
        Extension(number="101", secret="phone-secret-1"),
        Extension(number="102", secret="phone-secret-2", contact="sip:102@127.0.0.1:9"),
    ],
)


@pytest.fixture
async def pbx(tmp_path: Path) -> AsyncIterator[Pbx]:
    """A PBX with a phone that is not registered and one that never answers."""
    environ = {
        "VONAL_DATA_DIR": str(tmp_path),
        "VONAL_SIP_LISTEN": f"127.0.0.1:{ports.free_port()}",
        "VONAL_ARI_PORT": str(ports.free_port()),
    }
    opened = Pbx(load(environ))
    async with opened.ari:
        await opened.start(Directory(tenants=[TENANT]))
        yield opened
        await opened.engine.stop()


def _ring(extension: str = "102") -> Ring:
    return Ring(call_id=new_id("call"), tenant_id="acme", extension=extension, number="101", timeout=20)


async def _until(condition: object, *, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_phone_is_known_by_what_it_does(pbx: Pbx) -> None:
    assert await pbx.ari.phone("acme", "101") == Phone(registered=False)
    assert await pbx.ari.phone("acme", "102") == Phone(registered=True)
    assert await pbx.ari.phone("acme", "109") is None
    assert await pbx.ari.phones("acme") == {"101": Phone(registered=False), "102": Phone(registered=True)}
    assert await pbx.ari.phones("other") == {}


async def test_the_ringing_phone_is_busy_as_soon_as_ring_returns(pbx: Pbx) -> None:
    for _ in range(20):
        order = _ring()
        await pbx.ari.ring(order)
        assert await pbx.ari.phone("acme", "102") == Phone(registered=True, channels=(order.call_id,))
        assert await pbx.ari.hang_up(order.call_id)
        await _until(lambda order=order: _is_gone(pbx.ari, order.call_id))


async def _is_gone(ari: Ari, channel: str) -> bool:
    return channel not in [one["id"] for one in await ari.channels()] and not await ari.hang_up(channel)


async def test_what_asterisk_cannot_do_it_says(pbx: Pbx) -> None:
    with pytest.raises(OriginateFailed):
        await pbx.ari.ring(_ring("101"))
    with pytest.raises(OriginateFailed):
        await pbx.ari.ring(_ring("109"))
    order = _ring()
    await pbx.ari.ring(order)
    with pytest.raises(OriginateFailed):
        await pbx.ari.ring(order)
    assert not await pbx.ari.transfer(order.call_id, tenant_id="acme", to="101")
    assert not await pbx.ari.transfer("17.17", tenant_id="acme", to="101")
    assert not await pbx.ari.hang_up("17.17")


async def test_the_phones_are_asked_for_again_only_after_an_event(pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, heard, ask = [], [], Ari._ask

    async def counted(self: Ari, method: str, path: str, **more: object) -> object:
        asked.append(path)
        return await ask(self, method, path, **more)

    monkeypatch.setattr(Ari, "_ask", counted)
    listening = asyncio.create_task(pbx.ari.listen(heard.append, types=["ChannelStateChange"]))

    async def is_connected() -> bool:
        return bool(heard)

    await _until(is_connected)
    for _ in range(5):
        await pbx.ari.phones("acme")
    assert asked == ["endpoints/PJSIP"]
    order = _ring()
    await pbx.ari.ring(order)

    async def shows_it() -> bool:
        return (await pbx.ari.phones("acme"))["102"].channels == (order.call_id,)

    await _until(shows_it)
    assert {one["type"] for one in heard} <= {"Connected", "ChannelStateChange"}
    listening.cancel()


async def test_the_stream_of_events_is_taken_up_again_after_asterisk_was_killed(pbx: Pbx) -> None:
    heard: list[str] = []
    listening = asyncio.create_task(pbx.ari.listen(lambda event: heard.append(event["type"]), types=[]))

    async def connected(times: int) -> bool:
        return heard.count("Connected") == times

    await _until(lambda: connected(1))
    await pbx.engine.stop()
    with pytest.raises(TelephonyUnavailable):
        await pbx.ari.ping()
    with pytest.raises(TelephonyUnavailable):
        await pbx.ari.ring(_ring())
    with pytest.raises(TelephonyUnavailable):
        await pbx.ari.phones("acme")
    await pbx.engine.ensure_running()
    await _until(lambda: connected(2), seconds=30)
    await pbx.ari.ring(_ring())
    listening.cancel()


async def test_a_wrong_password_is_no_phone_system(pbx: Pbx) -> None:
    async with Ari(pbx.ari._url, password="wrong") as stranger:
        with pytest.raises(TelephonyUnavailable):
            await stranger.ping()
        with pytest.raises(TelephonyUnavailable):
            await stranger.transfer("17.17", tenant_id="acme", to="101")


async def test_an_asterisk_that_hangs_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vonal.telephony.ari.TIMEOUT", ClientTimeout(total=0.2))
    server = await asyncio.start_server(lambda reader, _writer: reader.read(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Ari(f"http://127.0.0.1:{port}", password="x") as ari:
        with pytest.raises(TelephonyUnavailable):
            await ari.ring(_ring())
    server.close()

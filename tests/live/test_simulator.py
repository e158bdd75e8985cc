"""The outside world does what people, phones and carriers do, and tells what it saw and heard."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from live.farm import Farm, hears, hears_speech, running_farm, soon
from tones import dominant_tone, hear
from vonal import config
from vonal.telephony.binary import AsteriskBinary, locate
from vonal.telephony.engine_install import install
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import BUSY, REJECTED, Behaviour, Call, answer, refuse, ring

NUMBER = "+3612345678"
PHONES = ("acme-101", "acme-102", "acme-103", "acme-104", "acme-105", "other-101")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def binary() -> AsteriskBinary:
    engine_dir = config.load().engine_dir
    install(engine_dir, progress=lambda _: None)
    return locate("embedded", engine_dir)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(tmp_path_factory: pytest.TempPathFactory, binary: AsteriskBinary) -> AsyncIterator[Farm]:
    async with running_farm(tmp_path_factory.mktemp("farm"), binary) as farm:
        yield farm


@pytest_asyncio.fixture(loop_scope="module")
async def outside(farm: Farm) -> AsyncIterator[Simulator]:
    """Everybody is there, answers at once, and is in no call."""
    for name in PHONES:
        farm.outside.phone(name).behaviour = answer(440)
        farm.outside.phone(name).forget()
    farm.outside.carrier("carrier").forget()
    yield farm.outside
    calls = farm.outside.calls
    await asyncio.gather(*(call.hang_up() for call in calls))
    await soon(asyncio.gather(*(call.ended.wait() for call in calls)))


async def in_conversation(outside: Simulator, number: str = NUMBER) -> tuple[Call, Call]:
    """The customer's and the answering agent's end."""
    customer = await outside.carrier("carrier").call_in(number)
    agent = await soon(outside.phone("acme-101").rung())
    await soon(customer.answered.wait())
    return customer, agent


async def consulting(outside: Simulator, colleague: Behaviour) -> tuple[Call, Call, Call, Call]:
    """The customer's end, on hold; the agent's two ends; the colleague's, which has begun to ring."""
    outside.phone("acme-105").behaviour = colleague
    customer, first = await in_conversation(outside)
    await first.hold()
    second = await outside.phone("acme-101").dial("105")
    return customer, first, second, await soon(outside.phone("acme-105").rung())


async def test_customer_and_agent_hear_each_other(outside: Simulator):
    customer, agent = await in_conversation(outside)

    await soon(hears(outside, customer, 440))
    await soon(hears(outside, agent, 880))


async def test_a_sentence_is_heard(outside: Simulator):
    outside.phone("acme-101").behaviour = answer("demo-congrats")
    customer, _ = await in_conversation(outside)

    await soon(hears_speech(outside, customer))


async def test_the_agents_phone_shows_who_calls(outside: Simulator):
    await outside.carrier("carrier").call_in(NUMBER, from_number="06305550123", from_name="Kiss Őrs; x=${y}, z")

    leg = await soon(outside.phone("acme-101").rung())

    assert (leg.number, leg.name) == ("06305550123", "Kiss Őrs; x=${y}, z")
    assert leg.headers["User-Agent"] == "Vonal"


async def test_a_customer_can_hide_the_number(outside: Simulator):
    await outside.carrier("carrier").call_in(NUMBER, from_number="06305550123", anonymous=True)

    assert "5550123" not in repr(await soon(outside.phone("acme-101").rung()))


async def test_pbx_recording_has_the_customer_on_one_side_and_the_agent_on_the_other(farm: Farm, outside: Simulator):
    customer, agent = await in_conversation(outside)
    await soon(hears(outside, customer, 440))
    await soon(hears(outside, agent, 880))
    await customer.hang_up()
    await soon(customer.ended.wait())

    recording = max((farm.pbx.folder / "spool" / "monitor").glob("*.raw"), key=lambda path: path.stat().st_mtime)
    left, right, _ = hear(recording)
    assert (dominant_tone(left), dominant_tone(right)) == (880, 440)


@pytest.mark.parametrize(("ending", "code"), [("91", 486), ("93", 403), ("94", 503), ("95", 404), ("97", 480)])
async def test_a_number_tells_by_its_ending_how_it_refuses(outside: Simulator, ending: str, code: int):
    call = await outside.phone("acme-101").dial(f"063055501{ending}")

    await soon(call.ended.wait())

    assert call.sip_code == code
    assert not call.answered.is_set()


async def test_a_number_ending_in_92_rings_until_the_agent_gives_up(outside: Simulator):
    call = await outside.phone("acme-101").dial("06305550192")
    ringing = await soon(outside.carrier("carrier").rung())
    await soon(call.ringing.wait())

    await call.hang_up()
    await soon(ringing.ended.wait())

    assert not ringing.answered.is_set()


async def test_a_number_ending_in_96_answers_and_hangs_up(outside: Simulator):
    call = await outside.phone("acme-101").dial("06305550196")

    await soon(call.ended.wait())

    assert call.answered.is_set()


async def test_what_a_number_does_can_be_changed_while_running(outside: Simulator):
    outside.carrier("carrier").by_number["+36305550191"] = answer(660)

    call = await outside.phone("acme-101").dial("06305550191")

    await soon(call.answered.wait())
    await soon(hears(outside, call, 660))


@pytest.mark.parametrize("behaviour", [refuse(BUSY), refuse(REJECTED, after=0.1)])
async def test_a_phone_refuses(outside: Simulator, behaviour: Behaviour):
    outside.phone("acme-102").behaviour = behaviour

    call = await outside.phone("acme-101").dial("102")
    await soon(call.ended.wait())

    assert call.cause == behaviour.cause


async def test_an_unregistered_phone_is_not_rung_and_can_come_back(outside: Simulator):
    phone = outside.phone("acme-102")
    await soon(phone.unregister())
    call = await outside.phone("acme-101").dial("102")
    await soon(call.ended.wait())
    assert phone.calls == []

    await soon(phone.register())
    call = await outside.phone("acme-101").dial("102")
    await soon(call.answered.wait())


@pytest.mark.parametrize("extension", ["103", "104"])
async def test_a_phone_at_a_fixed_address_calls_and_is_called(outside: Simulator, extension: str):
    there = await outside.phone("acme-101").dial(extension)
    await soon(there.answered.wait())
    back = await outside.phone(f"acme-{extension}").dial("101")
    await soon(back.answered.wait())

    await soon(hears(outside, back, 440))


async def test_a_carrier_takes_registrations_and_calls_its_member(outside: Simulator):
    carrier = outside.carrier("member")
    called = await carrier.call_in("+3619999999")
    await soon(called.answered.wait())

    calling = await outside.phone("other-101").dial("06305550100")
    await soon(calling.answered.wait())

    assert [call.called for call in carrier.calls] == ["+3619999999", "+36305550100"]


async def test_blind_transfer(outside: Simulator):
    outside.phone("acme-105").behaviour = answer(660)
    customer, agent = await in_conversation(outside)

    assert await outside.phone("acme-101").blind_transfer("105", agent)

    await soon(hears(outside, customer, 660))
    await soon(agent.ended.wait())


async def test_a_refused_blind_transfer_leaves_the_call_as_it_was(outside: Simulator):
    customer, agent = await in_conversation(outside)

    assert not await outside.phone("acme-101").blind_transfer("nobody", agent)

    await soon(hears(outside, customer, 440))


async def test_attended_transfer(outside: Simulator):
    customer, first, second, _ = await consulting(outside, answer(660))
    await soon(second.answered.wait())

    assert await outside.phone("acme-101").attended_transfer(first, second)

    await soon(hears(outside, customer, 660))
    await soon(asyncio.gather(first.ended.wait(), second.ended.wait()))


async def test_blonde_transfer(outside: Simulator):
    customer, first, second, colleague = await consulting(outside, ring())
    await soon(second.ringing.wait())

    assert await outside.phone("acme-101").attended_transfer(first, second)
    await soon(asyncio.gather(first.ended.wait(), second.ended.wait()))
    assert not colleague.answered.is_set()
    await colleague.answer()
    await colleague.play(660)

    await soon(hears(outside, customer, 660))


@pytest.mark.parametrize("code", ["*8", "*8101"])
async def test_a_colleague_picks_up(outside: Simulator, code: str):
    outside.phone("acme-101").behaviour = ring()
    customer = await outside.carrier("carrier").call_in(NUMBER)
    ringing = await soon(outside.phone("acme-101").rung())
    await soon(ringing.ringing.wait())

    await outside.phone("acme-105").pickup(code)

    await soon(hears_when_answered(outside, customer))
    await soon(ringing.ended.wait())


async def hears_when_answered(outside: Simulator, customer: Call) -> None:
    await customer.answered.wait()
    await hears(outside, customer, 440)


async def test_hold_silences_the_agent_until_taken_back(outside: Simulator):
    customer, agent = await in_conversation(outside)
    await soon(hears(outside, customer, 440))

    await agent.hold()
    await soon(hears(outside, customer, None))
    await agent.unhold()

    await soon(hears(outside, customer, 440))


async def test_pressed_digits_arrive(outside: Simulator):
    customer, agent = await in_conversation(outside)
    await soon(hears(outside, customer, 440))

    await customer.press("15#")

    async with asyncio.timeout(10):
        while len(agent.digits) < 3:
            await asyncio.sleep(0.02)
    assert agent.digits == "15#"


async def test_fifty_calls_at_once(outside: Simulator):
    carrier = outside.carrier("carrier")

    calls = await asyncio.gather(*(carrier.call_in(NUMBER, talk=1.0) for _ in range(50)))

    await soon(asyncio.gather(*(call.answered.wait() for call in calls)))
    await soon(asyncio.gather(*(call.ended.wait() for call in calls)))
    assert len(outside.phone("acme-101").calls) == 50


async def test_two_worlds_work_side_by_side_and_leave_nothing_behind(
    outside: Simulator, binary: AsteriskBinary, tmp_path_factory: pytest.TempPathFactory
):
    async with running_farm(tmp_path_factory.mktemp("second"), binary) as second:
        for each in (outside, second.outside):
            await in_conversation(each)
    assert second.outside.engine.pid is None
    assert second.pbx.pid is None

"""The outside world does what people, phones and carriers do, and tells what it saw and heard."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live.farm import Farm, dominant_tone, hears, running_farm, stereo, tone_of
from vonal import config
from vonal.telephony.binary import locate
from vonal.telephony.engine_install import install
from vonal.telephony.simulator_call import BUSY, CONGESTION, NO_ANSWER, REJECTED, Call, answer, refuse, ring

NUMBER = "+3612345678"
pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Farm]:
    engine_dir = config.load().engine_dir
    install(engine_dir, progress=lambda _: None)
    async with running_farm(tmp_path_factory.mktemp("farm"), locate("embedded", engine_dir)) as farm:
        for name in ("acme-101", "acme-102", "acme-105", "other-101"):
            await farm.outside.phone(name).registered()
        yield farm


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def quiet(farm: Farm) -> AsyncIterator[None]:
    """Each test begins and ends with no call; none takes longer than this."""
    async with asyncio.timeout(40):
        yield
        outside = farm.outside
        await asyncio.gather(*(call.hang_up() for call in outside.calls))
        await asyncio.gather(*(call.ended.wait() for call in outside.calls))
        for tenant, number in (("acme", "101"), ("acme", "102"), ("acme", "103"), ("acme", "105")):
            phone = outside.phone(f"{tenant}-{number}")
            phone.behaviour = answer(440)
            phone.forget()


async def test_a_customer_calls_in_and_both_hear_each_other(farm: Farm):
    call = await farm.outside.carrier("carrier").call_in(NUMBER, from_number="06305550123", sound=880)
    leg = await farm.outside.phone("acme-101").rung()
    await call.answered.wait()

    await asyncio.gather(hears(farm.outside, call, 440), hears(farm.outside, leg, 880))
    assert leg.number == "06305550123"

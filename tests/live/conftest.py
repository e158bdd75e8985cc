"""One world for all live tests that leave it as they found it; a fresh one for those that kill things."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from live import exchange
from live.farm import Farm, running_farm, soon
from vonal import config
from vonal.telephony.binary import AsteriskBinary, locate
from vonal.telephony.engine_install import install
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import answer
from world import World, world


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def live(shared_world: World) -> AsyncIterator[World]:
    """The shared world, quiet: no call is up, and the CRM has forgotten all."""
    await shared_world.quiet()
    yield shared_world
    await shared_world.quiet()


@pytest_asyncio.fixture(loop_scope="session")
async def own_world(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def binary() -> AsteriskBinary:
    """The embedded Asterisk, got if need be."""
    engine_dir = config.load().engine_dir
    install(engine_dir, progress=lambda _: None)
    return locate("embedded", engine_dir)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def farm(tmp_path_factory: pytest.TempPathFactory, binary: AsteriskBinary) -> AsyncIterator[Farm]:
    """The dialplan's exchange, without the service."""
    async with running_farm(tmp_path_factory.mktemp("dialplan"), binary, yaml=exchange.YAML) as farm:
        yield farm


@pytest_asyncio.fixture(loop_scope="session")
async def outside(farm: Farm) -> AsyncIterator[Simulator]:
    """The exchange's surroundings: everybody answers at once, and nobody is in a call."""
    for name in exchange.PHONES:
        farm.outside.phone(name).behaviour = answer(440)
        farm.outside.phone(name).forget()
    for name in ("carrier", "member"):
        carrier = farm.outside.carrier(name)
        carrier.behaviour, carrier.by_ending = answer(880), {}
        carrier.forget()
    yield farm.outside
    calls = farm.outside.calls
    await asyncio.gather(*(call.hang_up() for call in calls))
    await soon(asyncio.gather(*(call.ended.wait() for call in calls)))


@pytest_asyncio.fixture(loop_scope="session")
async def journal(farm: Farm, outside: Simulator) -> exchange.Journal:
    """What the exchange's journal says from now on."""
    return exchange.Journal(farm.journal)

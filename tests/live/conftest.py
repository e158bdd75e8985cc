"""One world for all live tests that leave it as they found it; a fresh one for those that kill things."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
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

"""Delivery alone, killed at random moments of a burst: nothing committed is lost, and few things come twice."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import delivery_process
import ports
from delivery_house import webhook
from faults.crm import Crm
from faults.test_faults import MINUTES, SEED
from vonal.config import Settings
from vonal.domain.directory import Directory, Tenant
from vonal.store import directory
from vonal.store.database import Database

KILLS = 100 if MINUTES else 10
LONGEST_S = 0.5
AT_MOST = 8 + 64  # duplicates after a kill: a webhook's requests in flight, and a batch of outcomes not yet written


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    one = Crm(ports.free_port())
    await one.up()
    yield one
    await one.down()


async def test_killed_at_random_moments_of_a_burst_it_loses_nothing_and_repeats_little(
    database_url: str, crm: Crm, capfd: pytest.CaptureFixture[str]
) -> None:
    url = Settings(database_url=database_url).sqlalchemy_url
    hook = webhook(url=f"http://127.0.0.1:{crm.port}/", events=list(delivery_process.TYPES))
    db = Database(url)
    tenant = Tenant(id="acme", country="HU", timezone="Europe/Budapest", webhooks=[hook])
    await db.write(lambda tx: directory.any_tenant_save(tx, directory.parts_of(Directory(tenants=[tenant]))))
    db.close()
    chance, committed, repeated = random.Random(SEED), set(), [0]
    for _ in range(KILLS):
        committed |= await _killed_after(url, crm, chance.uniform(0, LONGEST_S))
        repeated.append(crm.duplicates - sum(repeated))
    process = await _start(url, 0)
    printed, _ = await asyncio.wait_for(process.communicate(), 120 + KILLS * 5)
    assert printed == b"idle\n"
    repeated.append(crm.duplicates - sum(repeated))
    lost = committed - crm.told.keys()
    with capfd.disabled():
        print(f"\n{url.partition(':')[0]}, FAULTS_SEED={SEED}: {KILLS} kills, {len(committed)} events known committed,")
        print(f"{len(lost)} lost, {crm.duplicates} duplicates, at most {max(repeated)} after a kill", flush=True)
    assert committed
    assert not lost
    assert max(repeated) <= AT_MOST
    assert not crm.backwards


async def _killed_after(url: str, crm: Crm, seconds: float) -> set[str]:
    """The ids of what it has said to be committed before it was killed, so long after its first request."""
    before = crm.requests
    process = await _start(url, 100_000)
    printed = asyncio.create_task(process.stdout.read())  # type: ignore[union-attr]
    while crm.requests == before:
        await asyncio.sleep(0.001)
        assert process.returncode is None
    await asyncio.sleep(seconds)
    process.kill()
    await process.wait()
    whole = (await printed).decode().rpartition("\n")[0]
    return set(whole.split()) - {"idle"}


async def _start(url: str, calls: int) -> asyncio.subprocess.Process:
    script = Path(delivery_process.__file__)
    return await asyncio.create_subprocess_exec(
        sys.executable, script, url, str(calls), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )

"""The feed of a real call, cut off in its middle by a kill of the service."""

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest

from vonal.telephony.simulator_call import ring
from world import KEY, World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def read(world: World, last_id: str, taken: list[dict[str, Any]]) -> str:
    """Takes what a stream tells until it breaks; the id to go on from."""
    host, port = world.settings.listen
    headers = {"X-API-Key": KEY, "Accept": "text/event-stream", "Last-Event-ID": last_id}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client,
            client.get(f"http://{host}:{port}/api/v1/events", headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.startswith(b"id: "):
                    last_id = line[4:].decode().strip()
                if line.startswith(b"data: "):
                    taken.append(msgspec.json.decode(line[6:]))
    except aiohttp.ClientError:
        pass
    return last_id


async def follow(world: World, taken: list[dict[str, Any]]) -> None:
    last_id = "start"
    while True:
        last_id = await read(world, last_id, taken)
        await asyncio.sleep(0.1)


async def test_a_killed_service_leaves_no_gap_in_the_feed(own_world: World) -> None:
    taken: list[dict[str, Any]] = []
    following = asyncio.create_task(follow(own_world, taken))
    try:
        own_world.phone("102").behaviour = ring()
        call = await own_world.call_in()
        await call.answered.wait()
        await until(lambda: any(one["type"] == "call.answered" for one in taken), "the feed tells the answer")
        own_world.kill()
        await call.hang_up()
        await own_world.start()
        await until(lambda: any(one["type"] == "call.completed" for one in taken), "the feed tells the end")
        [record] = await own_world.completed()
        status, manifest = await own_world.get(f"/api/v1/manifests/{record['timestamp'][:10]}", ids="true")
        assert (status, manifest["ids"]) == (200, [record["id"]])
        assert await asyncio.to_thread(own_world.terminate) == 0  # with the stream open
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert [one["sequence"] for one in taken] == list(range(1, len(taken) + 1))
    assert taken[-1]["id"] == record["id"]
    assert "without completing response" not in own_world.log()

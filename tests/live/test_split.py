"""The service in several processes beside one PostgreSQL: one has the phones, others deliver."""

from pathlib import Path

import pytest

from postgresql import Server
from world import World, until, world

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_of_two_processes_that_deliver_one_is_killed_and_nothing_is_lost(
    tmp_path: Path, postgresql: Server
) -> None:
    postgresql.create("split")
    async with world(tmp_path, database_url=postgresql.url("split"), role="telephony") as made:
        await _call(made)
        assert made.events() == [], "nobody delivers yet"
        one = made.deliver()
        await made.completed()
        made.deliver()
        await until(lambda: made.log().count('"event": "ready"') == 3, "the second one runs")
        one.kill()
        one.wait()
        await _call(made)
        await made.completed(2, seconds=60)
        await until(lambda: _all_delivered(made), "it is all written down")


async def test_a_process_that_is_started_again_has_its_lanes_back_at_once(tmp_path: Path, postgresql: Server) -> None:
    postgresql.create("again")
    async with world(tmp_path, database_url=postgresql.url("again"), role="telephony") as made:
        one = made.deliver()
        await _call(made)
        await made.completed()
        one.kill()
        one.wait()
        made.deliver()
        await _call(made)
        await made.completed(2)
        assert made.log().count("leases_lost") == 0


async def _call(made: World) -> None:
    call = await made.call_in()
    await call.answered.wait()
    await call.hang_up()


async def _all_delivered(made: World) -> bool:
    _, log = await made.get("/api/v1/deliveries")
    return {one["state"] for one in log["items"]} == {"delivered"}

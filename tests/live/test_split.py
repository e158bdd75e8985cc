"""The service in several processes beside one PostgreSQL: one has the phones, others deliver."""

from pathlib import Path

import pytest

from postgresql import Server
from world import until, world

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_of_two_processes_that_deliver_one_is_killed_and_nothing_is_lost(
    tmp_path: Path, postgresql: Server
) -> None:
    postgresql.create("split")
    async with world(tmp_path, database_url=postgresql.url("split"), role="telephony") as made:
        first = await made.call_in()
        await first.answered.wait()
        await first.hang_up()
        assert made.events() == [], "nobody delivers yet"
        one = made.deliver()
        await made.completed()
        made.deliver()
        await until(lambda: made.log().count("ready") >= 3, "the second one runs")
        one.kill()
        one.wait()
        second = await made.call_in()
        await second.answered.wait()
        await second.hang_up()
        await made.completed(2, seconds=60)
        _, log = await made.get("/api/v1/deliveries", state="delivered")
        assert {attempt["status"] for one in log["items"] for attempt in one["attempts"]} == {200}


async def test_a_process_that_is_started_again_has_its_lanes_back_at_once(tmp_path: Path, postgresql: Server) -> None:
    postgresql.create("again")
    async with world(tmp_path, database_url=postgresql.url("again"), role="telephony") as made:
        one = made.deliver()
        await (await made.call_in()).hang_up()
        await made.completed()
        one.kill()
        one.wait()
        made.deliver()
        await (await made.call_in()).hang_up()
        await made.completed(2)
        assert made.log().count("leases_lost") == 0

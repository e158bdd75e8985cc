"""The same service on PostgreSQL, killed and started again like the other."""

from pathlib import Path

import pytest

from postgresql import Server
from world import until, world

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_call_and_a_kill_on_postgresql(tmp_path: Path, postgresql: Server) -> None:
    postgresql.create("live")
    async with world(tmp_path, database_url=postgresql.url("live")) as made:
        first = await made.call_in()
        await first.answered.wait()
        await until(lambda: bool(made.events(type_="call.answered")), "the answer is told")
        made.kill()
        await first.hang_up()
        await made.start()
        [record] = await made.completed()
        assert record["data"]["call"]["disposition"] == "answered"
        assert record["data"]["recordings"][0]["state"] == "ready"
        assert (await made.click())[0] == 202
        await (await made.carrier.rung()).hang_up()
        assert len(await made.completed(2)) == 2

"""Whatever is killed, nothing is lost: our process, Asterisk, the CRM."""

import asyncio
import os
import signal
from collections import Counter

import pytest

from receiver import OK, Answer
from vonal.telephony.simulator_call import ring
from world import World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLS = 50


async def test_vonal_killed_in_the_middle_of_fifty_calls_loses_none(own_world: World) -> None:
    world = own_world
    pid = world.asterisk_pid()
    calls = []
    for _ in range(CALLS):
        calls.append(await world.call_in())
        if len(calls) == CALLS // 2:
            world.kill()
    for call in calls:
        await call.answered.wait()
    for call in calls[: CALLS // 2]:
        await call.hang_up()
    await world.start()
    assert world.asterisk_pid() == pid, "the running Asterisk is adopted"
    assert not any(call.ended.is_set() for call in calls[CALLS // 2 :]), "no call is dropped"
    for call in calls[CALLS // 2 :]:
        await call.hang_up()
    await world.completed(CALLS)
    arrived = [got.json for got in world.crm.requests if got.json["type"] == "call.completed"]
    ids = Counter(one["data"]["call"]["id"] for one in arrived)
    assert len(ids) == CALLS
    assert len({one["id"] for one in arrived}) == CALLS, "one event id each"
    assert all(one["data"]["call"]["disposition"] == "answered" for one in arrived)
    assert not any(one["data"]["call"]["interrupted"] for one in arrived)
    assert all(one["data"]["recordings"][0]["state"] == "ready" for one in arrived)
    for record in world.events(type_="call.completed"):
        told = sorted(one["sequence"] for one in world.events(record["data"]["call"]["id"]))
        last = record["sequence"]
        assert told[-1] == last
        assert len(set(told)) == len(told)


async def test_phones_stay_registered_and_calls_begin_while_vonal_is_dead(own_world: World) -> None:
    world = own_world
    world.kill()
    call = await world.call_in()
    await call.answered.wait()
    await call.hang_up()
    await world.start()
    [record] = await world.completed()
    assert record["data"]["call"]["disposition"] == "answered"
    _, extensions = await world.get("/api/v1/extensions")
    assert [one["registered"] for one in extensions["items"] if one["number"] == "101"] == [True]


async def test_calls_cut_by_asterisks_death_are_closed_and_the_next_call_works(own_world: World) -> None:
    world = own_world
    calls = [await world.call_in() for _ in range(5)]
    for call in calls:
        await call.answered.wait()
    await until(lambda: len(world.events(type_="call.answered")) == len(calls), "the answers are told")
    pid = world.asterisk_pid()
    os.kill(pid, signal.SIGKILL)
    records = await world.completed(len(calls), seconds=60)
    assert all(one["data"]["call"]["interrupted"] for one in records)
    assert all(one["data"]["call"]["disposition"] == "answered" for one in records)
    assert all(one["data"]["recordings"][0]["state"] in ("ready", "failed") for one in records)
    await until(world.is_ready, "the service is ready again")
    assert world.asterisk_pid() != pid
    await world.phone("101").hang_up()
    await world.phone("101").register()
    next_call = await world.call_in()
    await next_call.answered.wait()
    await next_call.hang_up()
    record = (await world.completed(len(calls) + 1))[-1]
    assert not record["data"]["call"]["interrupted"]


async def test_both_killed_the_calls_are_closed_at_the_next_start(own_world: World) -> None:
    world = own_world
    call = await world.call_in()
    await call.answered.wait()
    await until(lambda: bool(world.events(type_="call.answered")), "the answer is told")
    world.kill()
    os.kill(world.asterisk_pid(), signal.SIGKILL)
    await world.start()
    [record] = await world.completed()
    assert record["data"]["call"]["interrupted"]


async def test_a_crm_that_is_down_for_a_while_gets_every_record_in_order(own_world: World) -> None:
    world = own_world
    world.crm.answer(Answer(status=500))
    calls = [await world.call_in() for _ in range(3)]
    for call in calls:
        await call.answered.wait()
        await call.hang_up()
    await until(lambda: len(world.crm.requests) >= 3, "the CRM was tried")
    world.crm.requests.clear()
    world.crm.answer(OK)
    records = await world.completed(len(calls), seconds=60)
    assert len({one["data"]["call"]["id"] for one in records}) == len(calls)


async def test_a_clean_stop_waits_for_the_call_and_then_stops_asterisk(own_world: World) -> None:
    world = own_world
    call = await world.call_in()
    await call.answered.wait()
    stopping = asyncio.create_task(asyncio.to_thread(world.terminate))
    await until(lambda: "draining" in world.log(), "the service says that it drains")
    assert (await world.click(extension="102"))[0] == 503
    assert not call.ended.is_set()
    await call.hang_up()
    assert await stopping == 0
    assert "drained" in world.log()
    [record] = await world.completed(seconds=1)
    assert record["data"]["call"]["disposition"] == "answered"
    with pytest.raises(AssertionError):
        world.asterisk_pid()


async def test_a_clean_stop_cuts_no_call_of_an_asterisk_that_does_not_answer_for_a_while(own_world: World) -> None:
    world = own_world
    call = await world.call_in()
    await call.answered.wait()
    pid = world.asterisk_pid()
    os.kill(pid, signal.SIGSTOP)
    stopping = asyncio.create_task(asyncio.to_thread(world.terminate))
    await until(lambda: "does not answer as it should" in world.log(), "the service asked in vain")
    os.kill(pid, signal.SIGCONT)
    await until(lambda: '"channels": ' in world.log().rpartition("does not answer")[2], "it was told of the call")
    assert not call.ended.is_set()
    assert world.asterisk_pid() == pid
    await call.hang_up()
    assert await stopping == 0
    [record] = await world.completed(seconds=1)
    assert (record["data"]["call"]["disposition"], record["data"]["call"]["interrupted"]) == ("answered", False)


async def test_a_long_backlog_is_worked_off_in_order(own_world: World) -> None:
    world = own_world
    world.phone("101").behaviour = world.phone("102").behaviour = ring()
    world.kill()
    for _ in range(30):
        call = await world.call_in()
        await call.ringing.wait()
        await call.hang_up()
        await call.ended.wait()
    await world.start()
    records = await world.completed(30)
    for record in records:
        told = [one["sequence"] for one in world.events(record["data"]["call"]["id"])]
        assert told == sorted(told)
    assert all(one["data"]["call"]["disposition"] == "cancelled" for one in records)

"""Real calls on a real Asterisk: what the CRM is told of each kind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tones import hear, tone_level
from vonal.telephony.simulator_call import answer, refuse, ring
from world import CUSTOMER, DID, IN_ORDER, World, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BUSY, NO_ANSWER, REJECTED, CONGESTION = 17, 19, 21, 34


def types(world: World, record: dict[str, Any]) -> list[str]:
    return [one["type"] for one in world.events(record["data"]["call"]["id"])]


def assert_told_in_order(world: World, record: dict[str, Any]) -> None:
    events = world.events(record["data"]["call"]["id"])
    assert [one["sequence"] for one in events] == list(range(1, len(events) + 1))


def legs(record: dict[str, Any]) -> dict[str, str]:
    return {leg["extension"] or leg["kind"]: leg["disposition"] for leg in record["data"]["legs"]}


def outcome(record: dict[str, Any]) -> tuple[str, str]:
    call = record["data"]["call"]
    return call["direction"], call["disposition"]


async def talked(world: World, call: Any, seconds: float = 0.3) -> None:
    await call.answered.wait()
    await asyncio.sleep(seconds)  # what a conversation lasts
    await call.hang_up()


async def test_an_inbound_call_is_told_from_the_first_ring_to_the_recording(live: World) -> None:
    live.phone("102").behaviour = ring()
    await talked(live, await live.call_in("0612345678", from_name="Kiss Anna"))
    [record] = await live.completed()
    rung = ["call.ringing"] * 2
    assert types(live, record) == [
        "call.incoming",
        *rung,
        "call.answered",
        "call.ended",
        "recording.ready",
        "call.completed",
    ]
    assert_told_in_order(live, record)
    assert outcome(record) == ("inbound", "answered")
    assert record["data"]["from"] == {"number": CUSTOMER, "raw": "06305550123", "name": "Kiss Anna", "anonymous": False}
    assert record["data"]["to"]["number"] == DID
    assert record["data"]["agent"]["extension"] == "101"
    assert legs(record) == {"trunk": "answered", "101": "answered", "102": "no_answer"}


@pytest.mark.parametrize("sent", ["+3612345678", "3612345678", "003612345678", "0612345678"])
async def test_every_form_of_a_number_finds_it(live: World, sent: str) -> None:
    await talked(live, await live.call_in(sent), 0)
    [record] = await live.completed()
    assert record["data"]["to"]["number"] == DID


@pytest.mark.parametrize(("cause", "disposition"), [(BUSY, "busy"), (REJECTED, "rejected"), (CONGESTION, "failed")])
async def test_an_inbound_call_that_the_phones_refuse(live: World, cause: int, disposition: str) -> None:
    for number in ("101", "102"):
        live.phone(number).behaviour = refuse(cause)
    call = await live.call_in()
    [record] = await live.completed()
    await call.ended.wait()
    assert outcome(record) == ("inbound", disposition)
    assert not call.answered.is_set()


async def test_an_inbound_call_that_nobody_answers(live: World) -> None:
    live.phone("101").behaviour = live.phone("102").behaviour = ring()
    await live.call_in()
    [record] = await live.completed()
    assert outcome(record) == ("inbound", "no_answer")
    assert record["data"]["call"]["ended_by"] == "system"


async def test_a_caller_who_gives_up(live: World) -> None:
    live.phone("101").behaviour = live.phone("102").behaviour = ring()
    call = await live.call_in()
    await call.ringing.wait()
    await call.hang_up()
    [record] = await live.completed()
    assert outcome(record) == ("inbound", "cancelled")
    assert record["data"]["call"]["ended_by"] == "caller"


async def test_in_order_the_second_phone_rings_when_the_first_is_busy(live: World) -> None:
    live.phone("101").behaviour = refuse(BUSY)
    await talked(live, await live.call_in(IN_ORDER))
    [record] = await live.completed()
    assert outcome(record) == ("inbound", "answered")
    assert record["data"]["agent"]["extension"] == "102"
    assert legs(record) == {"trunk": "answered", "101": "busy", "102": "answered"}


async def test_an_unknown_number_is_refused_and_makes_no_call(live: World) -> None:
    call = await live.call_in("+3619999999")
    await call.ended.wait()
    assert call.cause == 1  # 404 Not Found
    assert (await live.get("/api/v1/calls"))[1]["items"] == [] or not live.events()


@pytest.mark.parametrize(
    ("cause", "disposition"),
    [(BUSY, "busy"), (REJECTED, "rejected"), (NO_ANSWER, "no_answer"), (CONGESTION, "failed")],
)
async def test_an_outbound_call_that_is_not_answered(live: World, cause: int, disposition: str) -> None:
    live.carrier.behaviour = refuse(cause)
    await live.phone("101").dial("06305550123")
    [record] = await live.completed()
    assert outcome(record) == ("outbound", disposition)


async def test_an_outbound_call_shows_the_tenants_number(live: World) -> None:
    call = await live.phone("101").dial("06305550123")
    there = await live.carrier.rung()
    await talked(live, call)
    [record] = await live.completed()
    assert outcome(record) == ("outbound", "answered")
    assert record["data"]["to"] == {"number": CUSTOMER, "raw": "06305550123", "name": None}
    assert record["data"]["from"]["number"] == DID
    assert there.number.lstrip("+") == DID.lstrip("+")


async def test_an_internal_call_goes_to_a_phone_at_a_fixed_address(live: World) -> None:
    await talked(live, await live.phone("101").dial("104"))
    [record] = await live.completed()
    assert outcome(record) == ("internal", "answered")
    assert legs(record) == {"101": "answered", "104": "answered"}


@pytest.mark.parametrize("number", ["0690123456", "+4930123456", "0049301234567", "+882161234567", "999"])
async def test_a_phone_cannot_dial_what_the_api_may_not(live: World, number: str) -> None:
    call = await live.phone("101").dial(number)
    await call.ended.wait()
    status, problem = await live.click(number)
    assert status in (400, 403), problem
    assert not live.carrier.calls
    [record] = await live.completed()
    assert outcome(record)[1] == "failed"


@pytest.mark.parametrize("kind", ["blind", "attended", "blonde"])
async def test_a_transfer_is_told_with_its_kind(live: World, kind: str) -> None:
    phone, target = live.phone("101"), live.phone("103")
    live.phone("102").behaviour = ring()
    target.behaviour = answer(440, after=0.5 if kind == "blonde" else 0)
    customer = await live.call_in()
    await customer.answered.wait()
    held = await phone.rung()
    if kind == "blind":
        assert await phone.blind_transfer("103", held)
    else:
        consulting = await phone.dial("103")
        await (consulting.answered if kind == "attended" else consulting.ringing).wait()
        assert await phone.attended_transfer(held, consulting)
    there = await target.rung()
    await there.answered.wait()
    await asyncio.sleep(0.3)  # the two talk
    await customer.hang_up()
    records = await live.completed(1 if kind == "blind" else 2)
    [record] = [one for one in records if one["data"]["call"]["direction"] == "inbound"]
    [transfer] = record["data"]["transfers"]
    assert (transfer["type"], transfer["from"], transfer["to"]) == (kind, "101", "103")
    assert "call.transferred" in types(live, record)
    assert legs(record)["103"] == "answered"
    for one in records:
        assert_told_in_order(live, one)


async def test_a_colleague_picks_up(live: World) -> None:
    live.phone("101").behaviour = live.phone("102").behaviour = ring()
    customer = await live.call_in()
    await customer.ringing.wait()
    await live.phone("103").pickup()
    await talked(live, customer)
    [record] = await live.completed()
    assert outcome(record) == ("inbound", "answered")
    assert record["data"]["agent"]["extension"] == "103"


async def test_a_click_rings_the_agent_and_then_the_customer(live: World) -> None:
    status, reply = await live.click("06305550123", external_id="crm-7", custom='{"deal": 12}', wait="connected")
    assert status == 200, reply
    agent, there = await live.phone("101").rung(), await live.carrier.rung()
    assert there.called.lstrip("+") == CUSTOMER.lstrip("+")
    await asyncio.sleep(0.3)  # they talk
    await agent.hang_up()
    [record] = await live.completed()
    call = record["data"]["call"]
    assert (call["id"], call["origin"], call["external_id"]) == (reply["call_id"], "click_to_call", "crm-7")
    assert outcome(record) == ("outbound", "answered")
    assert record["data"]["custom"]["deal"] == 12
    assert_told_in_order(live, record)


@pytest.mark.parametrize(("behaviour", "disposition"), [(refuse(BUSY), "busy"), (ring(), "no_answer")])
async def test_a_click_that_the_agent_does_not_answer(live: World, behaviour: Any, disposition: str) -> None:
    live.phone("101").behaviour = behaviour
    status, reply = await live.click(ring_timeout="5")
    assert status == 202, reply
    [record] = await live.completed()
    assert record["data"]["call"]["disposition"] == disposition
    assert "click_to_call.failed" in types(live, record)
    assert not live.carrier.calls


async def test_a_click_with_auto_answer_tells_the_phone_so(live: World) -> None:
    assert (await live.click(auto_answer="true"))[0] == 202
    agent = await live.phone("101").rung()
    assert "answer-after=0" in " ".join(agent.headers.values())


async def test_a_click_for_an_unregistered_phone_is_refused(live: World) -> None:
    await live.phone("103").unregister()
    try:
        status, problem = await live.click(extension="103")
        assert (status, problem["code"]) == (409, "agent_offline")
    finally:
        await live.phone("103").register()


async def test_a_click_for_a_phone_in_a_call_is_refused(live: World) -> None:
    call = await live.phone("101").dial("104")
    await call.answered.wait()
    status, problem = await live.click()
    assert (status, problem["code"]) == (409, "agent_busy")


async def test_the_api_hangs_up(live: World) -> None:
    customer = await live.call_in()
    await customer.answered.wait()
    await until(lambda: bool(live.events(type_="call.answered")), "the answer is told")
    call_id = live.events()[0]["data"]["call"]["id"]
    assert (await live.request("DELETE", f"/api/v1/calls/{call_id}"))[0] in (202, 204)
    await customer.ended.wait()
    await live.completed()
    status, problem = await live.request("DELETE", f"/api/v1/calls/{call_id}")
    assert (status, problem["code"]) == (409, "call_already_ended")


async def test_the_api_transfers(live: World) -> None:
    customer = await live.call_in()
    await customer.answered.wait()
    await until(lambda: bool(live.events(type_="call.answered")), "the answer is told")
    call_id = live.events()[0]["data"]["call"]["id"]
    status, reply = await live.request("POST", f"/api/v1/calls/{call_id}/transfer", json={"to": "103"})
    assert status == 202, reply
    await (await live.phone("103").rung()).answered.wait()
    await customer.hang_up()
    [record] = await live.completed()
    assert [(one["type"], one["to"]) for one in record["data"]["transfers"]] == [("blind", "103")]


@pytest.mark.parametrize("direction", ["inbound", "outbound", "click"])
async def test_the_agent_is_left_and_the_customer_right(live: World, direction: str, tmp_path: Path) -> None:
    if direction == "inbound":
        call = await live.call_in(sound=880)
    elif direction == "outbound":
        call = await live.phone("101").dial("06305550123", sound=440)
    else:
        await live.click()
        call = await live.phone("101").rung()
    await talked(live, call, 1.5)
    [record] = await live.completed()
    [recording] = record["data"]["recordings"]
    assert (recording["state"], recording["channels"]) == ("ready", 2)
    status, sound = await live.get(f"/api/v1/recordings/{recording['id']}")
    assert status == 200
    assert len(sound) == recording["size_bytes"]
    path = tmp_path / "sound.wav"
    path.write_bytes(sound)
    heard = hear(path)
    assert tone_level(heard.left, 440) > 10 * tone_level(heard.left, 880)
    assert tone_level(heard.right, 880) > 10 * tone_level(heard.right, 440)


async def test_hold_is_counted_apart(live: World) -> None:
    live.phone("102").behaviour = ring()
    customer = await live.call_in()
    await customer.answered.wait()
    agent = await live.phone("101").rung()
    await agent.hold()
    await asyncio.sleep(0.5)  # music
    await agent.unhold()
    await asyncio.sleep(0.3)  # they talk again
    await customer.hang_up()
    [record] = await live.completed()
    times = record["data"]["times"]
    assert 0.3 < times["hold_s"] < times["talk_s"]


async def test_a_hostile_caller_name_arrives_as_it_is(live: World) -> None:
    name = 'a\\"b", {"tenant": "x"} <script>; ${SHELL(id)} öű'
    await talked(live, await live.call_in(from_name=name), 0)
    [record] = await live.completed()
    assert record["data"]["call"]["direction"] == "inbound"
    assert record["tenant"]["id"] == "acme"
    assert "script" in record["data"]["from"]["name"]

"""Calls between phones, transfers, clicks and recordings in a real Asterisk."""

import asyncio
from pathlib import Path

import pytest

from live.exchange import Journal, ari_of, refused
from live.farm import Farm, soon
from tones import dominant_tone, hear
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import answer, ring

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_colleague_sees_name_and_extension(outside: Simulator, journal: Journal):
    call = await outside.phone("acme-101").dial("102")
    leg = await soon(outside.phone("acme-102").rung())
    await soon(call.answered.wait())
    await call.hang_up()

    assert (leg.number, leg.name) == ("101", "Kovács Anna; [x] ${EXTEN}")
    said = {"direction": "internal", "tenant": "acme", "extension": "101", "number": ""}
    assert (await soon(journal.ended()))[0] == ("call", {**said, "to": "102", "raw": "102"})


async def test_a_fixed_phone_calls_and_is_called(outside: Simulator):
    call = await outside.phone("acme-103").dial("101")
    await soon(call.answered.wait())
    back = await outside.phone("acme-101").dial("103")
    await soon(back.answered.wait())

    assert (await soon(outside.phone("acme-101").rung())).number == "103"


async def test_an_offline_phone_is_temporarily_unavailable(outside: Simulator):
    await outside.phone("acme-107").unregister()
    try:
        assert await refused(outside, "acme-101", "107") == 480
    finally:
        await outside.phone("acme-107").register()


async def test_tenants_do_not_reach_each_other(outside: Simulator):
    own = await outside.phone("be-ta-201").dial("101")
    await soon(own.answered.wait())

    assert outside.phone("be-ta-101").calls
    assert not outside.phone("acme-101").calls
    for number in ("201", "be-ta-201", "acme-101", "trunk-member"):
        assert await refused(outside, "acme-105", number) == 404
    for number in ("102", "105", "acme-101", "*8102"):
        assert await refused(outside, "be-ta-201", number) == 404
    assert not outside.phone("acme-101").calls


async def test_a_ringing_call_is_picked_up_by_a_colleague_and_no_other_tenant(outside: Simulator):
    outside.phone("acme-101").behaviour = outside.phone("acme-102").behaviour = ring()
    first = await outside.carrier("carrier").call_in("+3612345678")
    await soon(outside.phone("acme-101").rung())

    assert await refused(outside, "be-ta-201", "*8") == 404
    assert await refused(outside, "be-ta-201", "*8101") == 404
    assert await refused(outside, "acme-105", "*8103") == 404
    for code in ("*8101", "*8"):
        picked = await outside.phone("acme-105").pickup(code)
        await soon(picked.answered.wait())
        await soon(first.answered.wait())
        await picked.hang_up()
        first = await outside.carrier("carrier").call_in("+3612345678")
        await soon(first.ringing.wait())


@pytest.mark.parametrize(("to", "reaches"), [("105", "105"), ("06301234567", "+36301234567")])
async def test_a_customer_is_transferred_blindly(outside: Simulator, journal: Journal, to: str, reaches: str):
    outside.phone("acme-102").behaviour = ring()
    customer = await outside.carrier("carrier").call_in("+3612345678")
    await soon(customer.answered.wait())
    assert await outside.phone("acme-101").blind_transfer(to)

    leg = await soon((outside.phone("acme-105") if to == "105" else outside.carrier("carrier")).rung())
    await soon(leg.answered.wait())
    assert leg.called in (reaches, f"acme-{reaches}")
    await customer.hang_up()
    told = await soon(journal.ended())
    assert ("transfer", {"to": to, "from": "101"}) in told
    assert [name for name, _ in told].count("call") == 1


async def test_a_transfer_is_refused_where_dialling_is(outside: Simulator):
    outside.phone("acme-102").behaviour = ring()
    customer = await outside.carrier("carrier").call_in("+3612345678")
    await soon(customer.answered.wait())

    await outside.phone("acme-101").blind_transfer("0690123456")

    await soon(customer.ended.wait())
    assert not outside.carrier("carrier").by_number
    assert [call.called for call in outside.carrier("carrier").calls] == ["+3612345678"]


async def test_a_customer_may_not_transfer(outside: Simulator):
    outside.phone("acme-102").behaviour = ring()
    customer = await outside.carrier("carrier").call_in("+3612345678")
    await soon(customer.answered.wait())

    assert not await customer.refer(f"sip:06301234567@{outside.pbx}")

    assert not customer.ended.is_set()


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_the_manager_command_transfers_as_a_phone_does(
    farm: Farm, outside: Simulator, journal: Journal, direction: str
):
    outside.phone("acme-102").behaviour = ring()
    if direction == "inbound":
        call = await outside.carrier("carrier").call_in("+3612345678")
    else:
        call = await outside.phone("acme-101").dial("06301234567")
    await soon(call.answered.wait())
    async with ari_of(farm) as ari:
        agent = next(one["id"] for one in await ari.channels() if one["name"].startswith("PJSIP/acme-101-"))
        assert await ari.transfer(agent, tenant_id="acme", to="105")
    leg = await soon(outside.phone("acme-105").rung())
    await soon(leg.answered.wait())
    await leg.hang_up()

    assert ("transfer", {"to": "105", "from": "101"}) in await soon(journal.ended())
    assert "BLINDTRANSFER" in {row[0] for row in journal.rows()}


async def click(farm: Farm, number: str, *, call_id: str, **variables: str) -> None:
    async with ari_of(farm) as ari:
        query = {"endpoint": "PJSIP/acme-101", "extension": number, "context": "click-acme", "priority": "1"}
        query |= {"channelId": call_id, "callerId": number, "timeout": "5"}
        status, _ = await ari._ask("POST", "channels", query=query, body={"variables": variables})
        assert status == 200


async def test_a_click_calls_out_with_the_number_it_wants_to_show(farm: Farm, outside: Simulator, journal: Journal):
    await click(farm, "+36301234567", call_id="call_a", VONAL_CALLER_ID="+3612345679")
    leg = await soon(outside.carrier("carrier").rung())
    await soon(leg.answered.wait())
    await leg.hang_up()

    assert (leg.called, leg.number) == ("+36301234567", "+3612345679")
    (_, call), *_ = await soon(journal.ended())
    assert (call["extension"], call["to"], call["number"]) == ("101", "+36301234567", "+3612345679")
    assert {row[15] for row in journal.rows()} == {"call_a"}


async def test_a_click_calls_a_colleague_who_sees_who_calls(farm: Farm, outside: Simulator, journal: Journal):
    await click(farm, "102", call_id="call_b")
    leg = await soon(outside.phone("acme-102").rung())
    await soon(leg.answered.wait())
    await leg.hang_up()

    assert leg.number == "101"
    assert (await soon(journal.ended()))[0][1]["direction"] == "internal"


async def test_a_click_is_refused_where_dialling_is(farm: Farm, outside: Simulator, journal: Journal):
    await click(farm, "+4915112345678", call_id="call_c")

    assert [name for name, _ in await soon(journal.ended())] == ["call", "refused"]


@pytest.mark.parametrize(("wish", "files"), [("no", 0), ("yes", 1), ("", 1)])
async def test_a_click_says_whether_it_is_recorded(
    farm: Farm, outside: Simulator, journal: Journal, wish: str, files: int
):
    await click(farm, "+36301234567", call_id=f"call_d{wish}", **({"VONAL_RECORD": wish} if wish else {}))
    leg = await soon(outside.carrier("carrier").rung())
    await soon(journal.joined())
    await leg.hang_up()

    told = [values for name, values in await soon(journal.ended()) if name == "recording"]
    assert len(told) == files
    assert all((farm.pbx.folder / "spool" / "monitor" / values["file"]).exists() for values in told)


async def _sounds(path: Path, left: int, right: int) -> None:
    """Waits until the last of the recording has these tones."""
    while True:
        heard = hear(path)
        if [dominant_tone(side[-2000:]) for side in (heard.left, heard.right)] == [left, right]:
            return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
async def test_a_recording_goes_on_after_a_transfer_with_the_customer_first(
    farm: Farm, outside: Simulator, journal: Journal, direction: str
):
    outside.phone("acme-102").behaviour = ring()
    outside.phone("acme-105").behaviour = answer(600)
    if direction == "inbound":
        call = await outside.carrier("carrier").call_in("+3612345678")
    else:
        call = await outside.phone("acme-101").dial("06301234567")
    await soon(call.answered.wait())
    assert await outside.phone("acme-101").blind_transfer("105", None if direction == "inbound" else call)
    leg = await soon(outside.phone("acme-105").rung())
    await soon(leg.answered.wait())
    ((_, told),) = ((name, values) for name, values in journal.told() if name == "recording")
    path = farm.pbx.folder / "spool" / "monitor" / told["file"]
    await soon(_sounds(path, 880, 600))
    await leg.hang_up()
    await soon(journal.ended())

    assert told["customer"] == "self"
    assert [name for name, _ in journal.told()].count("recording") == 1

"""What comes in by the trunks of a real Asterisk, and whom it rings."""

import asyncio

import pytest

from live.exchange import RAW_TRUNK, Journal, wire_to
from live.farm import Farm, soon
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import BUSY, REJECTED, refuse, ring

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("form", ["+3612345678", "3612345678", "003612345678", "0612345678"])
async def test_each_form_of_a_number_rings_its_phones(outside: Simulator, journal: Journal, form: str):
    caller = await outside.carrier("carrier").call_in(form, from_number="06305550123", from_name="Kiss Anna")
    leg = await soon(outside.phone("acme-101").rung())

    assert (leg.number, leg.name) == ("06305550123", "Kiss Anna")
    await caller.hang_up()
    said = {"direction": "inbound", "tenant": "acme", "extension": "", "to": "+3612345678", "number": "+3612345678"}
    assert (await soon(journal.ended()))[:2] == [
        ("call", {**said, "raw": form}),
        ("dial", {"strategy": "all", "ring": "101,102"}),
    ]


@pytest.mark.parametrize("number", ["+3612345670", "101", "0690123456", "06301234567", "112", "s", "*8", "vonaluser"])
async def test_an_unknown_number_is_not_found(outside: Simulator, number: str):
    caller = await outside.carrier("carrier").call_in(number)
    await soon(caller.ended.wait())

    assert caller.sip_code == 404


async def _registered(farm: Farm, trunk: str) -> None:
    while " Registered" not in (await farm.pbx.command(f"pjsip show registration {trunk}") or ""):
        await asyncio.sleep(0.05)


async def test_a_registered_trunk_is_called_at_its_line(outside: Simulator, farm: Farm):
    await soon(_registered(farm, "trunk-member"))
    caller = await outside.carrier("member").call_in("+431234567")
    await soon(caller.answered.wait())

    assert (await soon(outside.phone("be-ta-101").rung())).number == "06305550123"


async def test_a_registered_trunk_may_name_the_number_in_the_to_header(outside: Simulator, farm: Farm):
    async with wire_to(farm, RAW_TRUNK) as wire:
        wire.invite("line7", to="+3612345678")
        leg = await soon(outside.phone("acme-101").rung())
        assert leg.number == "0630"
        assert await soon(wire.refusal("line7", to="+3699")) == 404


@pytest.mark.parametrize(
    ("behaviour", "code"), [(refuse(BUSY), 486), (refuse(REJECTED), 403), (ring(), 480), (refuse(38), 500)]
)
async def test_a_ring_groups_refusal_reaches_the_caller(outside: Simulator, behaviour: object, code: int):
    outside.phone("acme-101").behaviour = outside.phone("acme-102").behaviour = behaviour
    caller = await outside.carrier("carrier").call_in("+3612345678")
    await soon(caller.ended.wait())

    assert caller.sip_code == code


async def test_in_order_the_second_phone_rings_when_the_first_is_busy(outside: Simulator, journal: Journal):
    outside.phone("acme-101").behaviour = refuse(BUSY)
    caller = await outside.carrier("carrier").call_in("+3612345679")
    await soon(caller.answered.wait())
    await caller.hang_up()

    told = await soon(journal.ended())
    assert [name for name, _ in told] == ["call", "dial", "dialled", "recording"]
    assert told[1][1] == {"strategy": "in_order", "ring": "101,102"}
    assert told[2][1] == {"status": "BUSY", "cause": "17"}


async def test_in_order_a_phone_that_rang_outweighs_one_that_was_busy(outside: Simulator):
    outside.phone("acme-101").behaviour, outside.phone("acme-102").behaviour = ring(), refuse(BUSY)
    caller = await outside.carrier("carrier").call_in("+3612345679")
    await soon(caller.ended.wait())

    assert caller.sip_code == 480


@pytest.mark.parametrize(
    ("number", "headers"),
    [("06305550123", {"Privacy": "id"}), ("06305550123", {"Privacy": "user;header"}), ("anonymous", {})],
)
async def test_who_wants_to_be_unknown_is_unknown(
    outside: Simulator, journal: Journal, number: str, headers: dict[str, str]
):
    caller = await outside.carrier("carrier").call_in(
        "+3612345678", from_number=number, from_name="Kiss Anna" if headers else "Anonymous", headers=headers
    )
    leg = await soon(outside.phone("acme-101").rung())
    assert "5550123" not in repr(leg)
    assert "Kiss" not in repr(leg)
    await caller.hang_up()

    await soon(journal.ended())
    (call,) = (row for row in journal.rows() if row[1] == "call")
    assert call[4] == "anonymous"


async def test_privacy_none_hides_nothing(outside: Simulator):
    await outside.carrier("carrier").call_in("+3612345678", headers={"Privacy": "none"})

    assert (await soon(outside.phone("acme-101").rung())).number == "06305550123"

"""The rendered configuration in a real Asterisk: it loads, changes under a call, and lets no stranger in."""

import re

import pytest

from live.exchange import PHONES, RAW_TRUNK, ari_of, wire_to
from live.farm import Farm, soon
from vonal.telephony import configuration
from vonal.telephony.simulator import Simulator

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_clean_start_logs_no_error_and_no_warning(farm: Farm):
    log = (farm.pbx.folder / "log" / "messages").read_text()

    started = log.split("Loaded 1 configs")[0]
    assert [line for line in started.splitlines() if "ERROR" in line or "WARNING" in line] == []


async def test_every_object_of_the_directory_is_loaded(farm: Farm):
    endpoints = await farm.pbx.command("pjsip show endpoints") or ""

    assert set(re.findall(r"Endpoint:\s+(\S+?)(?:/\S+)?\s", endpoints)) >= {*PHONES, "trunk-carrier", "trunk-member"}


@pytest.mark.parametrize("sender", ["0630", "acme-101", "acme-103", "trunk-carrier", "carrier", "anonymous", "x;y"])
@pytest.mark.parametrize("called", ["102", "+3612345678", "06301234567"])
async def test_a_stranger_is_asked_for_a_password_whatever_the_name(
    farm: Farm, outside: Simulator, sender: str, called: str
):
    async with wire_to(farm) as wire:
        assert await soon(wire.refusal(called, sender=sender)) == 401

    assert not outside.phone("acme-102").calls
    assert not outside.carrier("carrier").calls


async def test_a_caller_through_a_trunk_never_passes_for_a_phone(farm: Farm, outside: Simulator):
    async with wire_to(farm, RAW_TRUNK) as wire:
        for called in ("102", "06301234567", "*8"):
            assert await soon(wire.refusal(called, sender="acme-101")) == 404


async def test_nobody_registers_without_the_password(farm: Farm, outside: Simulator):
    async with wire_to(farm) as wire:
        for user in ("acme-101", "acme-103", "nobody"):
            assert await soon(wire.refusal(user, sender=user, to=user, method="REGISTER")) == 401


async def test_a_changed_directory_takes_effect_without_touching_a_call(farm: Farm, outside: Simulator):
    etc = farm.pbx.folder / "etc"
    before = {path.name: path.read_text() for path in etc.iterdir()}
    customer = await outside.carrier("carrier").call_in("+3612345678")
    await soon(customer.answered.wait())
    grown = dict(before)
    grown["pjsip_directory.conf"] = before["pjsip_directory.conf"].replace('"" <102>', '"Renamed" <102>')
    grown["extensions.conf"] = before["extensions.conf"].replace("exten => 0612345678,", "exten => 0612345677,")
    assert await soon(_applied(farm, grown)) == {"pjsip_directory.conf", "extensions.conf"}
    try:
        other = await outside.carrier("carrier").call_in("0612345677")
        await soon(other.answered.wait())
        inside = await outside.phone("acme-102").dial("105")
        await soon(inside.answered.wait())

        assert (await soon(outside.phone("acme-105").rung())).name == "Renamed"
        assert not customer.ended.is_set()
    finally:
        await soon(_applied(farm, before))


async def _applied(farm: Farm, files: dict[str, str]) -> set[str]:
    changed = configuration.write(farm.pbx.folder / "etc", files)
    async with ari_of(farm) as ari:
        for module in configuration.modules_to_reload(changed):
            await ari.reload(module)
    return changed

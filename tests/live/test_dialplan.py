"""The rendered dialplan in a real Asterisk: who reaches whom, who is refused how, and what the journal says of it."""

import asyncio
import csv
import json
import random
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import phonenumbers
import pytest
import pytest_asyncio

from live.farm import ARI_PASSWORD, Farm, running_farm, soon
from ports import free_port
from tones import dominant_tone, hear
from vonal import config
from vonal.domain import dialling, numbers
from vonal.domain.errors import DestinationForbidden, InvalidNumber
from vonal.telephony import configuration
from vonal.telephony.ari import Ari
from vonal.telephony.binary import AsteriskBinary, locate
from vonal.telephony.engine_install import install
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import BUSY, REJECTED, Call, answer, refuse, ring

pytestmark = pytest.mark.asyncio(loop_scope="module")
RAW_TRUNK = free_port()
COUNTRIES = ["HU", "AT", "US", "GB"]
YAML = f"""
trunks:
  - {{id: carrier, address: "127.0.0.1:{{port}}", match: ["127.0.0.1:{{port}}"]}}
  - {{id: member, address: "127.0.0.1:{{port}}", username: vonaluser, password: 'tru;nk\\\\sec"ret', register: true}}
  - {{id: raw, address: "127.0.0.1:{{port}}", match: ["127.0.0.1:{{port}}", "127.0.0.1:{RAW_TRUNK}"],
     username: line7, password: secret, register: true}}
tenants:
  - id: acme
    country: HU
    extensions:
      - {{number: "101", name: 'Kovács "Anna"; [x] ${{EXTEN}}', secret: 'pho;ne "secret'}}
      - {{number: "102", secret: phone-secret-2}}
      - {{number: "103", contact: "sip:103@127.0.0.1:{{port}}"}}
      - {{number: "105", secret: phone-secret-5}}
      - {{number: "107", secret: phone-secret-7}}
    numbers:
      - {{number: "+3612345678", ring: ["101", "102"], timeout: 5}}
      - {{number: "+3612345679", ring: ["101", "102"], strategy: in_order, timeout: 5}}
    outbound: {{trunk: carrier, caller_id: "+3612345678", countries: [HU, AT, US, GB], max_calls: 2}}
    recording: {{mode: all}}
  - id: be-ta
    country: AT
    extensions:
      - {{number: "101", secret: phone-secret-b}}
      - {{number: "201", secret: phone-secret-c}}
    numbers:
      - {{number: "+431234567", ring: ["101"]}}
    outbound: {{trunk: member, caller_id: "+431234567", countries: [AT]}}
  - id: quiet
    country: HU
    extensions:
      - {{number: "101", secret: phone-secret-q}}
"""
PHONES = ("acme-101", "acme-102", "acme-103", "acme-105", "acme-107", "be-ta-101", "be-ta-201", "quiet-101")


@pytest.fixture(scope="module")
def binary() -> AsteriskBinary:
    engine_dir = config.load().engine_dir
    install(engine_dir, progress=lambda _: None)
    return locate("embedded", engine_dir)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def farm(tmp_path_factory: pytest.TempPathFactory, binary: AsteriskBinary) -> AsyncIterator[Farm]:
    async with running_farm(tmp_path_factory.mktemp("dialplan"), binary, yaml=YAML) as farm:
        yield farm


@pytest_asyncio.fixture(loop_scope="module")
async def outside(farm: Farm) -> AsyncIterator[Simulator]:
    """Everybody answers at once, and nobody is in a call."""
    for name in PHONES:
        farm.outside.phone(name).behaviour = answer(440)
        farm.outside.phone(name).forget()
    for name in ("carrier", "member"):
        carrier = farm.outside.carrier(name)
        carrier.behaviour, carrier.by_ending = answer(880), {}
        carrier.forget()
    yield farm.outside
    calls = farm.outside.calls
    await asyncio.gather(*(call.hang_up() for call in calls))
    await soon(asyncio.gather(*(call.ended.wait() for call in calls)))


@pytest_asyncio.fixture(loop_scope="module")
async def journal(farm: Farm, outside: Simulator) -> "Journal":
    return Journal(farm.journal)


class Journal:
    """What Asterisk writes from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from = path.stat().st_size if path.exists() else 0

    def rows(self) -> list[list[str]]:
        if not self._path.exists():
            return []
        text = self._path.read_bytes()[self._from :].decode("utf-8", "replace")
        return list(csv.reader(text.splitlines()))

    def told(self) -> list[tuple[str, dict[str, str]]]:
        """(name, values) of what our dialplan told."""
        found = [(row[1], json.loads(row[19])["extra"]) for row in self.rows() if row[0] == "USER_DEFINED"]
        return [(name, {key: unquote(value) for key, value in _pairs(extra)}) for name, extra in found]

    async def joined(self) -> None:
        """Waits until two are in conversation."""
        while sum(row[0] == "BRIDGE_ENTER" for row in self.rows()) < 2:
            await asyncio.sleep(0.02)

    async def ended(self, calls: int = 1) -> list[tuple[str, dict[str, str]]]:
        """What was told until so many calls had ended."""
        while sum(row[0] == "LINKEDID_END" for row in self.rows()) < calls:
            await asyncio.sleep(0.02)
        return self.told()


def _pairs(extra: str) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (pair.partition("=") for pair in extra.split(";"))]


async def refused(outside: Simulator, phone: str, number: str) -> int | None:
    """The SIP code with which a phone's call is refused."""
    call = await outside.phone(phone).dial(number)
    await soon(call.ended.wait())
    assert not call.answered.is_set()
    return call.sip_code


async def test_a_clean_start_logs_no_error_and_no_warning(farm: Farm):
    log = (farm.pbx.folder / "log" / "messages").read_text()

    started = log.split("Loaded 1 configs")[0]
    assert [line for line in started.splitlines() if "ERROR" in line or "WARNING" in line] == []


async def test_every_object_of_the_directory_is_loaded(farm: Farm):
    endpoints = await farm.pbx.command("pjsip show endpoints") or ""

    assert set(re.findall(r"Endpoint:\s+(\S+?)(?:/\S+)?\s", endpoints)) >= {*PHONES, "trunk-carrier", "trunk-member"}


# --- outbound --------------------------------------------------------------------------------------------------------

DIALLED = [
    *("06301234567", "+36301234567", "0036301234567", "36301234567", "301234567", "0612345678", "12345678"),
    *("0680123456", "+3680123456", "0690123456", "+3690123456", "0640123456", "003690123456"),
    *("00431588010", "+431588010", "+43900123456", "0043810123456", "431588010"),
    *("+12025550123", "0012025550123", "+14165550123", "+18765550123", "+19005550123", "+18005550123", "+12684601234"),
    *("+442079460018", "00442079460018", "+447012345678", "+447624123456", "+447781123456", "+449001234567"),
    *("+4915112345678", "004915112345678", "+88216123456789", "+979123456789", "+80012345678", "+8816123456"),
    *("+77012345678", "+790012345678", "+2347012345678", "+3", "+36", "0036", "00", "0630", "063012345678901234"),
    *("112", "104", "105", "107", "911", "999", "99", "1", "0", "101", "102"),
]


@pytest.mark.parametrize("digits", DIALLED)
async def test_a_phone_may_dial_exactly_what_the_api_may(outside: Simulator, digits: str):
    extensions = ("101", "102", "103", "105", "107")
    try:
        meant = dialling.resolve(digits, country="HU", extensions=extensions, countries=COUNTRIES)
    except InvalidNumber:
        meant, codes = None, {403, 404}
    except DestinationForbidden:
        meant, codes = None, {403}

    if meant is None:
        assert await refused(outside, "acme-105", digits) in codes
        return
    call = await outside.phone("acme-105").dial(digits)
    reached = outside.phone(f"acme-{meant}") if meant in extensions else outside.carrier("carrier")
    leg = await soon(reached.rung())
    await soon(call.answered.wait())
    assert leg.called in (meant, f"acme-{meant}")


WORLD = ["AU", "BR", "CZ", "DE", "ES", "FR", "IN", "IT", "JP", "NO", "PL", "RO", "RU", "SK", "US"]
WORLD_YAML = "trunks:\n  - {id: w, address: '127.0.0.1:{port}'}\ntenants:\n" + "".join(
    f"  - {{id: in-{country.lower()}, country: '{country}', outbound: {{trunk: w, caller_id: '+3612345678',"
    f" countries: ['{country}'], max_calls: 1000}}}}\n"
    for country in WORLD
)


def _forms(country: str, choice: random.Random) -> set[str]:
    """Numbers of every kind as they are dialled in their country, some of them with a wrong digit."""
    read = dialling.reading(country)
    found = set()
    for kind in range(11):
        if (example := phonenumbers.example_number_for_type(country, kind)) is not None:
            national = phonenumbers.national_significant_number(example)
            at = choice.randrange(len(national))
            wrong = national[:at] + choice.choice("0123456789") + national[at + 1 :]
            found |= {
                read.national_prefix + national,
                f"+{read.code}{national}",
                national,
                read.national_prefix + wrong,
            }
            found |= {read.international_prefix + read.code + national} if read.international_prefix else set()
    return found


async def test_the_world_dials_exactly_what_the_api_may(tmp_path: Path, binary: AsteriskBinary):
    choice = random.Random(7)
    jobs = [(country, digits) for country in WORLD for digits in sorted(_forms(country, choice))]
    async with running_farm(tmp_path, binary, yaml=WORLD_YAML) as farm, _ari(farm) as ari:
        farm.outside.carrier("w").behaviour, farm.outside.carrier("w").by_ending = refuse(1), {}
        journal = Journal(farm.journal)
        limit = asyncio.Semaphore(8)

        async def dial(number: int, country: str, digits: str) -> None:
            async with limit:
                target = {"endpoint": f"Local/{digits}@phones-in-{country.lower()}", "app": "none"}
                query = {**target, "channelId": f"j{number}", "timeout": "5"}
                status, answer = await ari._ask("POST", "channels", query=query)
                assert status == 200, answer

        await asyncio.gather(*(dial(number, *job) for number, job in enumerate(jobs)))
        await asyncio.wait_for(journal.ended(len(jobs)), 60)
        told = {row[15]: {} for row in journal.rows()}
        for row in journal.rows():
            if row[0] == "USER_DEFINED":
                told[row[15]] |= {row[1]: dict(_pairs(json.loads(row[19])["extra"]))}

    for number, (country, digits) in enumerate(jobs):
        meant = numbers.read(digits, country)
        allowed = meant is not None and dialling.decide(meant, [country]) is None
        if not dialling.is_emergency(digits, country):
            assert ("refused" not in told[f"j{number}"]) == allowed, (country, digits, meant)
            assert not allowed or unquote(told[f"j{number}"]["call"]["to"]) == meant


async def test_an_outbound_call_shows_the_tenants_number_and_no_name(outside: Simulator, journal: Journal):
    call = await outside.phone("acme-101").dial("06301234567")
    leg = await soon(outside.carrier("carrier").rung())
    await soon(call.answered.wait())
    await call.hang_up()

    assert (leg.called, leg.number, leg.name) == ("+36301234567", "+3612345678", "")
    said = {"direction": "outbound", "tenant": "acme", "extension": "101", "number": "+3612345678"}
    assert (await soon(journal.ended()))[0] == ("call", {**said, "to": "+36301234567", "raw": "06301234567"})


@pytest.mark.parametrize(
    ("digits", "code", "reason"),
    [
        ("0690123456", 403, "destination_forbidden"),
        ("004915112345678", 403, "destination_forbidden"),
        ("999", 404, "extension_unknown"),
        ("0630123", 404, "invalid_number"),
    ],
)
async def test_what_is_refused_is_told_with_its_reason(
    outside: Simulator, journal: Journal, digits: str, code: int, reason: str
):
    assert await refused(outside, "acme-101", digits) == code

    (first, call), refusal = await soon(journal.ended())
    assert (first, call["direction"], call["raw"]) == ("call", "outbound", digits)
    assert refusal == ("refused", {"reason": reason, "tenant": "acme"})


@pytest.mark.parametrize(
    "hostile", ["0630,1", "06301234567%2C1", "0630%26PJSIP/be-ta-101", "0630)", "$%7BEXTEN%7D", "a"]
)
async def test_hostile_digits_are_refused_and_reach_nobody(outside: Simulator, hostile: str):
    assert await refused(outside, "acme-101", hostile) in (403, 404)
    assert not outside.carrier("carrier").calls
    assert not outside.phone("be-ta-101").calls


async def test_a_tenant_without_a_trunk_is_refused(outside: Simulator):
    assert await refused(outside, "quiet-101", "06301234567") == 403


async def test_one_call_more_than_allowed_is_refused_until_another_ends(outside: Simulator, journal: Journal):
    calls = [await outside.phone(f"acme-10{number}").dial("06301234567") for number in (1, 2)]
    await soon(asyncio.gather(*(call.answered.wait() for call in calls)))

    assert await refused(outside, "acme-105", "06301234568") == 503
    assert ("refused", {"reason": "too_many_calls", "tenant": "acme"}) in journal.told()
    emergency = await outside.phone("acme-105").dial("112")
    await soon(emergency.answered.wait())
    for call in (*calls, emergency):
        await call.hang_up()
    await soon(journal.ended(4))
    again = await outside.phone("acme-105").dial("06301234568")
    await soon(again.answered.wait())


async def test_calls_started_in_the_same_instant_are_counted_too(outside: Simulator):
    calls = await asyncio.gather(*(outside.phone("acme-101").dial("06301234567") for _ in range(6)))

    async def settled(call: Call) -> None:
        ends = [asyncio.ensure_future(event.wait()) for event in (call.answered, call.ended)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    await soon(asyncio.gather(*map(settled, calls)))
    assert sum(call.answered.is_set() for call in calls) <= 2


async def test_a_transferred_customer_still_counts(outside: Simulator):
    first = await outside.phone("acme-101").dial("06301234567")
    await soon(first.answered.wait())
    assert await outside.phone("acme-101").blind_transfer("102", first)
    await soon(first.ended.wait())
    second = await outside.phone("acme-101").dial("06301234568")
    await soon(second.answered.wait())

    assert await refused(outside, "acme-105", "06301234569") == 503


@pytest.mark.parametrize(("cause", "code"), [(BUSY, 486), (REJECTED, 403), (1, 404), (34, 503), (19, 480), (18, 408)])
async def test_a_carriers_refusal_reaches_the_phone(outside: Simulator, cause: int, code: int):
    outside.carrier("carrier").behaviour = refuse(cause)

    assert await refused(outside, "acme-101", "06301234567") == code


# --- inbound ---------------------------------------------------------------------------------------------------------


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


async def test_a_registered_trunk_is_called_at_its_line(outside: Simulator, farm: Farm):
    while "Registered" not in (await farm.pbx.command("pjsip show registrations") or ""):
        await asyncio.sleep(0.05)
    caller = await outside.carrier("member").call_in("+431234567")
    await soon(caller.answered.wait())

    assert (await soon(outside.phone("be-ta-101").rung())).number == "06305550123"


async def test_a_registered_trunk_may_name_the_number_in_the_to_header(outside: Simulator, farm: Farm):
    async with Wire.opened(farm, RAW_TRUNK) as wire:
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


# --- inside ----------------------------------------------------------------------------------------------------------


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


# --- transfer --------------------------------------------------------------------------------------------------------


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
    async with _ari(farm) as ari:
        agent = next(one["id"] for one in await ari.channels() if one["name"].startswith("PJSIP/acme-101-"))
        assert await ari.transfer(agent, tenant_id="acme", to="105")
    leg = await soon(outside.phone("acme-105").rung())
    await soon(leg.answered.wait())
    await leg.hang_up()

    assert ("transfer", {"to": "105", "from": "101"}) in await soon(journal.ended())
    assert "BLINDTRANSFER" in {row[0] for row in journal.rows()}


# --- click-to-call and recording -------------------------------------------------------------------------------------


async def click(farm: Farm, number: str, *, call_id: str, **variables: str) -> None:
    async with _ari(farm) as ari:
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


# --- strangers -------------------------------------------------------------------------------------------------------


class Wire(asyncio.DatagramProtocol):
    """Bare SIP from any port of ours, under any name."""

    def __init__(self, pbx: str, port: int) -> None:
        self._pbx = pbx
        self._port = port
        self._codes: asyncio.Queue[int] = asyncio.Queue()

    @classmethod
    def opened(cls, farm: Farm, port: int = 0) -> "_Opened":
        return _Opened(cls, farm.outside.pbx, port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data.startswith(b"SIP/2.0 "):
            self._codes.put_nowait(int(data.split()[1]))

    def invite(self, user: str, *, sender: str = "0630", to: str | None = None, method: str = "INVITE") -> None:
        mark = random.randrange(1 << 60)
        lines = [
            f"{method} sip:{user}@{self._pbx} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._port};branch=z9hG4bK{mark};rport",
            f"From: <sip:{sender}@127.0.0.1>;tag={mark}",
            f"To: <sip:{to or user}@{self._pbx}>",
            f"Call-ID: {mark}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:{sender}@127.0.0.1:{self._port}>",
            "Max-Forwards: 70",
            "Content-Length: 0",
        ]
        self._transport.sendto("\r\n".join([*lines, "", ""]).encode())

    async def refusal(self, user: str, *, sender: str = "0630", to: str | None = None, method: str = "INVITE") -> int:
        self.invite(user, sender=sender, to=to, method=method)
        while (code := await self._codes.get()) < 300:
            pass
        return code


class _Opened:
    def __init__(self, kind: type[Wire], pbx: str, port: int) -> None:
        self._make = lambda: kind(pbx, port)
        self._pbx, self._port = pbx, port

    async def __aenter__(self) -> Wire:
        loop = asyncio.get_running_loop()
        host, port = self._pbx.split(":")
        self._transport, wire = await loop.create_datagram_endpoint(
            self._make, local_addr=("127.0.0.1", self._port), remote_addr=(host, int(port)), family=socket.AF_INET
        )
        return wire

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()


@pytest.mark.parametrize("sender", ["0630", "acme-101", "acme-103", "trunk-carrier", "carrier", "anonymous", "x;y"])
@pytest.mark.parametrize("called", ["102", "+3612345678", "06301234567"])
async def test_a_stranger_is_asked_for_a_password_whatever_the_name(
    farm: Farm, outside: Simulator, sender: str, called: str
):
    async with Wire.opened(farm) as wire:
        assert await soon(wire.refusal(called, sender=sender)) == 401

    assert not outside.phone("acme-102").calls
    assert not outside.carrier("carrier").calls


async def test_a_caller_through_a_trunk_never_passes_for_a_phone(farm: Farm, outside: Simulator):
    async with Wire.opened(farm, RAW_TRUNK) as wire:
        for called in ("102", "06301234567", "*8"):
            assert await soon(wire.refusal(called, sender="acme-101")) == 404


async def test_nobody_registers_without_the_password(farm: Farm, outside: Simulator):
    async with Wire.opened(farm) as wire:
        for user in ("acme-101", "acme-103", "nobody"):
            assert await soon(wire.refusal(user, sender=user, to=user, method="REGISTER")) == 401


# --- change ----------------------------------------------------------------------------------------------------------


def _ari(farm: Farm) -> Ari:
    text = (farm.pbx.folder / "etc" / "http.conf").read_text()
    port = re.search(r"bindport = (\d+)", text)[1]
    return Ari(f"http://127.0.0.1:{port}", password=ARI_PASSWORD)


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
    async with _ari(farm) as ari:
        for module in configuration.modules_to_reload(changed):
            await ari.reload(module)
    return changed

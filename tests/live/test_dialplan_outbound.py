"""What phones may dial outside, in a real Asterisk: the same as the API may, and refused in the right way."""

import asyncio
import json
import random
from pathlib import Path
from urllib.parse import unquote

import phonenumbers
import pytest

from live.exchange import COUNTRIES, Journal, ari_of, pairs, refused
from live.farm import running_farm, soon
from vonal.domain import dialling, numbers
from vonal.domain.errors import DestinationForbidden, InvalidNumber
from vonal.telephony.binary import AsteriskBinary
from vonal.telephony.simulator import Simulator
from vonal.telephony.simulator_call import BUSY, REJECTED, Call, refuse

pytestmark = pytest.mark.asyncio(loop_scope="session")


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
    async with running_farm(tmp_path, binary, yaml=WORLD_YAML) as farm, ari_of(farm) as ari:
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
                told[row[15]] |= {row[1]: dict(pairs(json.loads(row[19])["extra"]))}

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

"""Masks: what a webhook must not see of a call is nowhere in its request."""

import json
import re
from typing import Any, get_args
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directories import directory, example
from sample_calls import START, answered_call, event
from vonal.directory import check
from vonal.directory.check import Surroundings
from vonal.domain.call import Agent, Call, Party, Transfer
from vonal.domain.delivery import Request
from vonal.domain.directory import Mask, Webhook
from vonal.domain.events import wire
from vonal.domain.masks import FIXED, MASKABLE
from vonal.webhooks import envelope, mask
from vonal.webhooks.envelope import Setting

KEY = mask.tenant_key(b"a-secret-of-the-service", "acme")
KINDS: tuple[Mask, ...] = get_args(Mask)
NUMBER = "+36305550123"
DIALECTS = ("native", "sipgate", "zammad", "placetel")


def _masked(call: Call, **masks: Mask) -> dict[str, Any]:
    return mask.masked(wire(call), {path.replace("__", "."): kind for path, kind in masks.items()}, KEY)


def _request(call: Call, type_: str = "call.incoming", **members: Any) -> Request:
    events = ["call.incoming", "call.outgoing", "call.answered", "call.ended"]
    hook = Webhook(**{"id": "x", "url": "https://crm.example/x", "events": events, "fields": "full", **members})
    ringing = {call.to.number or "": [{"extension": "101", "name": "Kovács Anna", "email": None}]}
    setting = Setting(timezone="UTC", base_url="https://pbx.example", mask_key=KEY, ringing=ringing)
    return envelope.request(event(type_, call), hook, setting, attempt=1, timestamp=1)


def _everything(request: Request) -> str:
    written = [request.url, *request.headers.values(), request.body.decode()]
    return " ".join([*written, *map(unquote_plus, written)])


@pytest.mark.parametrize(
    ("text", "kind", "seen"),
    [
        (NUMBER, "last4", "*******0123"),
        ("06305550123", "last4", "*******0123"),
        ("+1234", "last4", "****"),
        ("105", "last4", "***"),
        ("12345", "last4", "*2345"),
        ("", "last4", ""),
        ("+", "last4", ""),
        (NUMBER, "hide", None),
    ],
)
def test_last4_and_hide(text: str, kind: Mask, seen: str | None):
    assert mask.shown(text, kind, KEY) == seen


def test_a_pseudonym_is_the_same_for_one_tenant_and_another_for_the_next():
    seen = mask.shown(NUMBER, "hash", KEY) or ""
    assert re.fullmatch(r"[0-9a-f]{32}", seen)
    assert seen == mask.shown(NUMBER, "hash", mask.tenant_key(b"a-secret-of-the-service", "acme"))
    assert seen != mask.shown(NUMBER, "hash", mask.tenant_key(b"a-secret-of-the-service", "other"))
    assert seen != mask.shown(NUMBER, "hash", mask.tenant_key(b"another-secret", "acme"))
    assert seen != mask.shown("+36305550124", "hash", KEY)


def test_a_pseudonym_without_a_key_is_refused():
    with pytest.raises(ValueError, match="key"):
        mask.masked(wire(answered_call()), {"from.number": "hash"}, b"")


def test_masking_the_number_masks_the_raw_digits_and_every_text_that_is_it():
    call = answered_call(
        external_id=NUMBER,
        custom={"phone": "+36 30 555 0123", "nested": [{"tel": "tel:06305550123"}], "n": 36305550123, "deal": 7},
        transfers=[Transfer(type="blind", from_="102", to=NUMBER, at=START)],
    )
    call.from_.name = "06305550123"
    seen = _masked(call, from__number="last4")
    assert seen["from"] == {"number": "*******0123", "raw": "*******0123", "name": "*******0123", "anonymous": False}
    assert [leg["number"] for leg in seen["legs"]] == ["*******0123", None]
    assert seen["transfers"][0] == {
        "type": "blind",
        "from": "102",
        "to": "*******0123",
        "at": wire(call)["transfers"][0]["at"],
    }
    assert seen["call"]["external_id"] == "*******0123"
    assert "555" not in json.dumps(seen["custom"])
    assert seen["custom"]["deal"] == 7
    assert seen["to"] == wire(call)["to"]


def test_a_mask_of_its_own_for_the_raw_digits_is_kept():
    seen = _masked(answered_call(), from__number="last4", from__raw="hide")
    assert (seen["from"]["number"], seen["from"]["raw"]) == ("*******0123", None)


def test_the_extension_behind_an_outgoing_number_is_no_number():
    call = answered_call(direction="outbound", from_=Party(number="+3612345678", raw="102", name="Nagy Béla"))
    seen = _masked(call, from__number="last4")
    assert seen["from"]["number"] == "******5678"
    assert seen["from"]["raw"] == seen["agent"]["extension"] == "102"


def test_ids_times_and_what_happened_stay_whatever_is_masked():
    call = answered_call(
        external_id="x", custom={"a": "b"}, agent=Agent(extension="102", name="called", email="answered")
    )
    call.from_.name = "inbound"
    seen = mask.masked(wire(call), dict.fromkeys(MASKABLE, "last4"), KEY)
    was = wire(call)
    for part in ("id", "direction", "disposition", "cause", "ended_by", "origin"):
        assert seen["call"][part] == was["call"][part]
    assert seen["times"] == was["times"]
    assert [leg["party"] for leg in seen["legs"]] == [leg["party"] for leg in was["legs"]]


def test_what_the_crm_gave_can_be_masked_whole():
    seen = _masked(
        answered_call(custom={"who": {"tel": "1234567", "vip": True}, "deal": "D-12345"}), custom__who="last4"
    )
    assert seen["custom"] == {"who": {"tel": "***4567", "vip": True}, "deal": "D-12345"}


def test_masking_a_colleagues_name_masks_it_among_those_who_ring():
    request = _request(answered_call(agent=None), dialect="sipgate", mask={"agent.name": "hide"})
    assert "Kov" not in _everything(request)
    assert "userId%5B%5D=w101" in request.body.decode()


def test_the_event_stays_as_it_was():
    call = answered_call(custom={"phone": NUMBER})
    told = event("call.incoming", call)
    before = json.dumps(told.data)
    mask.masked(told.data, {"from.number": "hash"}, KEY)
    assert json.dumps(told.data) == before


_numbers = st.builds(
    lambda country, line: f"+{country}{line}",
    st.sampled_from(["36", "49", "1", "44"]),
    st.integers(10_000_000, 9_999_999_999).map(str),
)
_spellings = st.sampled_from(["{}", "tel:{}", "{} (mobil)", "x{}", "A {} B"])
_shapes = st.sampled_from(
    [
        {"method": "GET"},
        {"method": "GET", "fields": ["from.number", "from.raw", "legs.number", "custom"]},
        {"encoding": "json"},
        {"encoding": "form"},
        {"params": {"a": "{{ caller }}", "b": "{{ from.number }}", "c": "{{ legs | tojson }}", "d": "{{ custom }}"}},
        {"dialect": "sipgate"},
        {"dialect": "zammad"},
        {"dialect": "zammad", "encoding": "form"},
        {"dialect": "placetel"},
    ]
)


@given(
    number=_numbers,
    spelling=_spellings,
    kind=st.sampled_from(KINDS),
    shape=_shapes,
    type_=st.sampled_from(["call.incoming", "call.answered", "call.ended"]),
    known=st.booleans(),
)
def test_a_masked_number_is_nowhere_in_the_request(
    number: str, spelling: str, kind: Mask, shape: dict[str, Any], type_: str, known: bool
):
    digits = number[1:]
    text = spelling.format(number)
    call = answered_call(external_id=text, custom={"phone": text, text: "x", "list": [digits], "n": int(digits)})
    call.from_ = Party(number=number if known else None, raw=digits, name=text)
    call.legs[0].number = number
    call.transfers = [Transfer(type="blind", from_=digits, to=number, at=START)]
    assert digits not in _everything(_request(call, type_, mask={"from.number": kind}, **shape))


@given(kind=st.sampled_from(KINDS), texts=st.lists(st.text(max_size=12), min_size=4, max_size=4))
def test_no_text_breaks_a_mask(kind: Mask, texts: list[str]):
    call = answered_call(external_id=texts[3], custom={texts[0]: texts[1]})
    call.from_ = Party(number=None, raw=texts[0], name=texts[1])
    call.agent = Agent(extension=texts[2], name=texts[3])
    seen = mask.masked(wire(call), dict.fromkeys(MASKABLE, kind), KEY)
    assert seen["call"]["id"] == call.id


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_hidden_caller_is_anonymous_to_other_systems(dialect: str):
    request = _request(answered_call(), dialect=dialect, mask={"from.number": "hide"}, encoding="form")
    assert ("from=anonymous" in request.body.decode()) is (dialect != "native")


# --- in the YAML -----------------------------------------------------------------------------------------------------


def _faults(**masks: str) -> list[str]:
    data = example()
    data["tenants"][0]["webhooks"][0]["mask"] = {path.replace("__", "."): kind for path, kind in masks.items()}
    found = check.faults_of(directory(data), Surroundings())
    return [f"{path}: {reason}" for path, reason in found]


def test_masks_of_people_are_taken():
    assert _faults(from__number="last4", agent__email="hash", legs__number="hide", custom__phone="hash") == []


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("from.nummer", "did you mean from.number?"),
        ("call.id", "cannot be masked"),
        ("times.started_at", "cannot be masked"),
        ("legs.started_at", "cannot be masked"),
        ("recordings.id", "cannot be masked"),
        ("custom", "no text about people"),
        ("from", "no text about people"),
        ("custom.a.b", "no text about people"),
    ],
)
def test_what_cannot_be_masked_is_told(path: str, told: str):
    [fault] = _faults(**{path: "last4"})
    assert fault.startswith(f'tenants[0].webhooks[0].mask["{path}"]: ')
    assert told in fault


def test_the_paths_are_those_of_the_calls_data():
    call = answered_call(transfers=[Transfer(type="blind", at=START)])
    data = wire(call)
    known = {
        f"{part}.{name}"
        for part, value in data.items()
        for name in (value[0] if isinstance(value, list) and value else value)
        if part != "custom"
    }
    assert {path for path in (*MASKABLE, *FIXED) if not path.startswith("recordings.")} == known

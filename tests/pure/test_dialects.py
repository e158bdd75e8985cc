"""The formats of other systems, against the examples that their makers published.

Each example stands as it was published (its address beside it); the same call is told in our words, and must become it.
"""

import hashlib
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from sample_calls import START, answered_call, event
from vonal.domain import dialects
from vonal.domain.call import Agent, Call, Leg, Party
from vonal.domain.delivery import Request
from vonal.domain.directory import Security, Webhook
from vonal.webhooks import envelope
from vonal.webhooks.dialects import NotTold, placetel
from vonal.webhooks.envelope import Setting

SIPGATE = "https://developer.sipgate.io/push-api/api-reference/"
SIPGATE_NODE = "https://github.com/sipgate-io/sipgateio-node/blob/master/lib/webhook/webhook.ts"
ZAMMAD = "https://docs.zammad.org/en/latest/api/generic-cti/"
PLACETEL = "https://github.com/Placetel/call-control-notify-api"
MOMENTS = ["call.incoming", "call.outgoing", "call.answered", "call.ended"]
Form = list[tuple[str, str]]


def _webhook(dialect: str, **members: Any) -> Webhook:
    return Webhook(**{"id": "x", "url": "https://crm.example/x", "events": MOMENTS, "dialect": dialect, **members})


def _told(dialect: str, type_: str, call: Call, *, ring: list[Agent] | None = None, **members: Any) -> Request:
    people = [{"extension": one.extension, "name": one.name, "email": one.email} for one in ring or []]
    ringing = {call.to.number or "": people}
    setting = Setting(timezone="UTC", base_url="https://pbx.example", ringing=ringing)
    return envelope.request(event(type_, call), _webhook(dialect, **members), setting, attempt=1, timestamp=1)


def _form(request: Request) -> Form:
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)


def _call(id_: str, caller: str, called: str, **changes: Any) -> Call:
    ends = {"from_": Party(number=f"+{caller}", raw=caller), "to": Party(number=f"+{called}", raw=called)}
    return answered_call(**{"id": f"call_{id_}", "agent": None, **ends, **changes})


# --- sipgate ---------------------------------------------------------------------------------------------------------

SIPGATE_CURL = {  # SIPGATE, the curl line of each event
    "newCall": "event=newCall&from=492111234567&to=4915791234567&direction=in&callId=123456&user[]=Alice&user[]=Bob"
    "&userId[]=w0&userId[]=w1&fullUserId[]=1234567w0&fullUserId[]=1234567w1",
    "answer": "event=answer&callId=123456&user=John+Doe&userId=w0&fullUserId=1234567w0&from=492111234567"
    "&to=4915791234567&direction=in&answeringNumber=21199999999",
    "hangup": "event=hangup&cause=normalClearing&callId=123456&from=492111234567&to=4915791234567&direction=in"
    "&answeringNumber=4921199999999",
}


def _sipgate_call(**changes: Any) -> Call:
    return _call("123456", "492111234567", "4915791234567", tenant_id="1234567", **changes)


def test_sipgates_new_call_is_as_published():
    ring = [Agent(extension="0", name="Alice"), Agent(extension="1", name="Bob")]
    told = _form(_told("sipgate", "call.incoming", _sipgate_call(answered_at=None), ring=ring))
    assert ("origCallId", "123456") in told  # in the table, though not in the older curl line
    assert [one for one in told if one[0] != "origCallId"] == parse_qsl(SIPGATE_CURL["newCall"])


def test_sipgates_answer_is_as_published():
    call = _sipgate_call()
    call.agent = Agent(extension="0", name="John Doe")
    published = parse_qsl(SIPGATE_CURL["answer"])
    told = _form(_told("sipgate", "call.answered", call))
    assert told[:-1] == published[:-1]
    assert told[-1] == ("answeringNumber", "0")  # there: the answering phone's number; here: its extension


def test_sipgates_hangup_is_as_published():
    call = _sipgate_call()
    call.agent = Agent(extension="0", name="John Doe")
    told = _form(_told("sipgate", "call.ended", call))
    assert told[:-1] == parse_qsl(SIPGATE_CURL["hangup"])[:-1]
    assert told[-1] == ("answeringNumber", "0")


def test_what_sipgates_own_library_rewrites_is_written_as_it_expects():
    """SIPGATE_NODE, parseRequestBody: it looks for `user%5B%5D` in the raw body, and puts a plus before numbers."""
    ring = [Agent(extension="0", name="Alice")]
    body = _told("sipgate", "call.incoming", _sipgate_call(answered_at=None), ring=ring).body.decode()
    assert "user%5B%5D=Alice" in body
    assert "userId%5B%5D=w0" in body
    assert "fullUserId%5B%5D=1234567w0" in body
    assert "from=492111234567" in body


def test_a_caller_who_withholds_his_number_is_anonymous_everywhere():
    for dialect in ("sipgate", "zammad", "placetel"):
        hidden = Party(number=None, raw="Restricted", anonymous=True)
        request = _told(dialect, "call.incoming", _call("1", "1", "4930", from_=hidden), encoding="form")
        assert dict(_form(request))["from"] == "anonymous", dialect


CAUSES = [  # (disposition, Q.850 cause, refused, sipgate's and Zammad's word, Placetel's inbound, and outbound)
    ("answered", 16, None, "normalClearing", "accepted", "accepted"),
    ("busy", 17, None, "busy", "missed", "busy"),
    ("cancelled", 16, None, "cancel", "missed", "canceled"),
    ("no_answer", 19, None, "noAnswer", "missed", "missed"),
    ("rejected", 21, None, "noAnswer", "missed", "missed"),
    ("failed", 34, None, "congestion", "missed", "congestion"),
    ("failed", None, None, "congestion", "missed", "congestion"),
    ("failed", 1, None, "notFound", "missed", "unavailable"),
    ("failed", 20, None, "notFound", "missed", "unavailable"),
    ("failed", 1, "extension_unknown", "notFound", "blocked", "unavailable"),
    ("failed", 21, "destination_forbidden", "congestion", "blocked", "congestion"),
]


@pytest.mark.parametrize(("disposition", "cause", "refused", "word", "in_type", "out_type"), CAUSES)
def test_each_end_has_the_vendors_word(
    disposition: str, cause: int | None, refused: str | None, word: str, in_type: str, out_type: str
):
    answered_at = START if disposition == "answered" else None
    ends = {"disposition": disposition, "cause": cause, "refused": refused, "answered_at": answered_at}
    for direction, type_ in (("inbound", in_type), ("outbound", out_type)):
        call = _call("1", "4930", "4940", direction=direction, **ends)
        assert dict(_form(_told("sipgate", "call.ended", call)))["cause"] == word
        assert json.loads(_told("zammad", "call.ended", call).body)["cause"] == word
        assert dict(_form(_told("placetel", "call.ended", call)))["type"] == type_


def test_an_outgoing_call_names_who_dials_and_its_answer_names_no_user():
    call = _call("1", "4930", "4940", direction="outbound", answered_at=None)
    call.agent = Agent(extension="102", name="Nagy Béla")
    assert ("user[]", "Nagy Béla") in _form(_told("sipgate", "call.outgoing", call))
    call.answered_at = START
    answer = dict(_form(_told("sipgate", "call.answered", call)))
    assert (answer["direction"], answer["answeringNumber"]) == ("out", "4940")
    assert not {"user", "userId", "fullUserId"} & set(answer)


def test_a_call_that_nobody_answered_has_no_answering_number():
    call = _sipgate_call(answered_at=None, disposition="no_answer")
    call.agent = Agent(extension="0", name="Alice")
    assert "answeringNumber" not in dict(_form(_told("sipgate", "call.ended", call)))
    assert "answeringNumber" not in json.loads(_told("zammad", "call.ended", call).body)


# --- Zammad ----------------------------------------------------------------------------------------------------------

ZAMMAD_JSON = {  # ZAMMAD: newcall-event.html, answer-event.html, hangup-event.html; the tabs "JSON (recommended)"
    "newCall out": {
        "event": "newCall", "from": "493023125741", "to": "492214710334", "direction": "out",
        "callId": "f4ebd2be-7b9a-4d58-94c2-eb06a3c2ce76", "user": "Christopher Miller",
    },
    "newCall in": {
        "event": "newCall", "from": "493023125741", "to": "492214710334", "direction": "in",
        "callId": "307fa962-de8d-4ffc-817b-7f6993204159", "user": ["Christopher Miller", "Emma Taylor"],
    },
    "answer out": {
        "event": "answer", "from": "493023125741", "to": "492214710334", "direction": "out",
        "callId": "9f1840cb-8be9-4d3a-8200-3da2937085f0",
    },
    "answer in": {
        "event": "answer", "from": "493023125741", "to": "492214710334", "direction": "in",
        "callId": "307fa962-de8d-4ffc-817b-7f6993204159", "user": "Emma Taylor",
        "answeringNumber": "emma@chrispresso.com",
    },
    "hangup out": {
        "event": "hangup", "from": "493023125741", "to": "492214710334", "direction": "out",
        "callId": "f4ebd2be-7b9a-4d58-94c2-eb06a3c2ce76", "user": "Christopher Miller", "cause": "cancel",
    },
    "hangup in": {
        "event": "hangup", "from": "493023125741", "to": "492214710334", "direction": "in",
        "callId": "307fa962-de8d-4ffc-817b-7f6993204159", "user": "Emma Taylor",
        "answeringNumber": "emma@chrispresso.com", "cause": "normalClearing",
    },
}  # fmt: skip
MILLER = Agent(extension="101", name="Christopher Miller")
EMMA = Agent(extension="102", name="Emma Taylor", email="emma@chrispresso.com")


def _zammad(which: str, **members: Any) -> Request:
    published, out = ZAMMAD_JSON[which], which.endswith("out")
    type_ = {"newCall": "call.outgoing" if out else "call.incoming", "answer": "call.answered"}.get(
        str(published["event"]), "call.ended"
    )
    call = _call(str(published["callId"]), "493023125741", "492214710334")
    call.direction = "outbound" if out else "inbound"
    call.agent = MILLER if out else None if published["event"] == "newCall" else EMMA
    if which == "hangup out":
        call.disposition, call.answered_at = "cancelled", None
    return _told("zammad", type_, call, ring=[MILLER, EMMA], **members)


@pytest.mark.parametrize("which", ZAMMAD_JSON)
def test_zammads_json_is_as_published(which: str):
    request = _zammad(which)
    assert request.headers["Content-Type"] == "application/json"
    assert list(json.loads(request.body).items()) == list(ZAMMAD_JSON[which].items())


def test_zammads_form_repeats_the_user_of_a_new_call():
    """ZAMMAD newcall-event.html, the tab "form-data": user[]:"Christopher Miller", user[]:"Emma Taylor"."""
    users = [value for name, value in _form(_zammad("newCall in", encoding="form")) if name == "user[]"]
    assert users == ["Christopher Miller", "Emma Taylor"]


def test_the_user_of_an_answer_is_one_text_for_zammad_asks_for_its_downcase():
    assert dict(_form(_zammad("answer in", encoding="form")))["user"] == "Emma Taylor"


def test_a_call_among_colleagues_goes_out_for_zammad_refuses_any_other_direction():
    """Cti::Driver::Base#direction_check answers 422 to all but in and out."""
    call = _call("1", "101", "102", direction="internal")
    call.from_, call.to = Party(raw="101", name="Anna"), Party(raw="102", name="Béla")
    told = json.loads(_told("zammad", "call.outgoing", call).body)
    assert (told["direction"], told["from"], told["to"]) == ("out", "101", "102")


# --- Placetel --------------------------------------------------------------------------------------------------------

PLACETEL_FIELDS = {  # PLACETEL, the tables of "Our POST request"
    "IncomingCall": {"event", "from", "to", "call_id", "direction"},
    "OutgoingCall": {"event", "from", "to", "peer", "call_id", "direction"},
    "CallAccepted": {"event", "from", "to", "call_id", "peer", "direction"},
    "HungUp": {"event", "from", "to", "call_id", "type", "duration", "direction"},
}


def _placetel(type_: str, direction: str = "inbound", **changes: Any) -> dict[str, str]:
    call = _call("abc", "4922129191999", "4922129191998", direction=direction, **changes)
    call.agent = Agent(extension="102", name="Nagy Béla")
    return dict(_form(_told("placetel", type_, call)))


@pytest.mark.parametrize(
    ("name", "type_", "direction"),
    [
        ("IncomingCall", "call.incoming", "inbound"),
        ("OutgoingCall", "call.outgoing", "outbound"),
        ("CallAccepted", "call.answered", "inbound"),
        ("HungUp", "call.ended", "inbound"),
        ("HungUp", "call.ended", "outbound"),
    ],
)
def test_placetels_fields_are_those_of_its_tables(name: str, type_: str, direction: str):
    told = _placetel(type_, direction)
    assert told["event"] == name
    assert set(told) == PLACETEL_FIELDS[name]
    assert told["from"] == "022129191999"  # e.g. "022129191999"
    assert told["call_id"] == hashlib.sha256(b"call_abc").hexdigest()  # "sha256 in hex presentation"
    assert told["direction"] == {"inbound": "in", "outbound": "out"}[direction]
    assert told.get("peer", "acme-102@pbx.example") == "acme-102@pbx.example"  # e.g. "7777abcdefg@fpbx.de"


def test_placetels_numbers_are_as_dialled_in_germany():
    told = _placetel("call.incoming", from_=Party(number="+36305550123", raw="06305550123"))
    assert told["from"] == "0036305550123"


def test_placetels_duration_is_that_of_accepted_calls():
    assert _placetel("call.ended")["duration"] == "240"
    assert _placetel("call.ended", disposition="busy", answered_at=None)["duration"] == "0"


def test_placetel_is_not_told_when_an_outgoing_call_is_answered():
    """PLACETEL, "Call accepted: Only for incoming calls"."""
    with pytest.raises(NotTold):
        _placetel("call.answered", "outbound")


def test_placetels_hangup_of_a_call_among_colleagues_has_both_phones():
    """PLACETEL: "from and to for outgoing internal calls are the SIP IDs of caller and callee"."""
    told = _placetel("call.ended", "internal", from_=Party(raw="102"), to=Party(raw="105"))
    assert (told["from"], told["to"]) == ("acme-102@pbx.example", "acme-105@pbx.example")


def test_placetels_signature_is_as_published():
    """PLACETEL, "Our POST request": secret, payload and what results."""
    payload = (
        b"call_id=4a4cbb39578170aed9a2761a7bec8c7e704a541f52291ef603d6f5f152980c3c&event=CallAccepted&from=0123456789"
        b"&to=0987654321"
    )
    published = "c4f823c5b8806432fe2b83b1fc2ee714422e0cdfb4b5129152a7d0bbcd7792d0"
    assert placetel.signature(b"12345", payload) == published


def test_a_signed_placetel_request_carries_its_signature_beside_ours():
    key = "placetel-shared-secret"
    for security in (Security(type="hmac", key=key), Security(type="basic", user="u", password="p")):
        request = _told("placetel", "call.incoming", answered_call(), security=security)
        signed = placetel.signature(key.encode(), request.body) if security.type == "hmac" else None
        assert request.headers.get("X-PLACETEL-SIGNATURE") == signed
        assert ("webhook-signature" in request.headers) is (security.type == "hmac")
    names = [name for name, _ in _form(request)]
    assert names == sorted(names)  # as in the published payload


# --- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["sipgate", "zammad", "placetel"])
def test_own_parameters_headers_and_credentials_go_on_working(dialect: str):
    members: dict[str, Any] = {
        "params": {"who": "{{ caller }}"},
        "headers": {"X-Team": "sales"},
        "security": Security(type="api_key_param", param="k", key="secret-key"),
    }
    request = _told(dialect, "call.incoming", answered_call(), **members)
    assert dict(parse_qsl(urlsplit(request.url).query)) == {"who": "+36305550123", "k": "secret-key"}
    assert request.headers["X-Team"] == "sales"
    assert request.headers["X-Vonal-Event"] == "call.incoming"
    assert request.headers["webhook-id"].startswith("evt_")
    assert b"secret-key" not in request.body


@pytest.mark.parametrize("dialect", ["sipgate", "zammad", "placetel"])
def test_what_was_not_begun_is_not_ended(dialect: str):
    outbound = answered_call(direction="outbound")
    with pytest.raises(NotTold):
        _told(dialect, "call.ended", outbound, events=["call.incoming", "call.ended"])
    with pytest.raises(NotTold):  # a click that Asterisk refused: no phone rang, no call was told
        _told(dialect, "call.ended", answered_call(direction="outbound", legs=[]))
    with pytest.raises(NotTold):
        _told(dialect, "call.transferred", answered_call())


@pytest.mark.parametrize("dialect", ["sipgate", "zammad", "placetel"])
def test_a_test_is_told_as_a_call_from_nobody(dialect: str):
    call = Call(id="call_test", tenant_id="acme", linkedid="x", started_at=START)
    told = dict(_form(_told(dialect, "webhook.test", call, encoding="form")))
    assert (told["from"], told["to"], told["direction"]) == ("anonymous", "anonymous", "in")


def test_a_transferred_call_keeps_its_id():
    call = answered_call(id="call_a1b2")
    first = dict(_form(_told("sipgate", "call.answered", call)))
    call.legs.append(
        Leg(id="leg_3", channel="c", kind="extension", party="called", extension="105", started_at=START + timedelta(1))
    )
    assert dict(_form(_told("sipgate", "call.ended", call)))["callId"] == first["callId"] == "a1b2"


@pytest.mark.parametrize("dialect", ["sipgate", "zammad", "placetel"])
@pytest.mark.parametrize("members", [{}, {"encoding": "json"}, {"encoding": "form"}, {"recording": "none"}])
def test_defaults_and_what_does_no_harm_are_no_faults(dialect: str, members: dict[str, Any]):
    assert dialects.faults(_webhook(dialect, **members)) == []


def test_encrypted_bodies_do_not_go_with_a_dialect():
    hook = _webhook("zammad", security=Security(type="encrypted", key="x" * 32))
    assert [path for path, _ in dialects.faults(hook)] == ["security.type"]
    assert dialects.faults(_webhook("native", security=hook.security)) == []

"""The exact requests that webhooks get (contract, section 4)."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_calls import START, answered_call, event, recording
from vonal.domain.delivery import Request
from vonal.domain.directory import Security, Webhook
from vonal.domain.events import CallEvent
from vonal.webhooks import envelope
from vonal.webhooks.envelope import Setting

SETTING = Setting(timezone="Europe/Budapest", base_url="https://pbx.example")


def _webhook(**members: Any) -> Webhook:
    return Webhook(**{"id": "log", "url": "https://crm.example/calls", "events": ["call.completed"], **members})


def _request(webhook: Webhook, told: CallEvent | None = None, *, attempt: int = 1, **setting: Any) -> Request:
    place = Setting(timezone="Europe/Budapest", base_url="https://pbx.example", **setting)
    return envelope.request(told or event(), webhook, place, attempt=attempt, timestamp=1_800_000_000)


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True, strict_parsing=True))


def test_post_sends_the_contracts_envelope():
    told = event(call=answered_call(recordings=[recording(id="rec_a")]))
    request = _request(_webhook(fields="full"), told)
    assert request.method == "POST"
    assert request.url == "https://crm.example/calls"
    assert request.headers["Content-Type"] == "application/json"
    sent = json.loads(request.body)
    assert list(sent) == ["id", "type", "timestamp", "schema", "sequence", "tenant", "data"]
    assert sent["id"] == told.id
    assert (sent["type"], sent["schema"], sent["sequence"]) == ("call.completed", "1.0", 1)
    assert sent["timestamp"] == "2026-11-22T09:20:00.363Z"
    assert sent["tenant"] == {"id": "acme", "timezone": "Europe/Budapest"}
    assert sent["data"]["from"] == {
        "number": "+36305550123",
        "raw": "06305550123",
        "name": "Kiss Anna",
        "anonymous": False,
    }
    assert sent["data"]["agent"] == {"extension": "102", "name": "Nagy Béla", "email": None}
    assert sent["data"]["transfers"] == []
    assert sent["data"]["recordings"][0]["url"] == "https://pbx.example/api/v1/recordings/rec_a"
    assert sent["data"]["recordings"][0]["content_base64"] is None


def test_every_request_names_the_event_the_attempt_and_the_sender():
    told = event()
    headers = _request(_webhook(), told, attempt=3).headers
    assert headers["X-Vonal-Attempt"] == "3"
    assert headers["X-Vonal-Event"] == "call.completed"
    assert headers["webhook-id"] == told.id
    assert headers["webhook-timestamp"] == "1800000000"
    assert headers["User-Agent"].startswith("Vonal/")


def test_get_sends_flat_parameters():
    told = event(call=answered_call(id="call_x", recordings=[recording(id="rec_a")]))
    request = _request(_webhook(method="GET"), told)
    assert request.method == "GET"
    assert request.body == b""
    assert "Content-Type" not in request.headers
    assert _query(request) == {
        "event": "call.completed",
        "event_id": told.id,
        "call_id": "call_x",
        "direction": "inbound",
        "caller": "+36305550123",
        "called": "+3612345678",
        "extension": "102",
        "at": "2026-11-22T09:20:00.363Z",
        "disposition": "answered",
        "started_at": "2026-11-22T09:15:47.963Z",
        "answered_at": "2026-11-22T09:16:00.263Z",
        "ended_at": "2026-11-22T09:20:00.363Z",
        "talk_s": "240.1",
        "total_s": "252.4",
        "recording_id": "rec_a",
    }


def test_get_of_a_live_event_leaves_out_what_only_records_have_and_what_is_unknown():
    call = answered_call(agent=None, answered_at=None, ended_at=None, disposition=None)
    query = _query(_request(_webhook(method="GET"), event("call.incoming", call, at=START)))
    assert set(query) == {"event", "event_id", "call_id", "direction", "caller", "called", "at"}


def test_a_list_of_fields_chooses_the_parameters_of_get():
    query = _query(_request(_webhook(method="GET", fields=["call.id", "times.talk_s", "from.anonymous", "legs.kind"])))
    assert set(query) == {"event", "event_id", "at", "call.id", "times.talk_s", "from.anonymous", "legs.kind"}
    assert query["from.anonymous"] == "false"
    assert query["legs.kind"] == '["trunk","extension"]'


def test_parameters_join_the_addresss_own_query():
    query = _query(_request(_webhook(method="GET", url="https://crm.example/x?lang=hu&tag=a%20b")))
    assert query["lang"] == "hu"
    assert query["tag"] == "a b"
    assert query["event"] == "call.completed"


def test_own_parameters_go_into_the_query_with_get():
    query = _query(_request(_webhook(method="GET", params={"api_key": "abc", "who": "{{ caller }}"})))
    assert query["api_key"] == "abc"
    assert query["who"] == "+36305550123"


def test_own_parameters_go_into_custom_and_the_query_with_post():
    told = event(call=answered_call(custom={"campaign": "spring"}))
    request = _request(_webhook(params={"tag": "{{ to.name }}"}), told)
    assert _query(request) == {"tag": "Központ"}
    assert json.loads(request.body)["data"]["custom"] == {"campaign": "spring", "tag": "Központ"}


def test_what_click_to_call_gave_comes_back_whatever_the_fields():
    told = event(call=answered_call(custom={"deal": 7}, external_id="D-7"))
    data = json.loads(_request(_webhook(fields="minimal"), told).body)["data"]
    assert data["custom"] == {"deal": 7}
    assert data["call"]["external_id"] == "D-7"


def test_post_as_a_form_has_the_flat_parameters_and_the_envelope():
    request = _request(_webhook(encoding="form"))
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    form = dict(parse_qsl(request.body.decode()))
    assert form["caller"] == "+36305550123"
    assert json.loads(form["payload"])["data"]["from"]["number"] == "+36305550123"


def test_without_recordings_wanted_neither_address_nor_content_is_sent():
    told = event(call=answered_call(recordings=[recording()]))
    [one] = json.loads(_request(_webhook(recording="none", fields="full"), told).body)["data"]["recordings"]
    assert one["url"] is None
    assert one["content_base64"] is None
    assert "recording_id" not in _query(_request(_webhook(recording="none", method="GET"), told))


@pytest.mark.parametrize("state", ["recording", "processing", "failed", "deleted"])
def test_only_a_ready_recording_has_an_address(state: str):
    told = event(call=answered_call(recordings=[recording(state)]))
    [one] = json.loads(_request(_webhook(), told).body)["data"]["recordings"]
    assert one["url"] is None
    assert "recording_id" not in _query(_request(_webhook(method="GET"), told))


def test_inline_sound_is_base64():
    told = event(call=answered_call(recordings=[recording(id="rec_a")]))
    request = _request(_webhook(recording="inline"), told, sounds={"rec_a": b"\xff\xfbsound"})
    [one] = json.loads(request.body)["data"]["recordings"]
    assert one["content_base64"] == "//tzb3VuZA=="
    assert one["url"] == "https://pbx.example/api/v1/recordings/rec_a"


def test_sound_too_large_for_inline_is_referred_to_and_says_so():
    told = event(call=answered_call(recordings=[recording(id="rec_a")]))
    [one] = json.loads(_request(_webhook(recording="inline"), told, sounds={"rec_a": None}).body)["data"]["recordings"]
    assert one["content_base64"] is None
    assert one["inline_omitted"] == "too_large"
    assert one["url"] == "https://pbx.example/api/v1/recordings/rec_a"


def test_making_a_request_leaves_the_event_as_it_was():
    told = event(call=answered_call(recordings=[recording(id="rec_a")], custom={"a": 1}))
    before = json.dumps(told.data)
    _request(_webhook(fields="full", recording="inline", params={"b": "2"}), told, sounds={"rec_a": b"x"})
    assert json.dumps(told.data) == before


def test_headers_that_are_ours_are_never_the_webhooks():
    headers = {"Host": "evil", "Webhook-Id": "x", "X-Vonal-Attempt": "9", "Content-Length": "0", "X-Team": "sales"}
    sent = _request(_webhook(headers=headers)).headers
    assert sent["X-Team"] == "sales"
    assert not {"Host", "Webhook-Id", "Content-Length"} & set(sent)
    assert sent["X-Vonal-Attempt"] == "1"


def test_a_header_cannot_smuggle_another_one_in():
    sent = _request(_webhook(headers={"X-A": "1\r\nX-B: 2", "X-C\r\nX-D": "3"})).headers
    assert not [name for name, value in sent.items() if "\r" in name + value or "\n" in name + value]


def test_an_address_with_letters_of_other_alphabets_goes_out_as_ascii():
    request = _request(_webhook(url="https://ügyfél.example/hívás?név=ő", method="GET"))
    assert request.url.isascii()
    assert (urlsplit(request.url).hostname or "").encode().decode("idna") == "ügyfél.example"
    assert dict(parse_qsl(urlsplit(request.url).query))["név"] == "ő"


_texts = st.text(max_size=30)


@given(name=_texts, raw=_texts, param=st.text(alphabet=st.characters(exclude_characters="{")), key=_texts)
def test_no_text_of_a_caller_breaks_the_request(name: str, raw: str, param: str, key: str):
    call = answered_call()
    call.from_.name, call.from_.raw, call.from_.number = name, raw, None
    security = Security(type="api_key_param", param="k", key=key or "x")
    hook = _webhook(method="GET", params={"p": param, "n": "{{ from.name }}"}, security=security)
    try:
        name.encode(), raw.encode(), param.encode(), key.encode()
    except UnicodeEncodeError:
        return
    request = _request(hook, event(call=call))
    assert request.url.isascii()
    assert not set(request.url) & set(" \r\n\t\0")
    query = _query(request)
    assert query.get("caller", "") == raw
    assert (query["p"], query["n"], query["k"]) == (param, name, key or "x")

"""Click-to-call over HTTP: parameters, rules, limits, idempotency, waiting."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from api_house import NUMBER, OTHER_KEY, READ_KEY, House, in_talk
from vonal.domain.telephony import Ring

CLICK = "/api/v1/click-to-call"
WANTED = {"extension": "101", "number": NUMBER}


def _problem(answer: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, object]:
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (status, code, param), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = {"type", "title", "status", "code", "detail", "param", "retryable", "request_id"}
    assert set(answer.json()) == told
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return answer.json()


def test_a_click_rings_the_phone_and_is_stored_before(house: House) -> None:
    seen = []
    house.telephony.on_ring = lambda ring: seen.append(house.call(ring.call_id))
    more = {"external_id": "lead-7", "custom": '{"campaign": "x"}', "record": "no", "auto_answer": "1"}
    with house.client() as client:
        answer = client.get(CLICK, params={**WANTED, **more, "ring_timeout": "45"})
    assert answer.status_code == 202
    call_id = answer.json()["call_id"]
    assert answer.json() == {
        "call_id": call_id,
        "status": "ringing_agent",
        "extension": "101",
        "number": NUMBER,
        "dialled": NUMBER,
        "caller_id": "+3612345678",
        "external_id": "lead-7",
    }
    assert house.telephony.rings == [
        Ring(
            call_id=call_id,
            tenant_id="acme",
            extension="101",
            number=NUMBER,
            caller_id="+3612345678",
            timeout=45,
            auto_answer=True,
            record=False,
        )
    ]
    [stored] = seen
    assert (stored.state, stored.origin, stored.direction) == ("requested", "click_to_call", "outbound")
    assert (stored.linkedid, stored.external_id, stored.custom) == (call_id, "lead-7", {"campaign": "x"})
    assert stored.agent.name == "Kovács Anna"


@pytest.mark.parametrize(
    "send",
    [
        lambda client, wanted: client.get(CLICK, params=wanted),
        lambda client, wanted: client.post(CLICK, params=wanted),
        lambda client, wanted: client.post(CLICK, data=wanted),
        lambda client, wanted: client.post(CLICK, json=wanted),
        lambda client, wanted: client.post(CLICK, params={"extension": "101"}, json=wanted),
    ],
    ids=["query", "post-query", "form", "json", "both"],
)
def test_query_form_and_json_mean_the_same(house: House, send) -> None:
    with house.client() as client:
        for typed in ("+36301234567", "06 30 123-4567", "0036301234567", "06/30 123 4567"):
            answer = send(client, {"extension": "101", "number": typed})
            assert answer.status_code == 202, answer.text
            house.telephony.up.clear()
    assert {ring.number for ring in house.telephony.rings} == {NUMBER}


def test_a_plus_that_was_not_encoded_and_an_extension_as_a_json_number_are_understood(house: House) -> None:
    with house.client() as client:
        assert client.get(f"{CLICK}?extension=101&number=+36301234567").status_code == 202
        assert client.post(CLICK, json={"extension": 102, "number": "103"}).status_code == 202
    assert [(ring.number, ring.caller_id) for ring in house.telephony.rings] == [(NUMBER, "+3612345678"), ("103", None)]


@pytest.mark.parametrize(
    ("changed", "status", "code", "param"),
    [
        ({"extension": ""}, 400, "missing_parameter", "extension"),
        ({"number": ""}, 400, "missing_parameter", "number"),
        ({"extension": "anna"}, 400, "invalid_extension", "extension"),
        ({"extension": "1" * 5000}, 400, "invalid_extension", "extension"),
        ({"extension": "109"}, 404, "extension_not_found", "extension"),
        ({"number": "hello"}, 400, "invalid_number", "number"),
        ({"number": "12"}, 400, "invalid_number", "number"),
        ({"number": "1" * 5000}, 400, "invalid_number", "number"),
        ({"number": "+3630\x001234567"}, 400, "invalid_number", "number"),
        ({"number": "101"}, 400, "invalid_number", "number"),
        ({"number": "+3690123456"}, 403, "destination_forbidden", "number"),
        ({"number": "+14155550123"}, 403, "destination_forbidden", "number"),
        ({"number": "+881612345678"}, 403, "destination_forbidden", "number"),
        ({"caller_id": "+36301111111"}, 403, "caller_id_forbidden", "caller_id"),
        ({"caller_id": "x"}, 400, "invalid_number", "caller_id"),
        ({"ring_timeout": "4"}, 400, "invalid_request", "ring_timeout"),
        ({"ring_timeout": "121"}, 400, "invalid_request", "ring_timeout"),
        ({"ring_timeout": "9" * 400}, 400, "invalid_request", "ring_timeout"),
        ({"auto_answer": "maybe"}, 400, "invalid_request", "auto_answer"),
        ({"wait": "long"}, 400, "invalid_request", "wait"),
        ({"wait_timeout": "61"}, 400, "invalid_request", "wait_timeout"),
        ({"external_id": "x" * 65}, 400, "invalid_request", "external_id"),
        ({"external_id": "a\nb"}, 400, "invalid_request", "external_id"),
        ({"custom": "[1]"}, 400, "invalid_request", "custom"),
        ({"custom": "{"}, 400, "invalid_request", "custom"),
        ({"custom": '{"a":"' + "x" * 4096 + '"}'}, 400, "invalid_request", "custom"),
        ({"custom": '{"a":' * 400 + "1" + "}" * 400}, 400, "invalid_request", "custom"),
        ({"idempotency_key": "k" * 256}, 400, "invalid_request", "idempotency_key"),
    ],
)
def test_each_fault_has_its_code_and_names_its_parameter(
    shared_house: House, changed: dict[str, str], status: int, code: str, param: str
) -> None:
    with shared_house.client() as client:
        _problem(client.get(CLICK, params={**WANTED, **changed}), status, code, param)
        _problem(client.post(CLICK, data={**WANTED, **changed}), status, code, param)
    assert not shared_house.telephony.rings


def test_emergency_numbers_are_dialled_as_they_are(house: House) -> None:
    with house.client() as client:
        answer = client.get(CLICK, params={"extension": "101", "number": "112"})
    assert answer.status_code == 202
    assert house.telephony.rings[0].number == "112"


def test_a_tenant_reaches_only_its_own_and_needs_the_scope(house: House) -> None:
    with house.client() as client:
        wanted = {"extension": "102", "number": NUMBER}
        _problem(
            client.get(CLICK, params=wanted, headers={"X-API-Key": OTHER_KEY}), 404, "extension_not_found", "extension"
        )
        _problem(client.get(CLICK, params=wanted, headers={"X-API-Key": READ_KEY}), 403, "scope_missing")


def test_an_offline_and_a_busy_agent_are_told_apart(house: House) -> None:
    with house.client() as client:
        offline = _problem(client.get(CLICK, params={**WANTED, "extension": "103"}), 409, "agent_offline", "extension")
        assert offline["retryable"] is True
        house.telephony.up["17.3"] = ("acme", "101")
        _problem(client.get(CLICK, params=WANTED), 409, "agent_busy", "extension")
    assert not house.telephony.rings


def test_a_refused_originate_closes_the_call_and_frees_the_key(house: House) -> None:
    wanted = {**WANTED, "idempotency_key": "k1"}
    with house.client() as client:
        house.telephony.refusing = True
        _problem(client.get(CLICK, params=wanted), 502, "originate_failed")
        [(tenant, call_id, reason)] = house.abandoned
        assert (tenant, reason) == ("acme", "originate_failed")
        assert house.call(call_id)
        house.telephony.refusing = False
        again = client.get(CLICK, params=wanted)
    assert again.status_code == 202
    assert again.json()["call_id"] != call_id


def test_without_a_phone_system_clicks_are_refused_and_may_be_tried_again(house: House) -> None:
    house.telephony.silent = True
    with house.client() as client:
        answer = client.get(CLICK, params=WANTED)
        assert _problem(answer, 503, "telephony_unavailable")["retryable"] is True
        assert answer.headers["retry-after"] == "5"


def test_a_service_that_is_being_stopped_takes_no_clicks(house: House) -> None:
    house.draining = True
    with house.client() as client:
        _problem(client.get(CLICK, params=WANTED), 503, "telephony_unavailable")
        _problem(client.get("/readyz"), 503, "telephony_unavailable")
        assert client.get("/healthz").status_code == 200


def test_the_same_key_is_the_same_call_and_another_request_a_conflict(house: House) -> None:
    with house.client() as client:
        first = client.post(
            CLICK, json=WANTED, headers={"X-API-Key": client.headers["X-API-Key"], "Idempotency-Key": "k1"}
        )
        again = client.get(CLICK, params={**WANTED, "idempotency_key": "k1"})
        other = client.get(CLICK, params={**WANTED, "number": "102", "idempotency_key": "k1"})
        both = client.get(CLICK, params={**WANTED, "idempotency_key": "k2"}, headers={"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    _problem(other, 409, "idempotency_conflict", "idempotency_key")
    _problem(both, 400, "invalid_request", "idempotency_key")
    assert len(house.telephony.rings) == 1


def test_a_key_belongs_to_its_tenant(house: House) -> None:
    house.telephony.registered.add(("other", "101"))
    with house.client() as client:
        assert client.get(CLICK, params={**WANTED, "idempotency_key": "k1"}).status_code == 202
        theirs = client.get(CLICK, params={**WANTED, "idempotency_key": "k1"}, headers={"X-API-Key": OTHER_KEY})
    _problem(theirs, 403, "destination_forbidden", "number")  # it has no trunk, and no conflict either


@pytest.mark.parametrize("key", [None, "k1"])
def test_a_double_click_is_one_call(house: House, key: str | None) -> None:
    wanted = WANTED if key is None else {**WANTED, "idempotency_key": key}
    with house.client() as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(CLICK, params=wanted), range(8)))
    assert len(house.telephony.rings) == 1
    started = [one for one in answers if one.status_code == 202]
    if key is None:
        assert len(started) == 1
        assert {one.json()["code"] for one in answers if one.status_code != 202} == {"agent_busy"}
    else:
        assert len(started) == 8
        assert len({one.json()["call_id"] for one in started}) == 1


def test_an_extension_can_be_rung_ten_times_a_minute_and_refusals_do_not_lengthen_the_wait(house: House) -> None:
    with house.client() as client:
        for _ in range(10):
            assert client.get(CLICK, params=WANTED).status_code == 202
            house.telephony.up.clear()
            house.steady += 1
        for _ in range(5):
            refused = client.get(CLICK, params=WANTED)
            _problem(refused, 429, "rate_limited")
            assert refused.headers["retry-after"] == "50"
        assert client.get(CLICK, params={**WANTED, "extension": "102"}).status_code == 202
        house.steady += 50
        assert client.get(CLICK, params=WANTED).status_code == 202


def test_a_key_may_ask_sixty_times_a_minute(house: House) -> None:
    house.telephony.registered.clear()
    with house.client() as client:
        codes = [client.get(CLICK, params=WANTED).json()["code"] for _ in range(61)]
    assert codes == ["agent_offline"] * 60 + ["rate_limited"]


@pytest.mark.parametrize(("stage", "status"), [("agent", "dialling"), ("connected", "connected")])
def test_waiting_tells_what_came_of_each_leg(house: House, stage: str, status: str) -> None:
    def answered(ring: Ring) -> None:
        call = in_talk(house.call(ring.call_id))
        if stage == "agent":
            call.legs.pop()
        house.loop.run_in_executor(None, lambda: house.keep(call, tell=True))

    house.telephony.on_ring = answered
    with house.client() as client:
        answer = client.get(CLICK, params={**WANTED, "wait": stage})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["disposition"]) == (status, None)
    assert [(leg["party"], leg["status"]) for leg in told["legs"]] == [
        ("agent", "answered"),
        ("customer", "answered" if stage == "connected" else "waiting"),
    ]


def test_waiting_ends_when_the_agent_does_not_answer(house: House) -> None:
    def unanswered(ring: Ring) -> None:
        call = in_talk(house.call(ring.call_id))
        call.legs.pop()
        call.legs[0].answered_at, call.legs[0].ended_at = None, datetime.now(UTC)
        call.legs[0].disposition, call.legs[0].cause = "busy", 17
        call.state, call.disposition = "completed", "busy"
        house.loop.run_in_executor(None, lambda: house.keep(call))  # told by nobody: found by looking

    house.telephony.on_ring = unanswered
    with house.client() as client:
        told = client.get(CLICK, params={**WANTED, "wait": "connected"}).json()
    assert (told["status"], told["disposition"]) == ("ended", "busy")
    assert told["legs"][0] == {"party": "agent", "status": "busy", "extension": "101", "number": None, "cause": 17}


def test_when_the_waiting_time_is_over_the_call_goes_on(house: House) -> None:
    with house.client() as client:
        answer = client.get(CLICK, params={**WANTED, "wait": "connected", "wait_timeout": "1"})
    told = _problem(answer, 504, "wait_timeout")
    assert house.telephony.rings[0].call_id in str(told["detail"])
    assert house.telephony.up


def test_custom_data_comes_back_as_it_was_sent(house: House) -> None:
    custom = {"a": [1, 2.5, None, True], "ő": {"quote": '"\\', "nul": "\x00", "big": 2**60}}
    with house.client() as client:
        call_id = client.post(CLICK, json={**WANTED, "custom": custom}).json()["call_id"]
        assert msgspec.json.decode(client.get(f"/api/v1/calls/{call_id}").content)["custom"] == custom

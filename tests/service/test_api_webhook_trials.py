"""What a webhook would get is what it gets: previews beside real requests, tests, and sending a time's events again."""

import asyncio
import ipaddress
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote, quote_plus

import pytest

from api_house import OTHER_KEY, READ_KEY, House, recently
from receiver import OK, Answer, receiving
from sample_calls import INBOUND, answered_call, event, events_of_call, recording
from vonal.delivery import replay as replaying
from vonal.domain.delivery import Owed, Request
from vonal.domain.directory import Security, Webhook
from vonal.domain.events import CallEvent
from vonal.domain.secrets import secrets_of
from vonal.store import deliveries, directory, events
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.store.tables import delivery
from vonal.webhooks import disguise
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender

HOOKS = "/api/v1/webhooks"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CLOCK = 1_795_000_000.0


def _keep(house: House, *told: CallEvent) -> None:
    house.db.submit(lambda tx: events.any_tenant_add(tx, list(told))).result()


def _owe(house: House, told: list[CallEvent], *, at: datetime) -> None:
    """The events, and a delivery of each to every webhook of the tenant that wants it."""

    def store(tx) -> None:
        events.any_tenant_add(tx, told)
        hooks = directory.webhooks(told[0].tenant_id, tx)
        deliveries.enqueue(told[0].tenant_id, tx, events=told, webhooks=hooks, matches=matches, now=at)

    house.db.submit(store).result()


def _log(house: House, tenant_id: str = "acme", **wanted: str) -> list[Delivery]:
    look = partial(deliveries.listing, tenant_id, wanted=DeliveryFilter(**wanted), limit=10_000)
    return house.db.read_now(look)[0][::-1]


# --- previews --------------------------------------------------------------------------------------------------------

SHAPES = {
    "GET": {"method": "GET", "params": {"who": "{{ caller }}", "név": "Kiss & Társa + öt"}},
    "GET list": {"method": "GET", "fields": ["call.id", "from.number", "times.talk_s"]},
    "GET signed": {"method": "GET", "security": {"type": "hmac", "key": SECRET}},
    "JSON": {"fields": "full", "headers": {"X-Team": "sales"}, "params": {"team": "{{ agent.name }}"}},
    "JSON minimal": {"fields": "minimal", "recording": "none"},
    "JSON list": {"fields": ["call.id", "legs.number", "custom"]},
    "JSON signed by two keys": {"security": {"type": "hmac", "key": SECRET, "previous_key": "an-older-signing-key"}},
    "form": {"encoding": "form", "fields": "standard"},
    "form signed": {"encoding": "form", "security": {"type": "hmac", "key": SECRET}},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
async def test_a_preview_is_byte_for_byte_what_the_receiver_gets(house: House, shape: dict) -> None:
    house.time = lambda: CLOCK
    call = answered_call(recordings=[recording()], custom={"deal": "4711"})
    told = event(call=call)
    _keep(house, told)
    async with receiving() as receiver:
        with house.client() as client:
            url = f"{receiver.url}?from=vonal%20crm&x=ő"
            made = client.post(HOOKS, json={"id": "new", "url": url, "events": ["call.completed"], **shape})
            assert made.status_code == 201, made.text
            shown = client.post(f"{HOOKS}/new/preview", json={"call": call.id}).json()
        got = await _delivered(house, told)
        await receiver.got(1)
    wire = receiver.requests[0]
    assert got == 200
    assert shown["method"] == wire.method
    assert shown["url"] == f"http://127.0.0.1:{receiver.port}{wire.path_qs}"
    assert b64decode(shown["body_base64"]) == wire.body
    assert shown["body"].encode() == wire.body
    assert shown["bytes"] == len(wire.body)
    assert {name.lower(): value for name, value in shown["headers"].items()} == wire.headers
    assert (shown["sample"], shown["call_id"], shown["event"], shown["masked"]) == (
        False,
        call.id,
        "call.completed",
        [],
    )


async def _delivered(house: House, told: CallEvent) -> int | None:
    """Prepares and sends as the delivery's worker does."""
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)

    async def no_sound(_tenant: str, _recording: str) -> bytes:
        raise AssertionError

    preparer = Preparer(house.db, base_url="https://pbx.example", load_recording=no_sound, clock=lambda: CLOCK)
    sender = CurlSender(loopback)
    owed = Owed(id="dlv_1", webhook_id="new", event=told, due_at=0)
    try:
        async with preparer.prepare(owed) as request:
            assert isinstance(request, Request)
            return (await sender.send(request)).status
    finally:
        await sender.close()


PASSWORD = "pÁss wörd/+&=\"x'"
PROVING = {
    "basic": {"type": "basic", "user": "crm", "password": PASSWORD},
    "userpass_params": {"type": "userpass_params", "user": "crm", "password": PASSWORD},
    "api_key_header": {"type": "api_key_header", "header": "X-Key", "key": "key-of-the-crm"},
    "api_key_param": {"type": "api_key_param", "param": "key", "key": PASSWORD},
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("security", PROVING.values(), ids=PROVING)
def test_a_preview_shows_no_secret_in_any_encoding(house: House, security: dict, method: str) -> None:
    secret = security.get("password") or security["key"]
    sent = {"security": security, "method": method, "params": {"again": secret}}
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json=sent)
        answer = client.post(f"{HOOKS}/log/preview", json={})
    shown = answer.json()
    assert shown["masked"] == ["security.password" if "password" in security else "security.key"]
    everything = answer.text + b64decode(shown["body_base64"]).decode()
    basic = b64encode(f"crm:{secret}".encode()).decode()
    for form in (secret, quote(secret, safe=""), quote_plus(secret), b64encode(secret.encode()).decode(), basic):
        assert form not in everything
    assert "•••" in everything


def test_signatures_are_no_secret_but_what_makes_them_is(house: House) -> None:
    security = Security(type="hmac", key=SECRET)
    request = Request(method="POST", url=f"https://crm.example/?a={SECRET}", headers={"webhook-signature": "v1,abc"})
    shown = disguise.shown(request, secrets_of(security))
    assert shown.url == "https://crm.example/?a=•••"
    assert shown.headers["webhook-signature"] == "v1,abc"
    assert shown.masked == ["security.key"]


def test_the_default_port_is_not_in_the_host_header() -> None:
    def host(url: str) -> str:
        return disguise.on_the_wire(Request(method="GET", url=url, headers={}))["Host"]

    assert host("https://crm.example:443/a") == host("https://crm.example/a") == "crm.example"
    assert host("http://crm.example:80/") == "crm.example"
    assert host("https://[2001:db8::1]:443/") == "[2001:db8::1]"
    assert host("https://crm.example:80/") == "crm.example:80"


def test_without_a_call_it_is_the_latest_that_the_webhook_gets_something_of(house: House) -> None:
    first, second = answered_call(), answered_call(disposition="no_answer", answered_at=None)
    internal = answered_call(direction="internal", agent=None, legs=[])
    _keep(house, event(call=first), event(call=second), event(call=internal), event("call.incoming"))
    _keep(house, event(call=answered_call("other")))

    def previewed(**changes: object) -> tuple[str, str]:
        with house.client() as client:
            answer = client.post(f"{HOOKS}/log/preview", json={"webhook": changes}).json()
        assert answer["sample"] is False
        return answer["call_id"], answer["event"]

    assert previewed() == (internal.id, "call.completed")
    assert previewed(scope={"directions": ["inbound"]}) == (second.id, "call.completed")
    assert previewed(scope={"extensions": ["102"]}, enabled=False)[0] == second.id
    assert previewed(events=["call.missed"])[0] == second.id
    assert previewed(events=["call.incoming"])[1] == "call.incoming"


def test_of_a_call_it_is_the_last_event_that_fits_or_the_one_asked_for(house: House) -> None:
    told = events_of_call()
    _keep(house, *told)
    call = told[0].call_id

    def previewed(**asked: object) -> tuple[int, str]:
        with house.client() as client:
            answer = client.post(f"{HOOKS}/log/preview", json={"call": call, **asked})
        return answer.status_code, answer.json().get("event") or answer.json()["code"]

    assert previewed() == (200, "call.completed")
    assert previewed(event="call.incoming") == (200, "call.incoming")
    assert previewed(webhook={"events": ["call.ringing"]}) == (200, "call.ringing")
    assert previewed(event="recording.failed") == (400, "invalid_request")
    assert previewed(event="call.nothing") == (400, "invalid_request")
    assert previewed(call="call_aaaa") == (404, "call_not_found")
    with house.client(headers={"X-API-Key": OTHER_KEY}) as client:
        client.post(HOOKS, json={"id": "mine", "url": "https://crm.example/", "events": ["call.completed"]})
        assert client.post(f"{HOOKS}/mine/preview", json={"call": call}).json()["code"] == "call_not_found"


@pytest.mark.parametrize("type_", [*INBOUND, "call.outgoing", "call.missed", "recording.ready", "click_to_call.failed"])
def test_without_any_call_a_sample_of_the_tenants_own_is_shown(house: House, type_: str) -> None:
    with house.client() as client:
        changes = {"events": [type_], "fields": "full", "scope": {"extensions": ["102"], "numbers": ["+3612345679"]}}
        answer = client.post(f"{HOOKS}/log/preview", json={"webhook": changes})
    shown = answer.json()
    assert shown["sample"] is True
    told = json.loads(shown["body"])
    assert told["type"] == ("call.completed" if type_ == "call.missed" else type_)
    assert told["data"]["agent"] == {"extension": "102", "name": "Nagy Béla", "email": None}
    ours = told["data"]["from" if told["data"]["call"]["direction"] == "outbound" else "to"]
    assert ours["number"] == "+3612345679"
    assert (told["data"]["times"]["answered_at"] is None) == (
        type_ in ("call.incoming", "call.ringing", "call.outgoing", "call.missed", "click_to_call.failed")
    )
    made_up = CallEvent(
        id="evt_a",
        type=told["type"],
        tenant_id="acme",
        call_id=told["data"]["call"]["id"],
        sequence=1,
        at=datetime.now(UTC),
        data=told["data"],
    )
    hook = Webhook(id="log", url="https://a.example", events=[type_])
    assert matches(hook, made_up)


def test_sound_is_left_out_of_a_preview_with_a_note_in_its_place(house: House) -> None:
    call = answered_call(recordings=[recording(size_bytes=100)])
    _keep(house, event(call=call))
    with house.client() as client:
        shown = client.post(f"{HOOKS}/log/preview", json={"webhook": {"recording": "inline"}}).json()
    one = json.loads(shown["body"])["data"]["recordings"][0]
    assert (one["content_base64"], one["inline_omitted"]) == (None, "preview")
    assert one["url"] == f"https://pbx.example/api/v1/recordings/{one['id']}"


def test_changes_of_a_preview_are_checked_and_stored_nowhere(house: House) -> None:
    with house.client() as client:
        before = client.get(f"{HOOKS}/log").json()
        wrong = client.post(f"{HOOKS}/log/preview", json={"webhook": {"params": {"a": "{{"}, "timeout": 99}})
        right = client.post(f"{HOOKS}/log/preview", json={"webhook": {"params": {"a": "{{ call_id }}"}}})
        assert client.get(f"{HOOKS}/log").json() == before
    assert {one["path"] for one in wrong.json()["faults"]} == {"timeout"}
    assert right.json()["url"].endswith(f"?a={right.json()['call_id']}")


def test_who_may_only_read_gets_nothing_signed_to_send_on(house: House) -> None:
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json={"security": {"type": "hmac", "key": SECRET}})
        signed = client.post(f"{HOOKS}/log/preview", json={}).json()
    with house.client(headers={"X-API-Key": READ_KEY}) as client:
        shown = client.post(f"{HOOKS}/log/preview", json={}).json()
        refused = client.post(f"{HOOKS}/log/preview", json={"webhook": {"params": {"a": "b"}}})
        with house.client() as writer:
            spoken = writer.patch(f"{HOOKS}/log", json={"dialect": "placetel", "events": ["call.incoming"]})
            assert spoken.status_code == 200, spoken.text
            twice = client.post(f"{HOOKS}/log/preview", json={}).json()
            writer.patch(f"{HOOKS}/log", json={"dialect": None, "security": {"type": "encrypted", "key": "k" * 32}})
            assert client.post(f"{HOOKS}/log/preview", json={}).status_code == 403
            assert writer.post(f"{HOOKS}/log/preview", json={}).status_code == 200
    assert list(twice["headers"].values()).count("•••") == len(twice["masked"]) == 2
    assert signed["headers"]["webhook-signature"].startswith("v1,")
    assert (shown["headers"]["webhook-signature"], shown["masked"]) == ("•••", ["webhook-signature"])
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")


# --- tests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (OK, (True, 200, None, None)),
        (Answer(status=500, body=b"broken by key-of-the-crm"), (False, 500, None, "theirs")),
        (Answer(status=410), (False, 410, None, "theirs")),
        (Answer(broken="close"), (False, None, "bad_answer", "theirs")),
    ],
)
async def test_a_test_is_sent_once_and_told_and_logged(house: House, answer: Answer, told: tuple) -> None:
    async with receiving() as receiver:
        receiver.answer(answer)
        security = {"type": "api_key_header", "key": "key-of-the-crm"}
        with house.client() as client:
            client.patch(f"{HOOKS}/log", json={"url": receiver.url, "enabled": False, "security": security})
            done = (await asyncio.to_thread(client.post, f"{HOOKS}/log/test", json={})).json()
            health = client.get(f"{HOOKS}/log").json()
        assert len(receiver.requests) == 1
        wire = receiver.requests[0]
    assert (done["delivered"], done["status"], done["error"], done["fault"]) == told
    assert wire.json["type"] == done["request"]["event"] == "webhook.test"
    assert wire.headers["x-api-key"] == "key-of-the-crm"
    assert done["request"]["headers"]["X-API-Key"] == "•••"
    assert b64decode(done["request"]["body_base64"]) == wire.body
    assert "key-of-the-crm" not in done["answer"]
    logged = _log(house)
    assert [(one.id, one.type, one.webhook, len(one.attempts)) for one in logged] == [
        (done["delivery_id"], "webhook.test", "log", 1)
    ]
    assert logged[0].state == ("delivered" if told[0] else "dropped")
    assert logged[0].attempts[0].status == told[1]
    assert (health["last_status"], health["waiting"], health["state"]) == (told[1], 0, "paused")


async def test_a_test_takes_changes_that_are_not_stored(house: House) -> None:
    async with receiving() as receiver:
        with house.client() as client:
            changes = {"url": receiver.url, "method": "GET", "params": {"who": "{{ caller }}"}}
            done = (await asyncio.to_thread(client.post, f"{HOOKS}/log/test", json={"webhook": changes})).json()
            assert client.get(f"{HOOKS}/log").json()["url"] == "https://crm.example/calls"
    assert (done["delivered"], dict(receiver.requests[0].query)["who"]) == (True, "+36301234567")


def test_a_tenant_tests_ten_times_a_minute(house: House) -> None:
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json={"url": "https://127.0.0.1:1/"})
        answers = [client.post(f"{HOOKS}/log/test", json={}) for _ in range(11)]
        assert [one.status_code for one in answers] == [200] * 10 + [429]
        assert answers[0].json()["error"] == "not_connected"
        assert int(answers[-1].headers["Retry-After"]) == 60
        house.steady += 61
        assert client.post(f"{HOOKS}/log/test", json={}).status_code == 200


# --- a range again ---------------------------------------------------------------------------------------------------


def _set(house: House, ids: list[str], **values: object) -> None:
    house.db.submit(lambda tx: tx.execute(delivery.update().where(delivery.c.id.in_(ids)).values(values))).result()


def test_deliveries_of_a_time_are_owed_again_in_order_with_the_same_events(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "PIECE", 3)
    now = datetime.now(UTC)
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json={"events": [*INBOUND]})
        client.post(HOOKS, json={"id": "another", "url": "https://crm.example/", "events": ["call.completed"]})
        for hours in (5, 4, 3, 2, 1):
            at = now - timedelta(hours=hours)
            _owe(house, events_of_call(at=at, types=("call.incoming", "call.completed")), at=at)
        mine = _log(house, webhook="log")
        _set(house, [one.id for one in _log(house)], state=1, attempts=2, tries=2, done_at=1)
        _set(house, [mine[6].id, mine[7].id], state=3)  # dropped: an event that was live, and a record
        before = _log(house)
        answer = client.post(
            f"{HOOKS}/log/replay",
            json={"from": recently(hours=4.5), "until": recently(hours=1.5)},
        )
    assert (answer.status_code, answer.json()) == (202, {"replayed": 5})
    after = {one.id: one for one in _log(house)}
    again = [one.id for one in mine[2:6]] + [mine[7].id]
    assert [one.id for one in after.values() if one.state == "open"] == again
    assert len({after[id_].next_at for id_ in again}) == 1
    assert [one.event_id for one in before] == [one.event_id for one in after.values()]
    assert len(_log(house, webhook="another", state="delivered")) == 5


def test_states_choose_what_is_sent_again(house: House) -> None:
    now = datetime.now(UTC)
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json={"events": [*INBOUND]})
        _owe(house, events_of_call(at=now), at=now)
        ids = [one.id for one in _log(house)]
        for number, id_ in enumerate(ids[:4], 1):
            _set(house, [id_], state=number)  # delivered, parked, dropped, disabled; the last is open

        def again(**wanted: object) -> object:
            answer = client.post(
                f"{HOOKS}/log/replay", json={"from": recently(), "until": recently(hours=-1), **wanted}
            )
            return answer.json().get("replayed", answer.json().get("param"))

        assert again(states=["open"]) == "states"
        assert again(states=[]) == "states"
        assert again(states=["no"]) == "states"
        assert again(states=["dropped"]) == 1
        assert again(states="parked,disabled") == 2
        assert again() == 1
        assert again() == 0
    assert {one.state for one in _log(house)} == {"open"}


@pytest.mark.parametrize(
    ("range_", "code", "param"),
    [
        ({}, "missing_parameter", "from"),
        ({"from": "soon"}, "invalid_request", "from"),
        ({"from": "2026-01-01T00:00:00Z"}, "invalid_request", "from"),
        ({"from": "2099-01-01T00:00:00Z"}, "invalid_request", "from"),
    ],
)
def test_a_time_that_cannot_be_is_refused(shared_house: House, range_: dict, code: str, param: str) -> None:
    with shared_house.client() as client:
        answer = client.post(f"{HOOKS}/log/replay", json=range_)
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (400, code, param)


def test_too_many_are_refused_and_none_is_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MOST", 2)
    now = datetime.now(UTC)
    for _ in range(3):
        _owe(house, events_of_call(at=now), at=now)
    _set(house, [one.id for one in _log(house)], state=1)
    with house.client() as client:
        answer = client.post(f"{HOOKS}/log/replay", json={"from": recently()})
    assert (answer.status_code, answer.json()["param"]) == (400, "until")
    assert {one.state for one in _log(house)} == {"delivered"}


def test_a_place_in_the_log_is_found_among_other_tenants_rows(house: House) -> None:
    now = datetime.now(UTC)
    with house.client(headers={"X-API-Key": OTHER_KEY}) as client:
        client.post(HOOKS, json={"id": "log", "url": "https://crm.example/", "events": ["call.completed"]})
    for minutes in range(60, 0, -1):
        at = now - timedelta(minutes=minutes)
        _owe(house, events_of_call("acme" if minutes % 3 else "other", at=at), at=at)
    _set(house, [one.id for one in (*_log(house), *_log(house, "other"))], state=1)
    with house.client() as client:
        asked = {"from": recently(minutes=40.5), "until": recently(minutes=10.5)}
        assert client.post(f"{HOOKS}/log/replay", json=asked).json() == {"replayed": 20}
    assert len(_log(house, state="open")) == 20
    assert _log(house, "other", state="open") == []

"""Webhooks in the portal: made by the form, watched, paused, sent again, by those who may, and by nobody else."""

import asyncio
import html
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

import portal_house
from api_house import LOOPBACK
from html_form import Fields, fields_of, filled, text_of
from portal_house import Browser, PortalHouse
from receiver import Answer, Receiver, receiving_aside
from sample_calls import INBOUND, answered_call, event
from vonal.delivery.worker import Worker
from vonal.domain.call import Call
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.store import audit, calls, deliveries, directory, events, notices
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.webhooks.match import matches
from vonal.webhooks.prepare import Preparer
from vonal.webhooks.sender import CurlSender

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
STEP, SAVE, TEST = "/webhook-form/step", "/webhook-form/save", "/webhook-form/test"


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


@pytest.fixture
def crm() -> Iterator[Receiver]:
    with receiving_aside() as opened:
        yield opened


@contextmanager
def delivering(house: PortalHouse) -> Iterator[None]:
    """A delivery worker, as the service runs it."""
    stop, started = threading.Event(), threading.Event()

    async def no_sound(_tenant: str, _recording: str) -> bytes:
        raise AssertionError

    async def work() -> None:
        sender = CurlSender(LOOPBACK)
        preparer = Preparer(house.db, base_url="https://pbx.example", load_recording=no_sound, clock=time.time)
        running = asyncio.create_task(Worker(house.db, preparer.prepare, sender.send).run())
        started.set()
        await asyncio.to_thread(stop.wait)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await sender.close()

    thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join(10)


def happened(house: PortalHouse, call: Call | None = None) -> list[CallEvent]:
    """A whole call, with what webhooks are owed of it."""
    call = call or answered_call(at=datetime.now(UTC) - timedelta(seconds=260))
    told = [event(type_, call) for type_ in INBOUND]

    def store(tx) -> None:
        calls.save("acme", tx, call)
        events.any_tenant_add(tx, told)
        hooks = directory.webhooks("acme", tx)
        deliveries.enqueue("acme", tx, events=told, webhooks=hooks, matches=matches, now=datetime.now(UTC))

    house.db.submit(store).result()
    return told


def logged(house: PortalHouse) -> list[Delivery]:
    return house.db.read_now(partial(deliveries.listing, "acme", wanted=DeliveryFilter(), limit=1000))[0]


def stored(house: PortalHouse, webhook_id: str) -> Webhook:
    return next(one for one in house.db.read_now(partial(directory.webhooks, "acme")) if one.id == webhook_id)


def eventually(look, timeout: float = 20) -> None:
    until = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < until
        time.sleep(0.02)


def send(browser: Browser, path: str, fields: Fields, /, **values: str | list[str]) -> httpx.Response:
    """Sends the form as it stands in the page, with these values."""
    sent = filled(fields, **values)
    del sent["csrf"]
    return browser.send_form(path, **sent)


def form_in(answer: httpx.Response) -> Fields:
    assert answer.status_code in (200, 422), answer.text
    return fields_of(answer.text, "webhook-form")


def step_in(answer: httpx.Response) -> str:
    return dict(form_in(answer))["step"]


# --- the guided form -------------------------------------------------------------------------------------------------


def test_a_webhook_is_made_step_by_step_tested_and_gets_what_was_previewed(house: PortalHouse, crm: Receiver) -> None:
    owner = house.signed_in()
    call = answered_call(at=datetime.now(UTC) - timedelta(seconds=300))
    first = happened(house, call)
    page = owner.get("/webhooks/new?start=call_log")
    for step, values in (
        ("what", {"id": "tickets", "events": ["call.completed"]}),
        ("where", {"url": crm.url}),
        ("how", {"param_name": ["who", "name", ""], "param_value": ["{{ caller }}", "Kovács & Társa", ""]}),
        ("security", {}),
        ("fields", {"fields": "list", "paths": ["call.id", "from.number", "times.talk_s"]}),
    ):
        assert step_in(page) == step
        page = send(owner, STEP, form_in(page), go="next", **values)
    assert step_in(page) == "test"
    page = send(owner, TEST, form_in(page))
    assert "It works." in page.text
    assert crm.requests[0].json["type"] == "webhook.test"
    shown = send(owner, "/webhook-form/preview", form_in(page), exact="1", call=call.id)
    assert "Made from your call of" in shown.text
    url, body = text_of(shown.text, "data-url"), text_of(shown.text, "data-body")
    saved = send(owner, SAVE, form_in(page), go="on")
    assert saved.headers["location"] == "/webhooks/tickets/done"
    assert "Webhook tickets is on" in owner.get("/webhooks/tickets/done").text
    assert dict(form_in(page))["signing_key"] not in owner.get("/webhooks/tickets/edit").text

    def owe(tx) -> None:
        hooks = directory.webhooks("acme", tx)
        deliveries.enqueue("acme", tx, events=first, webhooks=hooks, matches=matches, now=datetime.now(UTC))

    house.db.submit(owe).result()
    with delivering(house):
        eventually(lambda: len(crm.requests) == 2)
    wire = crm.requests[1]
    assert (url, body.encode()) == (f"http://127.0.0.1:{crm.port}{wire.path_qs}", wire.body)
    assert wire.json["data"]["call"] == {"id": call.id}


def test_a_preview_of_get_shows_each_parameter_as_sent_and_to_be_read(house: PortalHouse) -> None:
    owner = house.signed_in()
    page = owner.get("/webhooks/new?start=screen_pop")
    values = {"param_name": "név", "param_value": "Kiss & {{ caller }}", "url": "https://crm.example/pop?x=1"}
    shown = send(owner, "/webhook-form/preview", form_in(page), **values).text
    assert "Made from a made-up call" in shown
    assert "n%C3%A9v=Kiss%20%26%20%2B36301234567" in html.unescape(shown)
    assert "név = Kiss & +36301234567" in html.unescape(shown)


def test_what_is_typed_is_kept_and_each_fault_stands_beside_its_field(house: PortalHouse) -> None:
    owner = house.signed_in()
    page = owner.get("/webhooks/new")
    page = send(owner, STEP, form_in(page), go="where", id="two words")
    assert (page.status_code, step_in(page)) == (422, "what")
    assert re.search(r'id="f-id"[^>]*aria-invalid="true"', page.text)
    page = send(owner, STEP, form_in(page), go="how", id="crm2", url="http://10.0.0.1/x y", timeout="99")
    assert step_in(page) == "where"
    assert dict(form_in(page))["url"] == "http://10.0.0.1/x y"
    assert "This must be between 1 and 30." in page.text
    assert "This is no address." in page.text
    page = send(owner, STEP, form_in(page), go="back")
    assert step_in(page) == "what"
    page = send(owner, STEP, form_in(page), go="security", url="https://crm.example/", timeout="5", header_name="Host",
                header_value="me", param_name=["a", "a"], param_value=["1", "{{ nothing( }}"])  # fmt: skip
    assert step_in(page) == "how"
    assert "The header Host is set by the service itself." in page.text
    assert "stands here twice" in page.text
    assert ("param_value", "{{ nothing( }}") in form_in(page)


def test_the_address_is_judged_as_soon_as_it_is_typed(house: PortalHouse) -> None:
    owner = house.signed_in()
    good = owner.send_form("/webhook-form/address", url="https://crm.example/a")
    bad = owner.send_form("/webhook-form/address", url="https://192.168.1.5/a")
    assert good.text.strip() == ""
    assert "The address 192.168.1.5 is in a network that may not be reached." in bad.text
    assert "VONAL_WEBHOOK_ALLOW" in bad.text


def test_a_changed_webhook_keeps_the_secrets_that_are_not_shown(house: PortalHouse) -> None:
    owner = house.signed_in()
    security = {"type": "basic", "user": "crm", "password": "sesame-open", "hmac": {"key": "a signing key of old"}}
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"security": security})
    page = owner.get("/webhooks/log/edit")
    assert "sesame-open" not in page.text
    saved = send(owner, SAVE, form_in(page), go="save", timeout="7", events=["call.completed", "call.ended"])
    assert saved.headers["location"] == "/webhooks/log"
    after = stored(house, "log")
    assert (after.timeout, after.security.password, after.events) == (
        7,
        "sesame-open",
        ["call.completed", "call.ended"],
    )
    assert after.security.hmac
    assert after.security.hmac.key == "a signing key of old"
    entry = house.db.read_now(partial(audit.listing, "acme"))[0][0]
    assert (entry.actor.name, entry.action, entry.name) == ("owner@acme.example", "change", "log")


def test_a_test_that_fails_says_whose_fault_it_is_and_what_to_do(house: PortalHouse, crm: Receiver) -> None:
    crm.answer(Answer(status=401, body=b"who are you?"))
    owner = house.signed_in()
    page = send(owner, TEST, form_in(owner.get("/webhooks/log/edit")), url=crm.url)
    assert "It was not accepted." in page.text
    assert "The receiver does not accept the credentials." in page.text
    assert "Compare the password, key or signature check" in page.text
    assert "who are you?" in page.text
    assert stored(house, "log").url == "https://crm.example/calls"
    entry = house.db.read_now(partial(audit.listing, "acme"))[0][0]
    assert (entry.action, entry.kind, entry.name, entry.after["status"]) == ("test", "webhook", "log", 401)


def test_the_portal_and_the_api_share_ten_tests_a_minute(house: PortalHouse, crm: Receiver) -> None:
    owner = house.signed_in()
    form = form_in(owner.get("/webhooks/log/edit"))
    for _ in range(10):
        assert "alert-success" in send(owner, TEST, form, url=crm.url).text
    page = send(owner, TEST, form, url=crm.url)
    assert "At most 10 tests can be sent in a minute" in page.text
    assert len(crm.requests) == 10
    with house.api.client() as api:
        assert api.post("/api/v1/webhooks/log/test", json={}).status_code == 429


def test_a_name_that_is_taken_is_told_and_a_free_one_is_proposed(house: PortalHouse) -> None:
    owner = house.signed_in()
    page = owner.get("/webhooks/new?start=both")
    assert dict(form_in(page))["id"] == "crm"
    page = send(owner, SAVE, form_in(page), id="log", url="https://crm.example/", go="paused")
    assert step_in(page) == "what"
    assert "There is a webhook log already" in page.text
    assert send(owner, SAVE, form_in(page), id="crm", go="paused").status_code == 303
    assert stored(house, "crm").enabled is False
    assert dict(form_in(owner.get("/webhooks/new?start=both")))["id"] == "crm-2"


def test_a_webhook_called_new_has_a_page_too(house: PortalHouse) -> None:
    with house.api.client() as api:
        api.post("/api/v1/webhooks", json={"id": "new", "url": "https://crm.example/", "events": ["call.ended"]})
    owner = house.signed_in()
    address = re.search(r'id="hook-new" href="([^"]*)"', owner.get("/webhooks").text)
    assert address
    assert "Webhook new" in owner.get(html.unescape(address.group(1))).text


# --- watching --------------------------------------------------------------------------------------------------------


def test_the_list_says_in_words_what_goes_where(house: PortalHouse) -> None:
    shown = house.signed_in().get("/webhooks").text
    assert "Record of a finished call" in shown
    assert "https://crm.example/calls" in shown
    assert "nothing sent yet" in shown


def test_a_delivery_shows_each_attempt_and_its_request_and_is_sent_again(house: PortalHouse, crm: Receiver) -> None:
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"url": crm.url, "security": {"type": "hmac", "key": "k" * 32}})
    crm.answer_in_turn(Answer(status=500, body=b"<b>broken</b>"), Answer(status=200))
    owner = house.signed_in()
    with delivering(house):
        happened(house)
        eventually(lambda: logged(house)[0].state == "delivered", 40)
        one = logged(house)[0]
        rows = owner.get("/deliveries").text
        assert (one.id in rows, "delivered" in rows) == (True, True)
        shown = owner.get(f"/deliveries/{one.id}?exact=1").text
        assert "The receiver's own program failed." in shown
        assert "&lt;b&gt;broken&lt;/b&gt;" in shown
        assert text_of(shown, "data-body").encode() == crm.requests[-1].body
        assert "v1," in text_of(shown, "data-headers")
        assert "v1," not in text_of(house.signed_in("supervisor").get(f"/deliveries/{one.id}").text, "data-headers")
        again = owner.send_form(f"/deliveries/{one.id}/replay")
        assert again.headers["location"] == f"/deliveries/{one.id}"
        eventually(lambda: len(crm.requests) == 3)
    assert crm.requests[2].body == crm.requests[1].body
    entry = house.db.read_now(partial(audit.listing, "acme"))[0][0]
    assert (entry.action, entry.kind, entry.name, entry.actor.kind) == ("replay", "delivery", one.id, "user")


def test_the_log_is_filtered_and_paged(house: PortalHouse) -> None:
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"events": ["call.completed", "call.updated", "recording.ready"]})
    told = [happened(house) for _ in range(60)]
    owner = house.signed_in()
    first = owner.get("/webhooks/log")
    assert first.text.count("data-delivery=") == 50
    older = re.search(r'class="btn" href="([^"]*after=[^"]*)"', first.text)
    assert older
    rest = owner.get(html.unescape(older.group(1)))
    assert rest.text.count("data-delivery=") == 10
    assert "hx-get" in first.text.partition('id="deliveries"')[2][:200]
    assert "hx-get" not in rest.text.partition('id="deliveries"')[2][:200]
    assert owner.get(f"/deliveries?call={told[0][0].call_id}").text.count("data-delivery=") == 1
    assert owner.get("/deliveries?state=parked").text.count("data-delivery=") == 0
    assert owner.get("/deliveries?event=recording.ready").text.count("data-delivery=") == 0
    assert owner.get("/deliveries?after=x").status_code == 400


def test_a_time_is_counted_asked_about_and_sent_again(house: PortalHouse, crm: Receiver) -> None:
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"url": crm.url})
    owner = house.signed_in()
    with delivering(house):
        happened(house)
        happened(house)
        eventually(lambda: {one.state for one in logged(house)} == {"delivered"})
        page = owner.get("/webhooks/log/replay")
        asked = fields_like(page.text)
        counted = owner.get("/webhooks/log/replay", params=asked)
        assert "2 deliveries would be sent again" in counted.text
        started = owner.send_form("/webhooks/log/replay-now", **asked)
        assert started.headers["location"] == "/webhooks/log/replay-progress"
        eventually(lambda: len(crm.requests) == 4)
        eventually(lambda: "All of them have been sent." in owner.get("/webhooks/log/replay-progress").text)
    assert [one.event_id for one in crm.requests[:2]] == [one.event_id for one in crm.requests[2:]]
    found = [one for one in house.db.read_now(partial(audit.listing, "acme"))[0] if one.action == "replay"]
    assert [(one.name, one.after["deliveries"]) for one in found] == [("log", 2)]
    wrong = owner.get("/webhooks/log/replay", params={"from": "tomorrow", "until": "x"})
    assert "aria-invalid" in wrong.text


def fields_like(page: str) -> dict[str, str]:
    """The two times that are proposed."""
    found = re.findall(r'name="(from|until)" value="([^"]*)"', page)
    return dict(found)


def test_a_failing_webhook_says_since_when_and_what_it_was_told(house: PortalHouse, crm: Receiver) -> None:
    crm.answer(Answer(status=503))
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"url": crm.url})
    owner = house.signed_in()
    with delivering(house):
        happened(house)
        eventually(lambda: logged(house)[0].attempts)
    tell = partial(notices.add, "acme", type="webhook.down", webhook_id="log", detail="503", at=0)
    house.db.submit(tell).result()
    shown = owner.get("/webhooks/log").text
    assert "last try failed" in shown
    assert "Failing since" in shown
    assert "1 delivery waits." in shown
    assert "It stopped taking what is sent." in shown


# --- changing --------------------------------------------------------------------------------------------------------


def test_pausing_asks_nothing_and_resuming_takes_it_back(house: PortalHouse) -> None:
    owner = house.signed_in()
    assert owner.send_form("/webhooks/log/pause").headers["location"] == "/webhooks/log"
    assert "paused" in owner.get("/webhooks/log").text
    assert owner.send_form("/webhooks/log/resume", **{"from": "list"}).headers["location"] == "/webhooks"
    assert "nothing sent yet" in owner.get("/webhooks").text


def test_what_is_deleted_was_asked_about_first(house: PortalHouse) -> None:
    owner = house.signed_in()
    happened(house)
    assert "1 delivery waits to be sent, and will be dropped." in owner.get("/webhooks/log/remove").text
    assert owner.send_form("/webhooks/log/remove-now").status_code == 303
    assert owner.get("/webhooks/log").status_code == 404
    assert "Choose where to start" in owner.get("/webhooks").text
    assert "The webhook was deleted." in owner.get(f"/deliveries/{logged(house)[0].id}").text


def test_a_signing_key_is_changed_with_both_live_meanwhile(house: PortalHouse) -> None:
    owner = house.signed_in()
    with house.api.client() as api:
        api.patch("/api/v1/webhooks/log", json={"security": {"type": "hmac", "key": "the first signing key"}})
    shown = owner.send_form("/webhooks/log/rotate-key").text
    fresh = stored(house, "log").security
    assert fresh.key is not None
    assert html.escape(fresh.key) in shown
    assert fresh.previous_key == "the first signing key"
    assert fresh.key not in owner.get("/webhooks/log").text
    assert owner.send_form("/webhooks/log/rotate-key").status_code == 409
    owner.send_form("/webhooks/log/finish-rotation")
    assert stored(house, "log").security.previous_key is None


SEEN = ("/webhooks", "/webhooks/log", "/deliveries")
CHANGING = ("/webhooks/new", "/webhooks/log/edit", "/webhooks/log/remove", "/webhooks/log/replay", "/webhooks/log/done")
DEEDS = (
    STEP, SAVE, TEST, "/webhook-form/preview", "/webhook-form/address", "/webhooks/log/pause", "/webhooks/log/resume",
    "/webhooks/log/remove-now", "/webhooks/log/rotate-key", "/webhooks/log/finish-rotation", "/webhooks/log/replay-now",
)  # fmt: skip


def test_supervisors_look_and_agents_do_not(house: PortalHouse) -> None:
    supervisor, agent = house.signed_in("supervisor"), house.signed_in("agent")
    assert {supervisor.get(path).status_code for path in SEEN} == {200}
    assert {supervisor.get(path).status_code for path in CHANGING} == {403}
    assert {supervisor.send_form(path).status_code for path in DEEDS} == {403}
    assert {agent.get(path).status_code for path in (*SEEN, *CHANGING)} == {403}
    assert {agent.send_form(path).status_code for path in DEEDS} == {403}
    assert "/webhooks/log/pause" not in supervisor.get("/webhooks").text
    happened(house)
    one = logged(house)[0].id
    assert supervisor.get(f"/deliveries/{one}").status_code == 200
    assert supervisor.send_form(f"/deliveries/{one}/replay").status_code == 403


def test_another_company_finds_nothing_of_it(house: PortalHouse) -> None:
    happened(house)
    one = logged(house)[0]
    stranger = house.signed_in("stranger", tenant_id="other")
    for path in ("/webhooks/log", "/webhooks/log/edit", "/webhooks/log/remove", "/webhooks/log/replay"):
        assert stranger.get(path).status_code == 404, path
    assert stranger.get(f"/deliveries/{one.id}").status_code == 404
    assert stranger.send_form(f"/deliveries/{one.id}/replay").status_code == 404
    assert one.id not in stranger.get(f"/deliveries?call={one.call_id}&webhook=log").text
    for deed in ("pause", "resume", "remove-now", "rotate-key", "finish-rotation"):
        assert stranger.send_form(f"/webhooks/log/{deed}").status_code == 404
    form = form_in(stranger.get("/webhooks/new"))
    assert send(stranger, SAVE, form, stored="log", url="https://crm.example/").status_code in (404, 422)
    shown = send(stranger, "/webhook-form/preview", form, call=one.call_id or "", url="https://crm.example/").text
    assert one.call_id not in shown
    assert stored(house, "log").url == "https://crm.example/calls"

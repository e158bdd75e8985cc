"""Webhooks made, changed and removed over the API: one code path with `vonal apply`, and no secret in any answer."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

import api_house
from api_house import ACME, KEY, OTHER_KEY, READ_KEY, House
from vonal.delivery import lane as lanes
from vonal.directory import webhooks as book
from vonal.directory.apply import apply
from vonal.directory.reading import read
from vonal.domain.directory import ApiKey, Directory, Webhook
from vonal.store import directory, settings, webhook_health
from vonal.store.sql import upsert
from vonal.store.tables import lane

HOOKS = "/api/v1/webhooks"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = {"id": "new", "url": "https://crm.example/new", "events": ["call.completed"]}
BASIC = {"type": "basic", "user": "crm", "password": "p4ssw0rd-of-crm"}
CLICK_KEY = "vk_test_only_clicks_calls"


def _stored(house: House, webhook_id: str, tenant_id: str = "acme") -> Webhook | None:
    found = house.db.read_now(partial(directory.webhooks, tenant_id))
    return next((one for one in found if one.id == webhook_id), None)


def test_a_webhook_is_made_read_changed_and_removed(house: House) -> None:
    with house.client() as client:
        made = client.post(HOOKS, json={**NEW, "timeout": 3, "security": BASIC})
        assert made.status_code == 201, made.text
        assert made.headers["Location"] == f"{HOOKS}/new"
        assert client.get(f"{HOOKS}/new").json() == made.json()
        put = client.put(f"{HOOKS}/new", json={"url": "https://crm.example/put", "events": ["call.missed"]})
        assert (put.json()["url"], put.json()["timeout"], put.json()["security"]["type"]) == (
            "https://crm.example/put",
            10,
            "none",
        )
        patched = client.patch(f"{HOOKS}/new", json={"enabled": False})
        assert (patched.json()["state"], patched.json()["events"]) == ("paused", ["call.missed"])
        assert [one["id"] for one in client.get(HOOKS).json()["items"]] == ["log", "new"]
        gone = client.delete(f"{HOOKS}/new")
        assert (gone.status_code, gone.content) == (204, b"")
        assert client.get(f"{HOOKS}/new").json()["code"] == "webhook_not_found"
    assert _stored(house, "new") is None


def test_a_webhook_without_an_id_gets_one_and_a_taken_one_is_refused(house: House) -> None:
    with house.client() as client:
        sent = {name: value for name, value in NEW.items() if name != "id"}
        assert client.post(HOOKS, json=sent).json()["id"].startswith("whk_")
        again = client.post(HOOKS, json={**NEW, "id": "log"})
    assert (again.status_code, again.json()["code"], again.json()["param"]) == (409, "webhook_exists", "id")


def test_every_change_raises_the_directorys_version_and_is_what_apply_sees(house: House) -> None:
    version = house.db.read_now(settings.any_tenant_directory_version)
    with house.client() as client:
        client.post(HOOKS, json={**NEW, "scope": {"numbers": ["06 1 234 5678"]}})
        client.patch(f"{HOOKS}/new", json={"timeout": 5})
    assert house.db.read_now(settings.any_tenant_directory_version) == version + 2
    stored = _stored(house, "new")
    assert stored == Webhook(
        **{**NEW, "timeout": 5}, scope=book.Webhook(**NEW).scope.__class__(numbers=["+3612345678"])
    )
    file = (
        b"tenants: [{id: acme, country: HU, webhooks: [{id: new, url: https://crm.example/new, timeout: 5,"
        b" events: [call.completed], scope: {numbers: ['+3612345678']}}]}]"
    )
    changes = apply(house.db, read(file), check=True)
    assert [(one.action, one.name) for one in changes.items] == [("remove", "log")]


def test_the_rest_of_the_tenant_stays_as_it_is(house: House) -> None:
    before = house.db.read_now(directory.any_tenant_parts)
    with house.client() as client:
        client.post(HOOKS, json=NEW)
        client.delete(f"{HOOKS}/new")
    assert house.db.read_now(directory.any_tenant_parts) == before


def test_all_faults_are_told_at_once_with_their_paths(house: House) -> None:
    wrong = {
        **NEW,
        "url": "ftp://crm.example",
        "events": ["call.complet"],
        "security": {"type": "hmac"},
        "params": {"who": "{% for a in b %}"},
        "scope": {"extensions": ["109"]},
    }
    with house.client() as client:
        answer = client.post(HOOKS, json=wrong)
        form = client.post(HOOKS, json={"url": 5, "evnets": [], "timeout": "soon", "method": None})
    told = answer.json()
    assert (answer.status_code, told["code"]) == (400, "invalid_request")
    assert {one["path"] for one in told["faults"]} == {
        "url",
        "events[0]",
        "security.key",
        "params.who",
        "scope.extensions[0]",
    }
    assert told["param"] == told["faults"][0]["path"]
    assert "did you mean call.completed" in answer.text
    assert {one["path"] for one in form.json()["faults"]} == {"evnets", "timeout", "events"}
    assert _stored(house, "new") is None


@pytest.mark.parametrize(
    ("method", "path", "sent", "param"),
    [
        ("PATCH", "/log", {"timeout": 31}, "timeout"),
        ("PATCH", "/log", {"events": None}, "events"),
        ("PATCH", "/log", {"id": "other"}, "id"),
        ("PUT", "/log", {**NEW, "id": "other"}, "id"),
        ("PATCH", "/log", {"security": {"type": "hmac", "key": "•••"}}, "security.key"),
        ("POST", "", {**NEW, "id": "../x"}, "id"),
        ("POST", "", {**NEW, "headers": {"Host": "evil.example"}}, "headers.Host"),
        ("POST", "", {**NEW, "params": {"a": {"b": "c"}}}, "params.a"),
        ("POST", "", {**NEW, "headers": {"X": "a\r\nb: c"}}, "headers.X"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    house: House, method: str, path: str, sent: dict, param: str
) -> None:
    before = house.db.read_now(directory.any_tenant_parts)
    with house.client() as client:
        answer = client.request(method, f"{HOOKS}{path}", json=sent)
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (400, "invalid_request", param)
    assert house.db.read_now(directory.any_tenant_parts) == before


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'"a"', b"[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    with house.client() as client:
        for method, path in (("POST", HOOKS), ("PUT", f"{HOOKS}/log"), ("PATCH", f"{HOOKS}/log")):
            answer = client.request(method, path, content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
        form = client.post(HOOKS, data={"url": "https://crm.example"})
        merge = client.patch(
            f"{HOOKS}/log", content=b'{"timeout": 2}', headers={"Content-Type": "application/merge-patch+json"}
        )
    assert (form.status_code, merge.status_code) == (415, 200)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/",
        "http://a.example",
        "https://user:pw@crm.example/",
        "ftp://crm.example/",
    ],
)
def test_a_url_that_the_guard_would_refuse_is_told_before_anything_is_sent(house: House, url: str) -> None:
    house.allow = ()
    with house.client() as client:
        made = client.post(HOOKS, json={**NEW, "url": url})
        patched = client.patch(f"{HOOKS}/log", json={"url": url})
        tried = client.post(f"{HOOKS}/log/preview", json={"webhook": {"url": url}})
    for answer in (made, patched, tried):
        assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == (
            422,
            "webhook_url_rejected",
            "url",
        )


def test_a_webhook_that_the_operator_gave_a_private_url_can_still_be_switched_off(house: House) -> None:
    with house.client() as client:
        client.patch(f"{HOOKS}/log", json={"url": "http://127.0.0.1:9/"})
        house.allow = ()
        assert client.patch(f"{HOOKS}/log", json={"enabled": False}).status_code == 200


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("security", "secrets"),
    [
        (BASIC, ["p4ssw0rd-of-crm"]),
        ({"type": "hmac", "key": SECRET, "previous_key": "an-older-signing-key"}, [SECRET, "an-older-signing-key"]),
        ({"type": "api_key_param", "key": "key-of-crm", "hmac": {"key": SECRET}}, ["key-of-crm", SECRET]),
    ],
)
def test_an_answer_holds_no_secret_and_sent_back_it_keeps_them(house: House, security: dict, secrets: list) -> None:
    with house.client() as client:
        made = client.post(HOOKS, json={**NEW, "security": security})
        assert made.status_code == 201, made.text
        kept = _stored(house, "new")
        seen = client.get(f"{HOOKS}/new")
        changed = client.put(f"{HOOKS}/new", json={**seen.json(), "timeout": 7})
        patched = client.patch(f"{HOOKS}/new", json={"security": {"type": security["type"]}, "timeout": 8})
        listed = client.get(HOOKS)
    for answer in (made, seen, changed, patched, listed):
        assert answer.status_code < 300, answer.text
        assert not any(secret in answer.text for secret in secrets)
        assert "•••" in answer.text
    assert kept is not None
    assert _stored(house, "new") == replace(kept, timeout=8)


def test_a_patch_follows_rfc_7396_and_another_type_of_security_begins_anew(house: House) -> None:
    start = {**NEW, "security": BASIC, "params": {"a": "1", "b": "2"}, "timeout": 3}
    with house.client() as client:
        client.post(HOOKS, json=start)
        client.patch(f"{HOOKS}/new", json={"params": {"a": None, "c": "3"}, "timeout": None})
        stored = _stored(house, "new")
        assert stored is not None
        assert (stored.params, stored.timeout) == ({"b": "2", "c": "3"}, 10)
        client.patch(f"{HOOKS}/new", json={"security": {"password": "another-password"}})
        assert _stored(house, "new").security.user == "crm"
        answer = client.patch(f"{HOOKS}/new", json={"security": {"type": "hmac", "key": SECRET}})
        assert answer.status_code == 200, answer.text
    stored = _stored(house, "new")
    assert stored is not None
    assert (stored.security.user, stored.security.password, stored.security.key) == (None, None, SECRET)


def test_a_change_is_logged_with_who_and_what_but_no_value(house: House) -> None:
    with house.client() as client, capture_logs() as logs:
        client.post(HOOKS, json={**NEW, "security": BASIC})
        client.patch(f"{HOOKS}/new", json={"security": {"password": "another-password"}, "timeout": 4})
        client.delete(f"{HOOKS}/new")
    told = [one for one in logs if one["event"] == "webhook.changed"]
    assert [one["action"] for one in told] == ["create", "change", "remove"]
    assert told[1]["fields"] == ["security.password", "timeout"]
    assert {(one["tenant"], one["webhook"], one["by"]) for one in told} == {("acme", "new", "api_key/crm")}
    assert "passw0rd" not in str(logs)
    assert "another-password" not in str(logs)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beside", [False, True])
def test_a_signing_key_is_changed_in_two_steps_and_shown_once(house: House, *, beside: bool) -> None:
    security = {**BASIC, "hmac": {"key": SECRET}} if beside else {"type": "hmac", "key": SECRET}

    def keys() -> tuple[str | None, str | None]:
        stored = _stored(house, "new").security
        here = stored.hmac if beside else stored
        return here.key, here.previous_key

    with house.client() as client:
        client.post(HOOKS, json={**NEW, "security": security})
        rotated = client.post(f"{HOOKS}/new/rotate-key")
        assert rotated.status_code == 200, rotated.text
        key = rotated.json()["key"]
        assert key.startswith("whsec_")
        assert keys() == (key, SECRET)
        assert SECRET not in rotated.text
        assert rotated.text.count(key) == 1
        again = client.post(f"{HOOKS}/new/rotate-key")
        assert (again.status_code, again.json()["code"]) == (409, "rotation_under_way")
        finished = client.post(f"{HOOKS}/new/finish-rotation")
        assert (finished.status_code, keys()) == (200, (key, None))
        assert key not in finished.text
        assert client.post(f"{HOOKS}/log/rotate-key").json()["code"] == "invalid_request"


# --- who may ---------------------------------------------------------------------------------------------------------

EVERY = [
    ("GET", ""),
    ("PUT", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/preview"),
    ("POST", "/test"),
    ("POST", "/rotate-key"),
    ("POST", "/finish-rotation"),
    ("POST", "/replay"),
]


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_another_tenants_webhook_is_not_there(shared_house: House, method: str, path: str) -> None:
    sent = {"url": "https://crm.example/", "events": ["call.completed"]} if path == "" else {}
    sent |= {"from": api_house.recently()} if path == "/replay" else {}
    body = {} if method in ("GET", "DELETE") else {"json": sent}
    with shared_house.client(headers={"X-API-Key": OTHER_KEY}) as client:
        answer = client.request(method, f"{HOOKS}/log{path}", **body)
        assert (answer.status_code, answer.json()["code"]) == (404, "webhook_not_found"), answer.text
        assert client.get(HOOKS).json()["items"] == []
    assert _stored(shared_house, "log") == ACME.webhooks[0]


def test_writing_needs_all_three_scopes_and_reading_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [*ACME.api_keys, ApiKey(name="clicks", key=CLICK_KEY, scopes=["call", "recording"])]
    apply(house.db, Directory(trunks=api_house.DIRECTORY.trunks, tenants=[replace(ACME, api_keys=keys)]))
    for key, lacking in ((CLICK_KEY, "`read`"), (READ_KEY, "`call`, `recording`")):
        with house.client(headers={"X-API-Key": key}) as client:
            for method, path in [("POST", ""), *((method, f"/log{path}") for method, path in EVERY[1:])]:
                if path == "/log/preview":
                    continue
                answer = client.request(method, f"{HOOKS}{path}", json={})
                assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), (method, path)
                assert lacking in answer.json()["detail"]
    with house.client(headers={"X-API-Key": READ_KEY}) as client:
        assert [client.get(f"{HOOKS}{path}").status_code for path in ("", "/log")] == [200, 200]
        assert client.post(f"{HOOKS}/log/preview", json={}).status_code == 200
    with house.client(headers={"X-API-Key": CLICK_KEY}) as client:
        assert [client.get(f"{HOOKS}{path}").status_code for path in ("", "/log")] == [403, 403]


def test_credentials_of_a_document_stand_beside_it(house: House) -> None:
    with house.client(headers={}) as client:
        made = client.post(HOOKS, params={"api_key": KEY}, json=NEW)
        inside = client.post(HOOKS, json={**NEW, "id": "b", "api_key": KEY})
    assert (made.status_code, inside.status_code) == (201, 401)


# --- many ------------------------------------------------------------------------------------------------------------


def test_twenty_made_at_once_are_all_there_and_so_are_changes_of_one(house: House) -> None:
    def make(number: int) -> int:
        with house.client() as client:
            return client.post(HOOKS, json={**NEW, "id": f"n{number}"}).status_code

    def patch(number: int) -> int:
        with house.client() as client:
            return client.patch(f"{HOOKS}/log", json={"params": {f"p{number}": "x"}}).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(make, range(20))) == {201}
        assert set(pool.map(patch, range(20))) == {200}
    assert {one.id for one in house.db.read_now(partial(directory.webhooks, "acme"))} == {
        "log",
        *(f"n{number}" for number in range(20)),
    }
    assert len(_stored(house, "log").params) == 20


def test_a_change_made_by_somebody_else_meanwhile_is_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, once = book.webhook_form.patched, []

    def meanwhile(stored: Webhook, patch: dict) -> Webhook:
        if not once:
            once.append(1)
            hooks = [*ACME.webhooks, Webhook(id="by-apply", url="https://crm.example/", events=["call.missed"])]
            apply(house.db, Directory(trunks=api_house.DIRECTORY.trunks, tenants=[replace(ACME, webhooks=hooks)]))
        return real(stored, patch)

    monkeypatch.setattr(book.webhook_form, "patched", meanwhile)
    with house.client() as client:
        assert client.patch(f"{HOOKS}/log", json={"timeout": 4}).status_code == 200
        assert [one["id"] for one in client.get(HOOKS).json()["items"]] == ["by-apply", "log"]


def test_a_tenant_has_at_most_a_hundred_and_they_are_listed_in_pages(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "MOST", 4)
    with house.client() as client:
        made = [client.post(HOOKS, json={**NEW, "id": id_}).status_code for id_ in ("b", "C", "a", "d")]
        refused = client.post(HOOKS, json={**NEW, "id": "e"})
        assert client.patch(f"{HOOKS}/a", json={"timeout": 4}).status_code == 200
        seen, cursor = [], ""
        while cursor is not None:
            page = client.get(HOOKS, params={"limit": 3, "after": cursor}).json()
            seen, cursor = seen + [one["id"] for one in page["items"]], page["next_cursor"]
    assert made == [201, 201, 201, 409]
    assert (refused.status_code, refused.json()["code"]) == (409, "webhook_limit_reached")
    assert seen == ["C", "a", "b", "log"]


def test_certificates_fit_into_a_webhook_and_more_does_not(house: House) -> None:
    long = {**NEW, "headers": {"X-Long": "a" * 300_000}}
    with house.client() as client:
        answer = client.post(HOOKS, json=long)
        pem = client.post(
            HOOKS, json={**NEW, "tls": {"ca": "A" * 65_000, "key": "B" * 65_000, "certificate": "C" * 40}}
        )
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert pem.status_code != 413
    assert "BBBB" not in pem.text


# --- health ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "state"),
    [
        ({}, "up"),
        ({"fails": 1, "next_at": 5000}, "failing"),
        ({"fails": 2, "next_at": 5000, "failing_since": 1000}, "down"),
        ({"disabled_at": 1000}, "disabled"),
    ],
)
def test_a_webhook_tells_how_it_is_doing(house: House, clock: dict, state: str) -> None:
    row = {"tenant_id": "acme", "webhook_id": "log", "fails": 0, "next_at": 0, **clock}
    house.db.submit(lambda tx: upsert(tx, lane, [row], key=["tenant_id", "webhook_id"])).result()
    with house.client() as client:
        told = client.get(f"{HOOKS}/log").json()
    assert (told["state"], told["waiting"], told["last_status"]) == (state, 0, None)
    assert told["failing_since"] == ("1970-01-01T00:00:01.000Z" if "failing_since" in clock else None)


def test_down_means_the_same_everywhere() -> None:
    assert webhook_health.DOWN == lanes.DOWN

"""What every request meets: credentials, parameters, sizes, unknown addresses, the log."""

import json
import logging
import socket
from base64 import b64encode
from collections.abc import Iterator

import httpx
import pytest
import structlog

from api_house import FAR_KEY, KEY, PASSWORD, READ_KEY, USER, House

CALLS = "/api/v1/calls"
CLICK = "/api/v1/click-to-call"


@pytest.fixture
def anybody(shared_house: House) -> Iterator[httpx.Client]:
    """A client without credentials."""
    with shared_house.client(headers={}) as client:
        yield client


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "credentials",
    [
        {"params": {"user": USER, "password": PASSWORD}},
        {"params": {"api_key": KEY}},
        {"headers": _basic(USER, PASSWORD)},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": f"bearer {KEY}"}},
        {"headers": {"X-API-Key": KEY}},
        {"headers": {"X-API-Key": KEY}, "params": {"api_key": KEY}},
    ],
)
def test_credentials_are_taken_in_every_form(anybody: httpx.Client, credentials: dict[str, dict[str, str]]) -> None:
    assert anybody.get(CALLS, **credentials).status_code == 200


@pytest.mark.parametrize("send", ["data", "json"])
def test_credentials_are_taken_from_bodies(anybody: httpx.Client, send: str) -> None:
    for credentials in ({"user": USER, "password": PASSWORD}, {"api_key": KEY}):
        answer = anybody.post(CLICK, **{send: {**credentials, "extension": "109", "number": "112"}})
        assert answer.json()["code"] == "extension_not_found"


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"params": {"user": "nobody", "password": PASSWORD}},
        {"params": {"user": USER, "password": "wrong"}},
        {"params": {"user": USER}},
        {"params": {"user": USER, "password": ""}},
        {"params": {"password": PASSWORD}},
        {"params": {"api_key": "vk_test_0000000000000000"}},
        {"params": {"api_key": KEY + "\0"}},
        {"params": {"api_key": "k" * 5000}},
        {"headers": _basic(USER, "wrong")},
        {"headers": _basic("", "")},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Basic /////w=="}},
        {"headers": {"Authorization": "Bearer"}},
        {"headers": {"Authorization": f"Digest {KEY}"}},
        {"headers": {"X-API-Key": "wrong"}},
    ],
)
def test_whatever_is_wrong_with_credentials_the_answer_is_one(
    anybody: httpx.Client, credentials: dict[str, dict[str, str]]
) -> None:
    answer = anybody.get(CALLS, **credentials)
    told = {**answer.json(), "request_id": ""}
    reference = {**anybody.get(CALLS, headers={"X-API-Key": "x"}).json(), "request_id": ""}
    assert (answer.status_code, told) == (401, reference)
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert 'Basic realm="vonal"' in answer.headers["www-authenticate"]


def test_credentials_given_in_two_ways_are_not_guessed_at(anybody: httpx.Client) -> None:
    answer = anybody.get(CALLS, params={"api_key": KEY}, headers={"X-API-Key": READ_KEY})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_credentials_reach_no_further_than_their_networks_and_scopes(anybody: httpx.Client) -> None:
    far = anybody.get(CALLS, headers={"X-API-Key": FAR_KEY})
    assert (far.status_code, far.json()["code"]) == (403, "ip_not_allowed")
    for method, path in (("GET", CLICK), ("DELETE", f"{CALLS}/call_x"), ("POST", f"{CALLS}/call_x/transfer")):
        answer = anybody.request(method, path, headers={"X-API-Key": READ_KEY})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    sound = anybody.get("/api/v1/recordings/rec_x", headers={"X-API-Key": READ_KEY})
    assert sound.json()["code"] == "scope_missing"


def test_no_credential_is_ever_logged(
    anybody: httpx.Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as lines:
        anybody.get(CALLS, params={"user": USER, "password": PASSWORD})
        anybody.get(CALLS, params={"user": USER, "password": "wrong-secret-1"})
        anybody.get(CALLS, params={"api_key": KEY})
        anybody.get(CALLS, params={"api_key": "vk_test_wrong-secret-2"})
        anybody.get(CALLS, headers={"X-API-Key": "wrong-secret-3"})
        anybody.post(CLICK, data={"user": USER, "password": "wrong-secret-4"})
        anybody.get(f"/nowhere?api_key={KEY}")
        anybody.get(f"{CALLS}?api_key={KEY}&limit=%ff")
        anybody.get(f"{CALLS}?api_key={KEY}&x={'x' * 20_000}")
    written = capfd.readouterr()
    ours = [one.getMessage() for one in caplog.records if not one.name.startswith("http")]  # not the test's own client
    everything = f"{lines}{written.out}{written.err}{ours}"
    assert "'path': '/api/v1/calls'" in everything
    for secret in (PASSWORD, KEY, "wrong-secret"):
        assert secret not in everything


def test_no_credential_comes_back_in_an_answer(anybody: httpx.Client) -> None:
    for answer in (
        anybody.get(f"{CALLS}?api_key={KEY}&limit=x"),
        anybody.get(f"{CALLS}?api_key={KEY}&api_key=other"),
        anybody.get(f"{CALLS}?user={USER}&password={PASSWORD}&after=!"),
    ):
        assert answer.status_code == 400
        assert KEY not in answer.text
        assert PASSWORD not in answer.text


def test_a_request_keeps_a_sane_id_and_gets_one_otherwise(anybody: httpx.Client) -> None:
    assert anybody.get("/healthz", headers={"X-Request-Id": "crm-17:a.b"}).headers["x-request-id"] == "crm-17:a.b"
    for insane in ("x" * 65, "a b", "é".encode(), "<script>"):
        given = anybody.get("/nowhere", headers={"X-Request-Id": insane})
        assert given.headers["x-request-id"].startswith("req_")
        assert given.json()["request_id"] == given.headers["x-request-id"]


def test_unknown_addresses_and_methods_are_told_apart(anybody: httpx.Client) -> None:
    nowhere = anybody.get("/api/v1/nowhere")
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    for method, path in (
        ("PUT", CLICK),
        ("PATCH", CALLS),
        ("HEAD", CLICK),
        ("TRACE", CALLS),
        ("GET", f"{CALLS}/x/transfer"),
    ):
        answer = anybody.request(method, path)
        assert answer.status_code == 405
        assert {"GET", "POST"} & set(answer.headers["allow"].split(", "))
        assert method not in answer.headers["allow"].split(", ")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"extension=101&number=112", "text/plain", 415),
        (b"extension=101&number=112", "", 415),
        (b"<a/>", "application/xml", 415),
        (b"--x--", "multipart/form-data; boundary=x", 415),
        (b"{}", "application/json; charset=utf-16", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"number": "\xff"}', "application/json", 400),
        (b'{"number": "\\ud800"}', "application/json", 400),
        (b'{"number": {"a": 1}}', "application/json", 400),
        (b'{"extension": 1e400}', "application/json", 400),
        (b'{"extension": true}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"custom":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "application/json", 400),
        (b"number=%ff", "application/x-www-form-urlencoded", 400),
        (b"number=\xff", "application/x-www-form-urlencoded", 400),
        (b"number=1&number=2", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % n for n in range(200)), "application/x-www-form-urlencoded", 400),
        (b"x" * 70_000, "application/json", 413),
        (b"number=" + b"1" * 10_000_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_bodies_that_cannot_be_read_are_refused(
    shared_house: House, content: bytes, content_type: str, status: int
) -> None:
    with shared_house.client() as client:
        answer = client.post(CLICK, content=content, headers={"X-API-Key": KEY, "Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/calls?limit=%ff", 400),
        ("/api/v1/calls?limit=%00", 400),
        ("/api/v1/calls?after=%00", 400),
        ("/api/v1/calls?number=%00", 400),
        ("/api/v1/calls?number=" + "1" * 10_000, 400),
        ("/api/v1/calls?after=" + "1" * 80, 400),
        ("/api/v1/calls?from=yesterday", 400),
        ("/api/v1/calls?from=9999-12-31T23:59:59-12:00", 200),
        ("/api/v1/calls?from=0001-01-01T00:00:00%2B14:00", 200),
        ("/api/v1/calls?from=2026-11-22T09:20:00+01:00", 200),
        ("/api/v1/calls?from=2026-11-22", 400),
        ("/api/v1/calls?limit=5&limit=5", 200),
        ("/api/v1/calls?limit=5&limit=6", 400),
        ("/api/v1/calls?x=" + "x" * 10_000_000, 413),
        ("/api/v1/calls/%00", 400),
        ("/api/v1/calls/%ff", 400),
        ("/api/v1/calls/..%2f..%2fetc", 404),
        ("/api/v1/calls/" + "x" * 20_000, 413),
        ("/api/v1/recordings/%00", 400),
        ("/api/v1/recordings/rec_%E2%82%AC", 400),
        ("/api/v1/deliveries?state=open%00", 400),
        ("/api/v1/deliveries?after=999999999999999999", 200),
    ],
)
def test_addresses_of_every_kind_get_a_proper_answer(shared_house: House, target: str, status: int) -> None:
    found = _raw(shared_house, target)
    assert found.startswith(f"HTTP/1.1 {status} ".encode()), found[:500]
    if status >= 400:
        head, _, body = found.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01 this is TLS\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000_000 + b"\r\n\r\n", 413),
        (b"GET /" + b"x" * 100_000, 413),
    ],
)
def test_what_is_no_request_is_told_so(shared_house: House, sent: bytes, status: int) -> None:
    found = _exchange(shared_house, sent)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    assert json.loads(body)["request_id"].encode() in head


def _raw(house: House, target: str) -> bytes:
    """The answer to a GET of just these bytes, which a client library would tidy up."""
    head = f"GET {target} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
    return _exchange(house, head.encode())


def _exchange(house: House, sent: bytes) -> bytes:
    host, _, port = house.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        found = b""
        while chunk := connection.recv(65_536):
            found += chunk
    return found


def test_health_is_open_and_says_what_is_wrong(house: House) -> None:
    with house.client(headers={}) as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready", "checks": {"database": "ok"}}
        house.wrong = "the disk is full"
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert "database: the disk is full" in answer.json()["detail"]
        assert client.get("/healthz").status_code == 200


def test_metrics_count_requests_by_route_and_name_no_call(shared_house: House) -> None:
    with shared_house.client() as client:
        client.get(f"{CALLS}/call_doesnotexist")
        text = client.get("/metrics").text
    assert 'vonal_http_requests_total{method="GET",route="/api/v1/calls/{id}",status="404"}' in text
    assert "doesnotexist" not in text

"""How a webhook proves itself; Standard Webhooks' own library is the judge of signatures."""

import json
import time
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from sample_calls import event
from vonal.domain.delivery import Request
from vonal.domain.directory import HmacSigning, Security, Webhook
from vonal.webhooks import envelope

KEY = "whsec_" + b64encode(b"0123456789abcdef01234567").decode()
OLD_KEY = "whsec_" + b64encode(b"another-secret-of-24-byt").decode()


def _request(security: Security, *, timestamp: float | None = None, **members: Any) -> Request:
    webhook = Webhook(**{"id": "log", "url": "https://crm.example/calls?a=1", "events": ["call.completed"], **members},
                      security=security)  # fmt: skip
    setting = envelope.Setting(timezone="UTC", base_url="https://pbx.example")
    return envelope.request(event(), webhook, setting, attempt=1, timestamp=int(timestamp or time.time()))


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query))


def test_none_sends_no_credentials():
    request = _request(Security(type="none"))
    assert "Authorization" not in request.headers
    assert "webhook-signature" not in request.headers
    assert request.secrets == ()


def test_basic_sends_user_and_password_in_utf8():
    request = _request(Security(type="basic", user="crm", password="jelszó:1"))
    kind, token = request.headers["Authorization"].split()
    assert kind == "Basic"
    assert b64decode(token).decode() == "crm:jelszó:1"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userpass_params_stand_in_the_query(method: str):
    query = _query(_request(Security(type="userpass_params", user="crm", password="p&ss=1"), method=method))
    assert (query["user"], query["password"], query["a"]) == ("crm", "p&ss=1", "1")


def test_an_api_key_stands_in_its_header():
    request = _request(Security(type="api_key_header", header="X-Token", key="abc"))
    assert request.headers["X-Token"] == "abc"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_api_key_stands_in_its_parameter(method: str):
    assert _query(_request(Security(type="api_key_param", param="token", key="abc"), method=method))["token"] == "abc"


def test_a_signature_satisfies_standard_webhooks():
    request = _request(Security(type="hmac", key=KEY))
    verified = Verifier(KEY).verify(request.body, request.headers)
    assert verified == json.loads(request.body)


def test_a_changed_body_or_another_key_does_not_verify():
    request = _request(Security(type="hmac", key=KEY))
    with pytest.raises(WebhookVerificationError):
        Verifier(KEY).verify(request.body + b" ", request.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(OLD_KEY).verify(request.body, request.headers)


def test_while_keys_change_both_verify():
    request = _request(Security(type="hmac", key=KEY, previous_key=OLD_KEY))
    for key in (KEY, OLD_KEY):
        Verifier(key).verify(request.body, request.headers)


def test_a_raw_key_is_its_own_bytes():
    request = _request(Security(type="hmac", key="a-raw-signing-secret"))
    Verifier(b64encode(b"a-raw-signing-secret").decode()).verify(request.body, request.headers)


def test_a_signature_joins_any_other_security():
    security = Security(type="basic", user="crm", password="pw12", hmac=HmacSigning(key=KEY))
    request = _request(security)
    assert request.headers["Authorization"].startswith("Basic ")
    Verifier(KEY).verify(request.body, request.headers)


def test_get_signs_path_and_query_as_they_are_sent():
    security = Security(type="api_key_param", param="k", key="s3cr3t", hmac=HmacSigning(key=KEY))
    request = _request(security, method="GET", timestamp=1_800_000_000, params={"who": "{{ from.name }}"})
    sent = request.url.removeprefix("https://crm.example")
    assert sent.startswith("/calls?a=1&event=call.completed")
    at = datetime.fromtimestamp(1_800_000_000, UTC)
    assert Verifier(KEY).sign(request.headers["webhook-id"], at, sent) == request.headers["webhook-signature"]


def test_while_keys_change_a_get_is_signed_with_both():
    request = _request(Security(type="hmac", key=KEY, previous_key=OLD_KEY), method="GET", timestamp=1_800_000_000)
    sent, at = request.url.removeprefix("https://crm.example"), datetime.fromtimestamp(1_800_000_000, UTC)
    made = [Verifier(key).sign(request.headers["webhook-id"], at, sent) for key in (KEY, OLD_KEY)]
    assert request.headers["webhook-signature"].split() == made


def test_the_secrets_of_a_request_are_named_so_that_no_log_shows_them():
    for security in (
        Security(type="basic", user="crm", password="s3cr3t"),
        Security(type="userpass_params", user="crm", password="s3cr3t"),
        Security(type="api_key_header", header="X", key="s3cr3t"),
        Security(type="api_key_param", param="k", key="s3cr3t"),
    ):
        assert "s3cr3t" in _request(security).secrets

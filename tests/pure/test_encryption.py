"""Encrypted webhooks: joserfc and a decryptor written by the RFCs alone open what was sealed, and nobody else does."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.errors import DecodeError
from joserfc.jwk import OctKey
from standardwebhooks import Webhook as Verifier

from sample_calls import answered_call, event, recording
from vonal.domain import security
from vonal.domain.delivery import Request
from vonal.domain.directory import HmacSigning, Security, Webhook
from vonal.domain.events import CallEvent
from vonal.webhooks import encryption, envelope

KEY = "an-api-key-of-32-characters-long"
SIGNING = security.new_signing_key()
ENCRYPTED = Security(type="encrypted", key=KEY)


def _request(
    told: CallEvent | None = None, *, sounds: dict[str, bytes | None] | None = None, **members: Any
) -> Request:
    hook = {"id": "log", "url": "https://crm.example/calls?own=1", "events": ["call.completed"], "security": ENCRYPTED}
    setting = envelope.Setting(timezone="UTC", base_url="https://pbx.example", sounds=sounds or {})
    return envelope.request(
        told or event(), Webhook(**{**hook, **members}), setting, attempt=1, timestamp=1_800_000_000
    )


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, strict_parsing=True))


def _derived(key: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"").derive(key.encode())


def _opened(token: str, key: str = KEY) -> Any:
    """As RFC 7516, 5.2 says, without a library for it."""
    header, wrapped, iv, ciphertext, tag = token.split(".")
    assert wrapped == ""
    assert json.loads(_bytes(header)) == {"alg": "dir", "enc": "A256GCM", "typ": "JWE", "cty": "application/json"}
    return json.loads(AESGCM(_derived(key)).decrypt(_bytes(iv), _bytes(ciphertext) + _bytes(tag), header.encode()))


def _bytes(text: str) -> bytes:
    assert "=" not in text
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_post_sends_the_envelope_as_a_token():
    told = event()
    request = _request(told)
    assert request.headers["Content-Type"] == "application/jose"
    assert request.headers["X-Vonal-Event"] == "call.completed"
    assert _opened(request.body.decode()) == json.loads(_request(told, security=Security()).body)


def test_post_as_a_form_has_one_field():
    told = event()
    request = _request(told, encoding="form")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    [(name, token)] = parse_qsl(request.body.decode(), strict_parsing=True)
    assert name == "payload"
    assert _opened(token) == json.loads(_request(told, security=Security()).body)


def test_get_has_one_parameter_beside_the_addresss_own():
    told = event()
    params = {"who": "{{ caller }}"}
    query = _query(_request(told, method="GET", params=params))
    assert set(query) == {"own", "payload"}
    readable = _query(_request(told, method="GET", params=params, security=Security()))
    assert {"own": "1", **_opened(query["payload"])} == readable
    assert readable["who"] == "+36305550123"


def test_own_parameters_of_post_stand_in_the_token_only():
    request = _request(params={"who": "{{ from.name }}"})
    assert request.url == "https://crm.example/calls?own=1"
    assert _opened(request.body.decode())["data"]["custom"] == {"who": "Kiss Anna"}


@pytest.mark.parametrize(
    "members",
    [{"method": "POST"}, {"method": "POST", "encoding": "form"}, {"method": "GET"}],
    ids=["json", "form", "get"],
)
def test_nothing_of_the_call_can_be_read(members: dict[str, str]):
    call = answered_call(custom={"deal": "D-4711"})
    request = _request(event(call=call), **members, fields="full", params={"p": "{{ from.name }}"})
    sent = f"{request.url} {request.body.decode()} {request.headers}"
    for text in ("36305550123", "3612345678", "Kiss", "D-4711", call.id, "inbound", KEY):
        assert text not in sent, text


def test_each_attempt_is_encrypted_anew():
    told = event()
    tokens = {_request(told).body for _ in range(100)}
    assert len({token.split(b".")[2] for token in tokens}) == 100


@given(st.binary(max_size=500), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_another_library_opens_what_was_sealed(plaintext: bytes, key: str):
    opened = jwe.decrypt_compact(encryption.sealed(plaintext, key), OctKey.import_key(_derived(key)))
    assert opened.plaintext == plaintext


def test_another_key_opens_nothing():
    token = _request().body.decode()
    with pytest.raises(InvalidTag):
        _opened(token, KEY + "x")
    with pytest.raises(DecodeError):
        jwe.decrypt_compact(token, OctKey.import_key(_derived(KEY + "x")))


@pytest.mark.parametrize("part", [0, 2, 3, 4])
def test_a_changed_token_does_not_open(part: int):
    parts = _request().body.decode().split(".")
    parts[part] = ("B" if parts[part][0] == "A" else "A") + parts[part][1:]
    with pytest.raises(DecodeError):
        jwe.decrypt_compact(".".join(parts), OctKey.import_key(_derived(KEY)))


def test_the_derived_key_is_that_of_rfc_5869_without_salt_and_info():
    # RFC 5869, appendix A.3: the first 32 of its 42 bytes.
    wanted = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
    assert bytes(encryption.content_key("\x0b" * 22).raw_value).hex() == wanted


def test_a_recording_comes_along_encrypted():
    told = event(call=answered_call(recordings=[recording(id="rec_a")]))
    sound = bytes(range(256)) * 4096
    request = _request(told, recording="inline", sounds={"rec_a": sound})
    [one] = _opened(request.body.decode())["data"]["recordings"]
    assert len(one["content_base64"]) == -(-len(sound) // 3) * 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_signature_covers_the_token(method: str):
    request = _request(method=method, security=Security(type="encrypted", key=KEY, hmac=HmacSigning(key=SIGNING)))
    sent = request.body.decode() or request.url.removeprefix("https://crm.example")
    made = Verifier(SIGNING).sign(request.headers["webhook-id"], datetime.fromtimestamp(1_800_000_000, UTC), sent)
    assert made == request.headers["webhook-signature"]
    assert "payload=" in sent or sent.count(".") == 4


@pytest.mark.parametrize(("key", "fault"), [("x" * 15, "at least 16"), (None, "is missing"), ("x" * 16, None)])
def test_a_key_to_encrypt_with_is_long_enough(key: str | None, fault: str | None):
    found = dict(security.faults(Security(type="encrypted", key=key)))
    assert (fault in found["key"]) if fault else found == {}


def test_a_fresh_signing_secret_is_standard_webhooks():
    one, other = security.new_signing_key(), security.new_signing_key()
    assert one != other
    assert len(security.signing_key(one)) == 32
    assert security.faults(Security(type="hmac", key=one, previous_key=other)) == []

"""A directory's YAML for tests: the contract's example, and ways to change a little of it."""

from copy import deepcopy
from typing import Any

import yaml
from msgspec import convert

from vonal.domain.directory import Directory

EXAMPLE = """\
trunks:
  - id: carrier
    address: 127.0.0.1:5080
    match: ["127.0.0.1:5081"]
tenants:
  - id: acme
    name: Acme Kft.
    country: HU
    language: hu
    timezone: Europe/Budapest
    extensions:
      - {number: "101", name: Kovács Anna, secret: phone-secret-1, email: anna@acme.example}
      - {number: "102", name: Nagy Béla, secret: phone-secret-2, contact: "sip:102@127.0.0.1:5090"}
    numbers:
      - {number: "+3612345678", name: Központ, ring: ["101", "102"], strategy: all, timeout: 25}
    outbound: {trunk: carrier, caller_id: "+3612345678", countries: [HU, AT], max_calls: 10}
    recording: {mode: all, format: mp3, retention_days: 365}
    api_users: [{user: crm, password: s3cret-pw, scopes: [call, recording, read]}]
    api_keys: [{name: crm, key: vk_test_0123456789abcdef, scopes: [call, recording, read]}]
    webhooks:
      - id: screen-pop
        url: https://crm.example/incoming
        method: GET
        events: [call.incoming]
        params: {api_key: abc, who: "{{ caller }}"}
        security: {type: none}
      - id: call-log
        url: https://crm.example/calls
        method: POST
        events: [call.completed]
        security: {type: hmac, key: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}
        fields: full
        recording: reference
"""


def example() -> dict[str, Any]:
    """The example as plain data, to be changed at will."""
    data: dict[str, Any] = yaml.safe_load(EXAMPLE)
    return data


def second_tenant(**changed: Any) -> dict[str, Any]:
    """A tenant beside the example's, with a 101 of its own."""
    tenant = {
        "id": "beta",
        "country": "HU",
        "extensions": [{"number": "101", "secret": "phone-secret-3"}],
        "numbers": [{"number": "+3617654321", "ring": ["101"]}],
    }
    return deepcopy({**tenant, **changed})


def directory(data: dict[str, Any] | None = None) -> Directory:
    """The data, or else the example, as a Directory."""
    return convert(example() if data is None else data, Directory)

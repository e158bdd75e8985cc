"""Whatever can be wrong with a webhook is told in the reader's language."""

from typing import Any

import pytest

from vonal.directory import check_webhook, webhook_form
from vonal.domain.directory import Directory, Tenant
from vonal.domain.errors import InvalidParts
from vonal.portal import webhook_draft as draft
from vonal.portal.webhook_reasons import said
from vonal.webhooks import check, guard

GOOD = {"url": "https://crm.example/calls", "events": ["call.completed"]}
TENANT = Tenant(id="acme", country="HU")
BAD: list[dict[str, Any]] = [
    {"id": "two words"},
    {"id": ""},
    {"events": []},
    {"url": "crm"},
    {"url": "https://me:secret@crm.example/"},
    {"timeout": "soon"},
    {"timeout": 99},
    {"url": f"https://crm.example/{'x' * 3000}"},
    {"params": {"a": "{{ nothing( }}"}},
    {"headers": {"Host": "me"}},
    {"headers": {"two words": "x"}},
    {"headers": {"X-A": "\u0001"}},
    {"fields": ["No Path"]},
    {"mask": {"call.id": "hide"}},
    {"method": "GET", "recording": "inline"},
    {"security": {"type": "basic"}},
    {"security": {"type": "hmac", "key": "short"}},
    {"security": {"type": "hmac", "key": "whsec_???"}},
    {"security": {"type": "encrypted", "key": "short"}},
    {"security": {"type": "hmac", "key": "•••"}},
    {"security": {"type": "smoke"}},
    {"tls": {"ca": "-----BEGIN CERTIFICATE-----\nnothing\n-----END"}},
    {"tls": {"key": "-----BEGIN PRIVATE KEY-----\nnothing\n-----END"}},
    {"url": "http://crm.example/", "tls": {"ca": "-----BEGIN CERTIFICATE-----\nnothing\n-----END"}},
    {"scope": {"extensions": ["999"]}},
    {"scope": {"numbers": ["+3611111111"]}},
    {"dialect": "sipgate", "events": ["call.answered", "call.ended"]},
    {"dialect": "sipgate", "events": ["call.incoming"], "security": {"type": "encrypted", "key": "k" * 32}},
]


def faults(sent: dict[str, Any]) -> list[tuple[str, str]]:
    try:
        webhook = webhook_form.read({**GOOD, **sent}, id_="x")
    except InvalidParts as fault:
        return list(fault.faults)
    found = [(path.partition(".")[2], reason) for path, reason in check_webhook.faults_of("w", webhook, TENANT)]
    whole = Directory(tenants=[Tenant(id="acme", country="HU", webhooks=[webhook])])
    return found + [(path.removeprefix("tenants[0].webhooks[0]."), reason) for path, reason in check.faults(whole)]


@pytest.mark.parametrize("sent", BAD, ids=str)
def test_every_fault_of_a_webhook_is_told_in_hungarian(sent: dict[str, Any]) -> None:
    form = {"security_type": [sent.get("security", {}).get("type", "none")]}
    told = [reason for reasons in draft.placed(faults(sent), form).values() for reason in reasons]
    assert told
    assert [reason for reason in told if said("hu", reason) in (reason, said("en", reason))] == []


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/", "http://crm.example/", "https://crm.example:22/", "https://localhost/", "x"]
)
def test_every_address_that_may_not_be_reached_is_told_in_hungarian(url: str) -> None:
    reason = guard.fault_of_url(url, ())
    assert reason
    assert said("hu", reason) not in (reason, said("en", reason))

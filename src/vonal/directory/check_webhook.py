"""Whether a webhook makes sense in its tenant.

Templates and headers are `vonal.webhooks.check`'s; where it may be sent is decided when it is sent.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from vonal.directory import check_tls
from vonal.directory.structure import Fault, did_you_mean
from vonal.domain import dialects, masks, numbers, security
from vonal.domain.directory import Tenant, Webhook, WebhookScope
from vonal.domain.events import SUBSCRIBABLE

_FIELD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


def faults_of(path: str, webhook: Webhook, tenant: Tenant) -> list[Fault]:
    """All faults of a webhook of this tenant; `path` is the webhook's."""
    return [(f"{path}.{where}", reason) for where, reason in _faults(webhook, tenant)]


def _faults(webhook: Webhook, tenant: Tenant) -> Iterator[Fault]:
    if reason := url_fault(webhook.url):
        yield "url", reason
    yield from _event_faults(webhook.events)
    if isinstance(webhook.fields, list):
        yield from _field_faults(webhook.fields)
    if webhook.method == "GET" and webhook.recording == "inline":
        yield "recording", "inline needs the method POST"
    if webhook.tls is not None:
        found = check_tls.faults(webhook.tls, webhook.url, datetime.now(UTC))
        yield from ((f"tls.{field}".removesuffix("."), reason) for field, reason in found)
    yield from dialects.faults(webhook)
    yield from _mask_faults(webhook)
    yield from ((f"security.{field}", reason) for field, reason in security.faults(webhook.security))
    yield from _scope_faults(webhook.scope, tenant)


def _event_faults(events: list[str]) -> Iterator[Fault]:
    for index, event in enumerate(events):
        if event not in SUBSCRIBABLE:
            yield f"events[{index}]", f"no event {event} is known{did_you_mean(event, SUBSCRIBABLE)}"
        elif event in events[:index]:
            yield f"events[{index}]", f"{event} stands twice"


def _field_faults(fields: list[str]) -> Iterator[Fault]:
    for index, field in enumerate(fields):
        if not _FIELD.fullmatch(field):
            yield f"fields[{index}]", "expected a path such as call.id or times.talk_s"


def _mask_faults(webhook: Webhook) -> Iterator[Fault]:
    for path in webhook.mask:
        if masks.maskable(path):
            continue
        if path in masks.FIXED:
            yield f'mask["{path}"]', "cannot be masked: ids, times and what happened always stay"
        else:
            yield f'mask["{path}"]', f"no text about people stands there{did_you_mean(path, masks.MASKABLE)}"


def url_fault(url: str) -> str | None:
    """What is wrong with the form of a webhook's address, or None."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected an address such as https://crm.example/calls"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"\s", url):
        return "expected an address such as https://crm.example/calls"
    if parts.username is not None or parts.password is not None:
        return "holds a user or password; put them into security, type basic"
    return None


def _scope_faults(scope: WebhookScope, tenant: Tenant) -> Iterator[Fault]:
    extensions = {one.number for one in tenant.extensions}
    for index, extension in enumerate(scope.extensions):
        if extension not in extensions:
            yield f"scope.extensions[{index}]", f"extension {extension} does not exist"
    own = {numbers.read(one.number, tenant.country) for one in tenant.numbers} if scope.numbers else set()
    for index, number in enumerate(scope.numbers):
        read = numbers.read(number, tenant.country)
        if read is None or read not in own:
            yield f"scope.numbers[{index}]", f"{number} is none of the tenant's numbers"

"""Faults of webhooks that `vonal apply` cannot know by itself: templates and headers. Pure."""

import re
from collections.abc import Iterator

from vonal.domain.directory import Directory, Webhook
from vonal.webhooks import template

FORBIDDEN_HEADERS = (
    "host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection", "keep-alive",
    "upgrade", "expect", "te", "trailer", "cookie", "user-agent",
)  # fmt: skip
FORBIDDEN_PREFIXES = ("webhook-", "x-vonal-", "proxy-")
MOST_PARAMS = 64
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def faults(directory: Directory) -> Iterator[tuple[str, str]]:
    """(path in the YAML, reason) of each."""
    for number, tenant in enumerate(directory.tenants):
        for index, webhook in enumerate(tenant.webhooks):
            for where, reason in _of(webhook):
                yield f"tenants[{number}].webhooks[{index}].{where}", reason


def header_fault(name: str, value: str) -> str | None:
    """Why a webhook may not send this header, or None."""
    lower = name.lower()
    if lower in FORBIDDEN_HEADERS or lower.startswith(FORBIDDEN_PREFIXES):
        return "is set by the service itself"
    if not _NAME.fullmatch(name):
        return "is no name of a header"
    return "holds control characters" if _CONTROL.search(value) else None


def _of(webhook: Webhook) -> Iterator[tuple[str, str]]:
    if len(webhook.params) > MOST_PARAMS:
        yield "params", f"more than {MOST_PARAMS}"
    for name, text in webhook.params.items():
        try:
            template.compiled(text)
        except template.InvalidTemplate as fault:
            yield f"params.{name}", str(fault)
    for name, value in webhook.headers.items():
        if reason := header_fault(name, value):
            yield f"headers.{name}", reason
    proving = webhook.security
    if proving.header and (reason := header_fault(proving.header, proving.key or "")):
        yield "security.header", reason

"""What a tenant reads when webhooks fail, work again or are disabled: subject and text, in its language. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vonal.delivery.words import WORDS, Words
from vonal.domain.directory import Tenant
from vonal.store.notices import Notice

MOST_COUNTED = 10_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def letter(tenant: Tenant, notices: Sequence[Notice], *, waiting: Mapping[str, int], where: str) -> tuple[str, str]:
    """(subject, text) that tells all of the notices.

    `waiting`: webhook → records that wait for it, counted up to MOST_COUNTED; `where`: the service's own address.
    """
    words = WORDS[tenant.language]
    name = tenant.name or tenant.id
    said = [_told(tenant, one, words, waiting) for one in notices]
    subject = words.titles[notices[0].type] if len(notices) == 1 else words.several
    subject = subject.format(webhook=notices[0].webhook_id, count=len(notices))
    text = "\n\n".join([words.greeting.format(tenant=name), *said, words.ending.format(tenant=tenant.id, where=where)])
    return _line(f"[Vonal] {name}: {subject}"), text + "\n"


def _told(tenant: Tenant, one: Notice, words: Words, waiting: Mapping[str, int]) -> str:
    webhook = one.webhook_id or ""
    host = next((urlsplit(hook.url).hostname for hook in tenant.webhooks if hook.id == webhook), None)
    count = waiting.get(webhook, 0)
    told = words.texts[one.type].format(
        webhook=f"{webhook} ({host})" if host else webhook,  # the whole address may hold a key
        at=_time(one.at, tenant.timezone, words),
        reason=_reason(one.detail, words),
        records=words.more_than.format(count=MOST_COUNTED) if count >= MOST_COUNTED else count,
        check=_check(one.detail, words),
    )
    return f"{words.titles[one.type].format(webhook=webhook)}\n\n{told}"


def _reason(detail: str, words: Words) -> str:
    if not detail:
        return ""
    if detail.isdigit():
        return " " + words.answered.format(status=detail)
    return " " + words.failed.format(error=words.errors.get(detail, detail))


def _check(detail: str, words: Words) -> str:
    if not detail.isdigit():
        return words.checks.get(detail, words.check_all)
    status = int(detail)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return words.checks["credentials"]
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.NOT_FOUND:
        return words.checks["address"]
    return words.checks["crm"]


def _time(ms: int, timezone: str, words: Words) -> str:
    at = _EPOCH + timedelta(milliseconds=ms)
    try:
        return f"{at.astimezone(ZoneInfo(timezone)):{words.time}} ({timezone})"
    except (ZoneInfoNotFoundError, ValueError):  # a machine without data about time zones
        return f"{at:{words.time}} (UTC)"


def _line(text: str) -> str:
    """Without what could end a mail's header."""
    return "".join(character if character.isprintable() else " " for character in text)

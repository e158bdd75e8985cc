"""Other systems' formats for our events: what a webhook with a `dialect` is sent in place of the envelope. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from vonal.domain.dialects import FOLLOWING, opening
from vonal.domain.directory import Webhook
from vonal.domain.events import CallEvent
from vonal.domain.security import signing_key
from vonal.webhooks.dialects import placetel, sipgate, zammad
from vonal.webhooks.dialects.words import Data, Fields

_FIELDS: dict[str, Callable[[CallEvent, Data, str], Fields | None]] = {
    "sipgate": sipgate.fields,
    "zammad": zammad.fields,
    "placetel": placetel.fields,
}


class NotTold(ValueError):
    """The dialect has no word for this event, or the call's beginning was not told to this webhook."""


def known(data: Data, webhook: Webhook, ringing: Mapping[str, Sequence[Mapping[str, Any]]]) -> Data:
    """The call's data, for a dialect with the people whom the called number rings: they are all told at once."""
    if webhook.dialect == "native":
        return data
    return {**data, "ringing": [dict(one) for one in ringing.get(data["to"]["number"] or "", ())]}


def content(event: CallEvent, data: Data, webhook: Webhook, base_url: str) -> tuple[str, bytes]:
    """(content type, body) that the webhook is sent of the event; `data` comes from `known`. Raises NotTold."""
    fields = None
    if event.type not in FOLLOWING or opening(event.data["call"]["direction"]) in webhook.events:
        fields = _FIELDS[webhook.dialect](event, data, urlsplit(base_url).hostname or "")
    if fields is None:
        raise NotTold(f"the dialect {webhook.dialect} does not tell this {event.type}")
    if webhook.dialect == "zammad" and webhook.encoding == "json":
        return "application/json", msgspec.json.encode({name: _plain(value) for name, value in fields if value})
    return "application/x-www-form-urlencoded", urlencode(list(_repeated(fields))).encode()


def signature(webhook: Webhook, body: bytes) -> dict[str, str]:
    """The header by which the dialect's own receivers know that the body is ours, beside `webhook-signature`."""
    signing = webhook.security
    key = signing.key if signing.type == "hmac" else signing.hmac and signing.hmac.key
    if webhook.dialect != "placetel" or not key:
        return {}
    return {placetel.SIGNATURE: placetel.signature(signing_key(key), body)}


def _repeated(fields: Fields) -> Iterable[tuple[str, str]]:
    for name, value in fields:
        if isinstance(value, str):
            yield name, value
        else:
            yield from ((f"{name}[]", one) for one in value)


def _plain(value: str | list[str]) -> str | list[str]:
    """Zammad on `user`: "This is always an array except if you're using JSON payloads"."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value

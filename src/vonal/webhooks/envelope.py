"""From a call event to the exact request that a webhook gets (contract, section 4). Pure.

GET carries flat parameters in the query. POST carries the envelope: as JSON, or, with the encoding `form`, the flat
parameters as form fields and the envelope in the field `payload`. What is null is left out of flat parameters.

With the security `encrypted` nothing of that can be read: GET carries the one parameter `payload`, POST the token as
its body, or as the one form field `payload`.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from vonal.domain.delivery import Request
from vonal.domain.directory import Webhook
from vonal.domain.events import RECORDS, CallEvent, iso
from vonal.webhooks import check, dialects, fields, mask, security, template
from vonal.webhooks.encryption import sealed

SCHEMA = "1.0"
USER_AGENT = f"Vonal/{version('vonal')}"
Data = dict[str, Any]
_encode = msgspec.json.Encoder().encode
# What may stand in a URL as it is; everything else a careless one holds is percent-encoded.
_URL_SAFE = "%/:;?@&=+$,!~*'()-._"
FLAT_OF_RECORDS = {
    "disposition": "call.disposition",
    "started_at": "times.started_at",
    "answered_at": "times.answered_at",
    "ended_at": "times.ended_at",
    "talk_s": "times.talk_s",
    "total_s": "times.total_s",
}


class Setting(Struct, frozen=True, kw_only=True):
    """What the envelope needs beside event and webhook.

    `sounds`: content by recording id, of a webhook with `recording: inline`; None says why there is none: too large.
    `mask_key`: the tenant's, for masks of kind hash. `ringing`: for dialects, by public number, whom it rings.
    `preview`: a note stands where sound would be.
    """

    timezone: str
    base_url: str
    sounds: Mapping[str, bytes | None] = {}
    mask_key: bytes = b""
    ringing: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    preview: bool = False


def request(event: CallEvent, webhook: Webhook, setting: Setting, *, attempt: int, timestamp: int) -> Request:
    """The request number `attempt` (from 1), made at `timestamp` (seconds).

    Raises InvalidTemplate, and NotTold when the webhook's dialect does not tell this event; both are ValueErrors.
    """
    known = dialects.known(event.data, webhook, setting.ringing)
    data = with_recordings(mask.masked(known, webhook.mask, setting.mask_key), webhook, setting)
    proof = security.prove(webhook.security)
    url, content_type, body = _told(event, data, webhook, setting, proof)
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "X-Vonal-Event": event.type,
        "X-Vonal-Attempt": str(attempt),
        "webhook-id": event.id,
        "webhook-timestamp": str(timestamp),
        **{name: value for name, value in webhook.headers.items() if check.header_fault(name, value) is None},
        **proof.headers,
    }
    if content_type:
        headers["Content-Type"] = content_type
    payload = body if webhook.method == "POST" else _path_and_query(url).encode()
    signed = security.signature(webhook.security, event_id=event.id, timestamp=timestamp, payload=payload)
    if signed:
        headers["webhook-signature"] = signed
    headers |= dialects.signature(webhook, body)
    return Request(
        method=webhook.method,
        url=url,
        headers=headers,
        body=body,
        timeout_s=webhook.timeout,
        secrets=proof.secrets,
        tls=webhook.tls,
    )


def _told(
    event: CallEvent, data: Data, webhook: Webhook, setting: Setting, proof: security.Proof
) -> tuple[str, str | None, bytes]:
    """(address, content type, body)."""
    params = rendered(event, data, webhook, setting)
    if webhook.dialect != "native":
        url = _url(webhook.url, {**params, **proof.params})
        return url, *dialects.content(event, data, webhook, setting.base_url)
    if webhook.method == "GET":
        readable = {**flat_params(event, data, webhook), **params}
        return _url(webhook.url, {**_query(readable, webhook), **proof.params}), None, b""
    url = _url(webhook.url, {**(params if _key(webhook) is None else {}), **proof.params})
    envelope = _encode(enveloped(event, data, webhook, setting, params=params))
    flat = flat_params(event, data, webhook) if webhook.encoding == "form" else {}
    return url, *_encoded(envelope, flat, webhook)


def enveloped(
    event: CallEvent, data: Data, webhook: Webhook, setting: Setting, *, params: Mapping[str, str]
) -> dict[str, Any]:
    """The envelope; the webhook's own parameters stand in `custom`."""
    chosen = fields.select(data, webhook.fields)
    if params:
        chosen = {**chosen, "custom": {**chosen.get("custom", {}), **params}}
    return {
        "id": event.id,
        "type": event.type,
        "timestamp": iso(event.at),
        "schema": SCHEMA,
        "sequence": event.sequence,
        "tenant": {"id": event.tenant_id, "timezone": setting.timezone},
        "data": chosen,
    }


def flat_params(event: CallEvent, data: Data, webhook: Webhook) -> dict[str, str]:
    """The flat parameters; with a list of `fields`, event, event_id, at and these paths by their own names."""
    values: dict[str, Any] = {"event": event.type, "event_id": event.id}
    if isinstance(webhook.fields, list):
        values |= {"at": iso(event.at), **{path: fields.at(data, path) for path in webhook.fields}}
    else:
        values |= flat_values(event, data)
        if event.type not in RECORDS:
            values = {name: value for name, value in values.items() if name not in _ONLY_RECORDS}
    if webhook.recording == "none":
        values.pop("recording_id", None)
    return {name: _text(value) for name, value in values.items() if value is not None}


def flat_values(event: CallEvent, data: Data) -> dict[str, Any]:
    """Every flat value of the call, by its parameter's name; what is unknown is None."""
    agent = data["agent"] or {}
    ready = [one["id"] for one in data["recordings"] if one["state"] == "ready"]
    return {
        "event": event.type,
        "event_id": event.id,
        "call_id": data["call"]["id"],
        "direction": data["call"]["direction"],
        "caller": data["from"]["number"] or data["from"]["raw"] or None,
        "called": data["to"]["number"] or data["to"]["raw"] or None,
        "extension": agent.get("extension"),
        "at": iso(event.at),
        **{name: fields.at(data, path) for name, path in FLAT_OF_RECORDS.items()},
        "recording_id": ready[0] if ready else None,
    }


_ONLY_RECORDS = frozenset({*FLAT_OF_RECORDS, "recording_id"})


def rendered(event: CallEvent, data: Data, webhook: Webhook, setting: Setting) -> dict[str, str]:
    """The webhook's own parameters, filled in. Templates know the flat names and the objects of `data`."""
    if not webhook.params:
        return {}
    values = {
        **data,
        **flat_values(event, data),
        "sequence": event.sequence,
        "tenant": {"id": event.tenant_id, "timezone": setting.timezone},
    }
    return {name: template.render(text, values) for name, text in webhook.params.items()}


def with_recordings(data: Data, webhook: Webhook, setting: Setting) -> Data:
    """A call event's data, with its recordings as the webhook wants them."""
    if not data.get("recordings"):
        return data
    return {**data, "recordings": [_recording(one, webhook, setting) for one in data["recordings"]]}


def _recording(one: Data, webhook: Webhook, setting: Setting) -> Data:
    if webhook.recording == "none" or one["state"] != "ready":
        return one
    shown = {**one, "url": f"{setting.base_url}/api/v1/recordings/{one['id']}"}
    if webhook.recording == "inline" and setting.preview:
        return {**shown, "inline_omitted": "preview"}
    if webhook.recording == "inline" and one["id"] in setting.sounds:
        sound = setting.sounds[one["id"]]
        shown |= {"inline_omitted": "too_large"} if sound is None else {"content_base64": b64encode(sound).decode()}
    return shown


def _key(webhook: Webhook) -> str | None:
    """What the request is to be encrypted with, if it is."""
    return webhook.security.key or "" if webhook.security.type == "encrypted" else None


def _query(readable: dict[str, str], webhook: Webhook) -> dict[str, str]:
    key = _key(webhook)
    return readable if key is None else {"payload": sealed(_encode(readable), key)}


def _encoded(envelope: bytes, flat: Mapping[str, str], webhook: Webhook) -> tuple[str, bytes]:
    key = _key(webhook)
    if key is None and webhook.encoding != "form":
        return "application/json", envelope
    payload = envelope.decode() if key is None else sealed(envelope, key)
    if webhook.encoding == "form":
        form = urlencode({**(flat if key is None else {}), "payload": payload})
        return "application/x-www-form-urlencoded", form.encode()
    return "application/jose", payload.encode()


def _url(url: str, params: Mapping[str, str]) -> str:
    own, has_query = _own_url(url)
    return f"{own}{'&' if has_query else '?'}{urlencode(params, quote_via=quote)}" if params else own


@lru_cache(maxsize=4096)
def _own_url(url: str) -> tuple[str, bool]:
    """The webhook's address as it goes on the wire, and whether it has a query."""
    parts = urlsplit(url)
    path, query = quote(parts.path, safe=_URL_SAFE) or "/", quote(parts.query, safe=_URL_SAFE)
    return urlunsplit((parts.scheme, _host(parts.netloc), path, query, "")), bool(query)


def _host(netloc: str) -> str:
    return netloc if netloc.isascii() else netloc.encode("idna").decode()


def _path_and_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()

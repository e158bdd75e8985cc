"""From a call event to the exact request that a webhook gets (contract, section 4). Pure.

GET carries flat parameters in the query. POST carries the envelope: as JSON, or, with the encoding `form`, the flat
parameters as form fields and the envelope in the field `payload`. What is null is left out of flat parameters.
"""

from base64 import b64encode
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from vonal.domain.delivery import Request
from vonal.domain.directory import Webhook
from vonal.domain.events import RECORDS, CallEvent, iso
from vonal.webhooks import check, fields, security, template

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
    `preview`: a note stands where sound would be.
    """

    timezone: str
    base_url: str
    sounds: Mapping[str, bytes | None] = {}
    preview: bool = False


def request(event: CallEvent, webhook: Webhook, setting: Setting, *, attempt: int, timestamp: int) -> Request:
    """The request number `attempt` (from 1), made at `timestamp` (seconds). Raises InvalidTemplate."""
    data = _with_recordings(event.data, webhook, setting)
    flat = flat_params(event, data, webhook)
    params = rendered(event, data, webhook, setting)
    proof = security.prove(webhook.security)
    if webhook.method == "GET":
        url, content_type, body = _url(webhook.url, {**flat, **params, **proof.params}), None, b""
    else:
        url = _url(webhook.url, {**params, **proof.params})
        envelope = _encode(enveloped(event, data, webhook, setting, params=params))
        content_type, body = _encoded(envelope, flat, webhook)
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
    return Request(
        method=webhook.method,
        url=url,
        headers=headers,
        body=body,
        timeout_s=webhook.timeout,
        secrets=proof.secrets,
    )


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


def _with_recordings(data: Data, webhook: Webhook, setting: Setting) -> Data:
    if not data["recordings"]:
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


def _encoded(envelope: bytes, flat: Mapping[str, str], webhook: Webhook) -> tuple[str, bytes]:
    if webhook.encoding == "json":
        return "application/json", envelope
    form = urlencode({**flat, "payload": envelope.decode()})
    return "application/x-www-form-urlencoded", form.encode()


def _url(url: str, params: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    own = [quote(parts.query, safe=_URL_SAFE)] if parts.query else []
    added = [urlencode(params, quote_via=quote)] if params else []
    path = quote(parts.path, safe=_URL_SAFE) or "/"
    return urlunsplit((parts.scheme, _host(parts.netloc), path, "&".join(own + added), ""))


def _host(netloc: str) -> str:
    return netloc if netloc.isascii() else netloc.encode("idna").decode()


def _path_and_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()

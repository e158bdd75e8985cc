"""A request as it may be shown: exactly what goes over the wire, but for the secrets in it. Pure."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, quote_plus, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from vonal.domain.delivery import Request
from vonal.domain.secrets import HIDDEN
from vonal.webhooks.dialects import placetel

SIGNATURES = ("webhook-signature", placetel.SIGNATURE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Shown(Struct, frozen=True, kw_only=True):
    """A request. `body` is text, `body_base64` the same in BASE64; `bytes` its true length; `masked` names secrets."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    body_base64: str
    bytes: int
    masked: list[str]


Disguised = TypeVar("Disguised", bound=Shown)


def shown(request: Request, secrets: Mapping[str, str]) -> Shown:
    """The request with `•••` where a secret stood, in whatever encoding. `secrets`: by their names."""
    body = request.body.decode("utf-8", "replace")
    headers = on_the_wire(request)
    whole = "\n".join([request.url, *headers.values(), body])
    named = {name: [form for form in forms(secret) if form in whole] for name, secret in secrets.items()}
    # What security makes of them, such as Basic's token.
    made = [form for secret in request.secrets for form in forms(secret) if form in whole]
    hidden = sorted({*made, *(form for found in named.values() for form in found)}, key=len, reverse=True)
    masked = [name for name, found in named.items() if found]
    if made and not masked:
        masked = [name for name, secret in secrets.items() if secret in request.secrets]
    disguised = _without(body, hidden)
    return Shown(
        method=request.method,
        url=_without(request.url, hidden),
        headers={name: _without(value, hidden) for name, value in headers.items()},
        body=disguised,
        body_base64=b64encode(request.body if disguised == body else disguised.encode()).decode(),
        bytes=len(request.body),
        masked=masked,
    )


def unsigned(request: Disguised) -> Disguised:
    """The same without its signatures."""
    found = [name for name in request.headers if name in SIGNATURES]
    headers = {**request.headers, **dict.fromkeys(found, HIDDEN)}
    return replace(request, headers=headers, masked=[*request.masked, *found])


def on_the_wire(request: Request) -> dict[str, str]:
    """All headers that are sent, with those that the HTTP client adds by itself."""
    parts = urlsplit(request.url)
    default = parts.port == _DEFAULT_PORTS.get(parts.scheme)
    host = parts.netloc.rpartition(":")[0] if default else parts.netloc
    length = {"Content-Length": str(len(request.body))} if request.method == "POST" else {}
    return {"Host": host, **request.headers, **length}


def forms(secret: str) -> list[str]:
    """How a secret may stand in a request: as it is, percent-encoded, in JSON, in BASE64."""
    raw = secret.encode()
    made = [secret, quote(secret), quote(secret, safe=""), quote_plus(secret), b64encode(raw).decode()]
    made += [json.dumps(secret, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)]
    return [one for one in dict.fromkeys(made) if one]


def _without(text: str, hidden: list[str]) -> str:
    for form in hidden:
        text = text.replace(form, HIDDEN)
    return text

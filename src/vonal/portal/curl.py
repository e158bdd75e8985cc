"""Command lines to copy: each kind of request, with each form that a credential may have. Pure."""

import shlex
from typing import Literal, get_args
from urllib.parse import quote, urlencode

from msgspec import Struct

from vonal.domain.principal import CredentialKind

Form = Literal["header", "bearer", "key_param", "basic", "password_param"]
FORMS: tuple[Form, ...] = get_args(Form)
OF_KIND: dict[CredentialKind, tuple[Form, ...]] = {
    "key": ("header", "bearer", "key_param"),
    "user": ("basic", "password_param"),
}
YOUR_KEY, YOUR_USER, YOUR_PASSWORD = "YOUR-KEY", "YOUR-USER", "YOUR-PASSWORD"


class Shown(Struct, frozen=True, kw_only=True):
    """What the lines speak of: a phone and a number of the reader's own, so that they work as they stand."""

    base_url: str
    extension: str
    number: str
    recording_id: str
    form: Form = "header"
    user: str = YOUR_USER
    secret: str = ""


def click_to_call(shown: Shown) -> str:
    """Rings the extension, then the number."""
    return _line(shown, "click-to-call", {"extension": shown.extension, "number": shown.number})


def calls(shown: Shown) -> str:
    """The last calls."""
    return _line(shown, "calls", {"limit": "10"})


def recording(shown: Shown) -> str:
    """A recording, into a file."""
    return _line(shown, "recording", {"id": shown.recording_id}, more="--output recording.mp3")


def _line(shown: Shown, path: str, params: dict[str, str], *, more: str = "") -> str:
    options, extra = _proof(shown)
    url = f"{shown.base_url.rstrip('/')}/api/v1/{path}?{urlencode({**params, **extra}, quote_via=quote)}"
    return " ".join(one for one in ("curl", "--fail-with-body", more, *options, shlex.quote(url)) if one)


def _proof(shown: Shown) -> tuple[list[str], dict[str, str]]:
    """Options of curl, and parameters, that say who asks."""
    key, password = shown.secret or YOUR_KEY, shown.secret or YOUR_PASSWORD
    match shown.form:
        case "header":
            return ["--header", shlex.quote(f"X-API-Key: {key}")], {}
        case "bearer":
            return ["--header", shlex.quote(f"Authorization: Bearer {key}")], {}
        case "key_param":
            return [], {"api_key": key}
        case "basic":
            return ["--user", shlex.quote(f"{shown.user}:{password}")], {}
        case _:
            return [], {"user": shown.user, "password": password}

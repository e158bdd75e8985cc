"""What the answer to sipgate's `newCall` asks for: `<Response onAnswer="URL" onHangup="URL"/>`. Pure.

The answer is a stranger's text: it is read by a parser that knows no DOCTYPE, hence no entities of its own, and only as
much of it as we keep of an answer (2 kB). Its addresses may be those of web servers only; the guard looks at where the
connection goes, as with every webhook.
"""

import re
from urllib.parse import SplitResult, urlsplit
from xml.parsers import expat

from msgspec import Struct
from msgspec.structs import replace

from vonal.domain.directory import Security, Webhook

LONGEST_URL = 1024
MOST_VERBS = 16
_URL = re.compile(r"https?://[\x21-\x7e]+", re.ASCII)
_VERB = re.compile(r"[A-Za-z]{1,20}")


class Asked(Struct, frozen=True, kw_only=True):
    """Where the call's answer and its end are to be told; `unsupported`: what else was asked, which is not done."""

    on_answer: str | None = None
    on_hangup: str | None = None
    unsupported: tuple[str, ...] = ()

    def url(self, event_type: str) -> str | None:
        """Where the event goes, or None when nobody asked for it."""
        return {"call.answered": self.on_answer, "call.ended": self.on_hangup}.get(event_type)


def read(answer: str) -> Asked:
    """What the answer asks for; nothing when it is no such XML. Names are read without regard to case.

    sipgate's own library wrote `onHangUp` for years.
    """
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reading.doctype
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    # We keep answers with what cannot be printed replaced, a carriage return too.
    text = answer.replace("\ufffd", "").lstrip("\ufeff \t\n")
    try:
        parser.Parse(text, False)  # not the last piece: what we cut off is missing
    except (expat.ExpatError, ValueError, UnicodeError):
        return Asked()
    return reading.asked()


def addressed(webhook: Webhook, url: str) -> Webhook:
    """The webhook as it is sent to the address that was asked for.

    Its credentials (a certificate is one), headers and parameters are for its own server, and go nowhere else;
    signatures go along.
    """
    if _origin(urlsplit(url)) == _origin(urlsplit(webhook.url)):
        return replace(webhook, url=url)
    security = webhook.security
    if security.type != "hmac":
        security = Security(hmac=security.hmac)
    return replace(webhook, url=url, security=security, headers={}, params={}, tls=None)


class _Reading:
    def __init__(self) -> None:
        self._depth = 0
        self._root = False
        self._found: dict[str, str] = {}
        self._verbs: list[str] = []

    def doctype(self, *_: object) -> None:
        raise ValueError("a DOCTYPE has no place in an answer")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and name == "Response":
            self._root = True
            self._found = {one.lower(): value for one, value in attributes.items()}
        elif self._depth == 1 and self._root and len(self._verbs) < MOST_VERBS and _VERB.fullmatch(name):
            self._verbs.append(name)
        self._depth += 1

    def end(self, _name: str) -> None:
        self._depth -= 1

    def asked(self) -> Asked:
        wanted = {name: self._found[name] for name in ("onanswer", "onhangup") if self._found.get(name)}
        broken = [f"{name}: not an address" for name, url in wanted.items() if not _usable(url)]
        good = {name: url for name, url in wanted.items() if _usable(url)}
        return Asked(
            on_answer=good.get("onanswer"),
            on_hangup=good.get("onhangup"),
            unsupported=(*dict.fromkeys(self._verbs), *broken),
        )


def _usable(url: str) -> bool:
    if len(url) > LONGEST_URL or not _URL.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and parts.username is None and parts.password is None
    except ValueError:
        return False


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)

"""A request that would be sent, laid out for a reader: the address in its parts, the body in lines. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from vonal.domain.events import TEST
from vonal.webhooks.trial import Preview

Pairs = list[tuple[str, str]]
LONGEST_PRETTY = 200_000  # characters; a longer body is shown as it is


@dataclass(frozen=True, kw_only=True)
class RequestView:
    """`address` is the URL without its query, `query` its parameters as sent, `decoded` the same to be read.

    `pretty` is the body in lines, `form` its fields if it is a form; both say nothing about a body of another kind.
    """

    preview: Preview
    address: str
    query: list[str]
    decoded: Pairs
    form: Pairs
    pretty: str
    customer: str
    at: datetime | None

    @property
    def is_test(self) -> bool:
        """Whether it tells of no call at all."""
        return self.preview.event == TEST


def of(preview: Preview, *, customer: str = "", at: datetime | None = None) -> RequestView:
    """The request; `customer` and `at` say of which call it is made."""
    parts = urlsplit(preview.url)
    kind = next((value for name, value in preview.headers.items() if name.lower() == "content-type"), "")
    form = _pairs(preview.body) if kind == "application/x-www-form-urlencoded" else []
    return RequestView(
        preview=preview,
        address=preview.url.partition("?")[0],
        query=parts.query.split("&") if parts.query else [],
        decoded=_pairs(parts.query),
        form=[(name, _pretty(value)) for name, value in form],
        pretty=_pretty(preview.body) if kind == "application/json" else "",
        customer=customer,
        at=at,
    )


def _pairs(text: str) -> Pairs:
    return parse_qsl(text, keep_blank_values=True)


def _pretty(text: str) -> str:
    """JSON in lines; any other text as it is."""
    if not text.startswith(("{", "[")) or len(text) > LONGEST_PRETTY:
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text

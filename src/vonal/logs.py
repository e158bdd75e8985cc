"""Logs: one line per event, as text for people or JSON for machines, and never a password or a key in it.

A secret is known by the name it is logged under, or by its look inside a text (a URL's parameter, a key's prefix).
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

HIDDEN = "…"
_NAMES = re.compile(
    r"(?:^|_)(?:password|passwd|secret|token|authorization|cookie|credentials?|(?:api_)?key)$", re.IGNORECASE
)
_IN_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(password|passwd|secret|token|api_?key|key)=[^&\s\"']+"), rf"\1={HIDDEN}"),
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{HIDDEN}@"),
    (re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(vk_|whsec_)[\w+/=-]+"), rf"\1{HIDDEN}"),
)


def configure(style: Literal["text", "json"] | str = "text", *, stream: TextIO | None = None) -> None:  # noqa: PYI051
    """Logs to `stream`, or standard error. Also takes in what libraries log, from warnings on."""
    stream = stream or sys.stderr
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks become plain text here; a renderer's own would show local variables, and so secrets.
    last: list[Processor] = [structlog.processors.format_exc_info, hide_secrets]
    structlog.configure(
        processors=[*first, *last, _renderer(style, stream)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    theirs = logging.StreamHandler(stream)
    theirs.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, _renderer(style, stream)],
        )
    )
    logging.basicConfig(handlers=[theirs], level=logging.WARNING, force=True)


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: whatever is, or looks like, a secret is no longer in the event."""
    return {name: HIDDEN if _NAMES.search(name) and value else _hidden(value) for name, value in event.items()}


def without_secrets(text: str) -> str:
    """The text, with what looks like a secret hidden."""
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, MutableMapping):
        return hide_secrets(None, "", dict(value))
    if isinstance(value, list | tuple):
        return [_hidden(one) for one in value]
    return value if isinstance(value, int | float | None) else without_secrets(str(value))


def _renderer(style: str, stream: TextIO) -> Processor:
    if style == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )

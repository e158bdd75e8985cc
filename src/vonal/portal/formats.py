"""How times, lengths and phone numbers are written in a page, in the reader's language and the tenant's time zone."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import phonenumbers
from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_decimal

from vonal.domain.users import Language

NOTHING = "\N{EN DASH}"


def filters(language: Language) -> Mapping[str, Callable[..., Any]]:
    """The templates' filters."""
    return {
        "when": partial(when, language=language),
        "length": length,
        "decimal": partial(decimal, language=language),
        "phone": phone,
        "country": partial(country, language=language),
    }


def when(at: datetime | int | None, zone: str, style: str = "medium", *, language: Language) -> str:
    """A moment (ms UTC or a datetime) as people of the zone write it; `style` is Babel's."""
    if at is None:
        return NOTHING
    moment = datetime.fromtimestamp(at / 1000, UTC) if isinstance(at, int) else at
    return format_datetime(moment, style, tzinfo=ZoneInfo(zone), locale=language)


def country(code: str, *, language: Language) -> str:
    """The country (ISO 3166) as the language calls it."""
    return str(Locale(language).territories.get(code, code))


def length(seconds: float | None) -> str:
    """`4:03`, or `1:04:03`."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def decimal(number: float, *, language: Language) -> str:
    """With the language's separators."""
    return format_decimal(number, locale=language)


def phone(number: str | None) -> str:
    """`+36 30 555 0123`; what is no international number stays as it is."""
    if not number or not number.startswith("+"):
        return number or ""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return number

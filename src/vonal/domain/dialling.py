"""Where a tenant's phones may call, as data that two executors read alike: `re` here, REGEX() in the dialplan.

Everything is an allow-list: a country must be named, and the number must be of a kind that costs what a call there
costs. Satellite and other worldwide codes belong to no country and so can never be named. Patterns come from
libphonenumber's metadata, written in the part of the syntax that POSIX and Python share. They are matched against a
national number with its length in front, such as `9:301234567`, because the metadata limits lengths beside patterns.
"""

import re
from collections.abc import Container, Iterable
from functools import cache
from typing import Literal

import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc

from vonal.domain import numbers
from vonal.domain.errors import DestinationForbidden

Refusal = Literal["destination_forbidden", "invalid_number"]

# libphonenumber's own order (number_type): the first kind that matches is the number's kind.
_KINDS: tuple[tuple[bool, str], ...] = (
    (False, "premium_rate"),
    (True, "toll_free"),
    (False, "shared_cost"),
    (True, "voip"),
    (False, "personal_number"),
    (False, "pager"),
    (True, "uan"),
    (True, "voicemail"),
    (True, "fixed_line"),
    (True, "mobile"),
)
_E164 = re.compile(r"\+[1-9][0-9]{4,14}")
_EMERGENCY_BY_DEFAULT = "112|911"  # what GSM phones know everywhere; for the few countries without metadata


class Region(Struct, frozen=True):
    """One country within a country code.

    `leading`: pattern of the numbers that are its own, whatever their kind; without it, they are those of its `kinds`.
    `kinds`: (may be dialled, pattern) pairs; the first that matches decides.
    """

    country: str
    leading: str | None
    kinds: tuple[tuple[bool, str], ...]


class Reading(Struct, frozen=True):
    """How digits dialled in a country become E.164. `national_number` matches `LENGTH:DIGITS` of a whole number."""

    code: str
    international_prefix: str
    national_prefix: str
    national_number: str


def decide(number: str, countries: Iterable[str]) -> Refusal | None:
    """Whether `number` (E.164) may be called where `countries` (ISO 3166) are allowed: None, or why not."""
    if not _E164.fullmatch(number):
        return "invalid_number"
    allowed = frozenset(countries)
    for code in {country_code(country) for country in allowed} - {None}:
        if code and number.startswith(f"+{code}"):
            return None if dialable_in(code, number[1 + len(code) :]) in allowed else "destination_forbidden"
    return "destination_forbidden"


def resolve(text: str, *, country: str, extensions: Container[str], countries: Iterable[str]) -> str:
    """What `text` is to be dialled as: an extension, an emergency number, or E.164.

    Raises InvalidNumber or DestinationForbidden, as the dialplan would refuse it.
    """
    typed = text.strip()
    if typed in extensions or is_emergency(typed, country):
        return typed
    number = numbers.require(typed, country)
    if decide(number, countries):
        raise DestinationForbidden("This number lies outside what the tenant may call.", param="number")
    return number


def country_code(country: str) -> str | None:
    """The country code of an ISO 3166 country, without plus; None when it has none."""
    code = phonenumbers.country_code_for_region(country)
    return str(code) if code else None


@cache
def regions(code: str) -> tuple[Region, ...]:
    """The countries that share a country code, in the order in which a number is to be tried against them."""
    return tuple(_region(country) for country in phonenumbers.region_codes_for_country_code(int(code)))


def dialable_in(code: str, national: str) -> str | None:
    """The country of a national number under `code`; None when there is none, or the number's kind is refused."""
    subject = f"{len(national)}:{national}"
    for region in regions(code):
        if region.leading and not _matches(region.leading, subject):
            continue
        kind = next((allowed for allowed, pattern in region.kinds if _matches(pattern, subject)), None)
        if kind is not None or region.leading:
            return region.country if kind else None
    return None


def is_emergency(text: str, country: str) -> bool:
    """Whether `text` is an emergency number of `country`, dialled as it is and never refused."""
    return bool(re.fullmatch(emergency_pattern(country), text))


@cache
def emergency_pattern(country: str) -> str:
    """The emergency numbers of `country`, as one pattern."""
    metadata = PhoneMetadata.short_metadata_for_region(country)
    emergency = metadata.emergency if metadata else None
    return _shared(emergency.national_number_pattern if emergency else None) or _EMERGENCY_BY_DEFAULT


@cache
def reading(country: str) -> Reading:
    """How `country` dials. Rare forms (carrier selection, rewritten area codes) are not read, hence refused."""
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None:
        raise ValueError(f"{country} is not a country with telephones")
    plain = metadata.international_prefix or ""
    return Reading(
        code=str(metadata.country_code),
        international_prefix=plain if plain.isdigit() else (metadata.preferred_international_prefix or ""),
        national_prefix=metadata.national_prefix or "",
        national_number=_with_length(metadata.general_desc) or "",
    )


def _region(country: str) -> Region:
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None:
        raise LookupError(f"libphonenumber names {country} without describing it")
    found = [(allowed, _with_length(getattr(metadata, name))) for allowed, name in _KINDS]
    digits = _shared(metadata.leading_digits)
    leading = f"[0-9]+:({digits})[0-9]*" if digits else None
    return Region(country, leading, tuple((allowed, pattern) for allowed, pattern in found if pattern))


def _with_length(desc: PhoneNumberDesc | None) -> str | None:
    if desc is None or not (pattern := _shared(desc.national_number_pattern)):
        return None
    lengths = "|".join(map(str, desc.possible_length)) or "[0-9]+"
    return f"({lengths}):({pattern})"


def _shared(pattern: str | None) -> str | None:
    """The pattern without what POSIX extended regular expressions lack."""
    if pattern is None:
        return None
    inside = re.sub(r"\[[^]]*\]", lambda found: found[0].replace(r"\d", "0-9"), pattern)
    return inside.replace("(?:", "(").replace(r"\d", "[0-9]")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(pattern: str, subject: str) -> bool:
    return _compiled(pattern).fullmatch(subject) is not None

"""Phone numbers as people type and carriers send them, read into E.164 by libphonenumber's metadata.

Nothing here raises on bad input, however bad, but `require`, which raises InvalidNumber.
"""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat

from vonal.domain.errors import InvalidNumber

# Digits with the separators people use. Letters are refused: libphonenumber would dial 1-800-FLOWERS by its keypad.
_TYPED = re.compile(r"\+?[0-9 ()./\u00a0\u2010-\u2015-]{2,40}")
_DIGITS = re.compile(r"[0-9]{2,40}")
_ANONYMOUS = frozenset({"", "anonymous", "restricted", "unavailable", "private", "unknown"})


def read(text: str, country: str) -> str | None:
    """The E.164 form of what somebody in `country` (ISO 3166) typed, or None when that is no valid phone number.

    Digits that begin with the country's own code are read as if the plus had been lost on the way, where that is valid:
    `4915112345678` in Germany is a mobile phone, though by the book it could also be a number in the town of 04915.
    """
    typed = text.strip()
    if not _TYPED.fullmatch(typed):
        return None
    code = str(phonenumbers.country_code_for_region(country))
    lost_plus = _e164(f"+{typed}", country) if typed.startswith(code) else None
    return lost_plus or _e164(typed, country)


def require(text: str, country: str, *, param: str = "number") -> str:
    """Like `read`, but raises InvalidNumber, charged to the request parameter `param`."""
    if (number := read(text, country)) is None:
        raise InvalidNumber("The number cannot be read; give it as +36301234567 or as dialled at home.", param=param)
    return number


def read_caller(text: str, country: str) -> str | None:
    """The E.164 form of a caller id from a trunk: as `read`, and also international digits that lack their plus."""
    if (number := read(text, country)) is not None:
        return number
    digits = text.strip()
    return _e164(f"+{digits}", country) if _DIGITS.fullmatch(digits) else None


def is_anonymous(text: str) -> bool:
    """Whether a caller id says that the caller does not want to be known (RFC 3323, and what carriers write)."""
    return text.strip().lower() in _ANONYMOUS


def inbound_forms(number: str) -> tuple[str, ...]:
    """How trunks send `number` (E.164): with a plus, bare, after 00, and national. The national form comes last."""
    digits = number.removeprefix("+")
    return (f"+{digits}", digits, f"00{digits}", _national(number))


def _national(number: str) -> str:
    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    metadata = PhoneMetadata.metadata_for_region(region, None)
    prefix = (metadata.national_prefix if metadata else None) or ""
    return prefix + phonenumbers.national_significant_number(parsed)


@lru_cache(maxsize=4096)
def _e164(text: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)

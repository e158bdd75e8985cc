"""The dialling rule allows what libphonenumber says is in an allowed country and costs what a call there costs."""

import re

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from vonal.domain import dialling
from vonal.domain.errors import DestinationForbidden, InvalidNumber

COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)
REFUSED = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER,
    PhoneNumberType.PAGER,
    PhoneNumberType.UNKNOWN,
}


@st.composite
def near_real_numbers(draw: st.DrawFn) -> str:
    """An example of some kind of number of some country, perhaps with digits changed, as E.164."""
    country = draw(st.sampled_from(COUNTRIES))
    example = phonenumbers.example_number_for_type(country, draw(st.integers(0, 10)))
    if example is None:
        example = phonenumbers.example_number(country)
    number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    at = draw(st.integers(2, len(number)))
    tail = draw(st.text("0123456789", min_size=len(number) - at, max_size=len(number) - at))
    return number[:at] + tail


def _whole(text: str) -> phonenumbers.PhoneNumber | None:
    """The number, unless reading drops digits of it (a national prefix after the country code)."""
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == text else None


@settings(max_examples=1500)
@given(near_real_numbers())
def test_the_rule_agrees_with_libphonenumber(text: str):
    if (number := _whole(text)) is None:
        return
    country = phonenumbers.region_code_for_number(number)
    dialable = country in COUNTRIES and phonenumbers.number_type(number) not in REFUSED

    assert (dialling.decide(text, [country or "HU"]) is None) == dialable
    assert dialling.decide(text, [one for one in COUNTRIES if one != country]) is not None


@pytest.mark.parametrize(
    ("number", "countries", "refusal"),
    [
        ("+36301234567", ["HU"], None),
        ("+3612345678", ["HU"], None),
        ("+3680123456", ["HU"], None),  # free of charge
        ("+3690123456", ["HU"], "destination_forbidden"),  # premium
        ("+36301234567", ["AT"], "destination_forbidden"),
        ("+36301234567", [], "destination_forbidden"),
        ("+4915112345678", ["HU", "AT"], "destination_forbidden"),
        ("+431588010", ["HU", "AT"], None),
        ("+43900123456", ["AT"], "destination_forbidden"),  # premium
        ("+12025550123", ["US"], None),
        ("+12025550123", ["CA"], "destination_forbidden"),
        ("+14165550123", ["CA"], None),
        ("+14165550123", ["US"], "destination_forbidden"),
        ("+18765550123", ["US", "CA"], "destination_forbidden"),  # Jamaica: a well-known way to lose money
        ("+18765550123", ["JM"], None),
        ("+19005550123", ["US"], "destination_forbidden"),  # premium
        ("+77012345678", ["RU"], "destination_forbidden"),  # Kazakhstan
        ("+77012345678", ["KZ"], None),
        ("+79161234567", ["RU"], None),
        ("+447624123456", ["GB"], "destination_forbidden"),  # Isle of Man
        ("+442079460018", ["GB"], None),
        ("+447012345678", ["GB"], "destination_forbidden"),  # personal
        ("+390612345678", ["IT"], None),
        ("+88216123456789", ["HU", "US"], "destination_forbidden"),  # satellite
        ("+881612345678", ["HU"], "destination_forbidden"),
        ("+979123456789", ["HU"], "destination_forbidden"),  # international premium
        ("+80012345678", ["HU"], "destination_forbidden"),
        ("+36", ["HU"], "invalid_number"),
        ("06301234567", ["HU"], "invalid_number"),
        ("+36301234567\n", ["HU"], "invalid_number"),
        ("+3630123456789012", ["HU"], "invalid_number"),
        ("+36301234567", ["XX", "ZZ"], "destination_forbidden"),
    ],
)
def test_a_destination_is_allowed_or_not(number: str, countries: list[str], refusal: str | None):
    assert dialling.decide(number, countries) == refusal


def test_patterns_keep_to_what_posix_and_python_share_and_fit_a_line_of_asterisk():
    codes = {dialling.country_code(country) for country in COUNTRIES}
    regions = [region for code in codes if code for region in dialling.regions(code)]
    patterns = [pattern for region in regions for _, pattern in region.kinds]
    patterns += [region.leading for region in regions if region.leading]
    patterns += [dialling.reading(country).national_number for country in COUNTRIES]
    patterns += [dialling.emergency_pattern(country) for country in COUNTRIES]

    assert {region.country for region in regions} == set(COUNTRIES)
    for pattern in patterns:
        assert re.fullmatch(r"[0-9|():,?*+{}\[\]-]+", pattern)
        assert "(?" not in pattern
        assert len(pattern) < 3000  # a variable's expansion holds 4096


@pytest.mark.parametrize("number", ["112", "104", "105", "107"])
def test_emergency_numbers_of_hungary(number: str):
    assert dialling.is_emergency(number, "HU")


@pytest.mark.parametrize(("number", "country"), [("1120", "HU"), ("12", "HU"), ("911", "HU"), ("", "HU")])
def test_what_only_looks_like_an_emergency_number(number: str, country: str):
    assert not dialling.is_emergency(number, country)


def test_a_country_without_known_emergency_numbers_has_those_of_every_mobile_phone():
    assert dialling.is_emergency("112", "TA")


def resolve(text: str) -> str:
    return dialling.resolve(text, country="HU", extensions={"101", "107"}, countries=["HU", "AT"])


@pytest.mark.parametrize(
    ("text", "dialled"),
    [
        ("101", "101"),
        ("107", "107"),  # the tenant's own extension goes before the ambulance
        ("112", "112"),
        ("06 30 123 4567", "+36301234567"),
        ("+431588010", "+431588010"),
    ],
)
def test_a_target_is_resolved_to_what_is_dialled(text: str, dialled: str):
    assert resolve(text) == dialled


@pytest.mark.parametrize("text", ["102", "abc", "", "+36", "101\n102", "*8"])
def test_a_target_that_is_no_number_is_invalid(text: str):
    with pytest.raises(InvalidNumber):
        resolve(text)


@pytest.mark.parametrize("text", ["0690123456", "+4915112345678", "0018765550123"])
def test_a_target_outside_the_rule_is_forbidden(text: str):
    with pytest.raises(DestinationForbidden):
        resolve(text)

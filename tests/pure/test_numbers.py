"""What people type and carriers send is read as the number that is meant, or as none; never as an error."""

import itertools

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.domain import numbers
from vonal.domain.errors import InvalidNumber

COUNTRIES = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("06301234567", "+36301234567"),
        ("+36 30 123 4567", "+36301234567"),
        ("+36-30-123-4567", "+36301234567"),
        ("0036301234567", "+36301234567"),
        ("36301234567", "+36301234567"),
        (" 36301234567", "+36301234567"),  # a plus that a form decoded as a space
        ("0612345678", "+3612345678"),
        ("06 (1) 234-5678", "+3612345678"),
        ("06/30/123.4567", "+36301234567"),
        ("06\u00a030\u2013123\u20114567", "+36301234567"),
        ("+43 1 5880 10", "+431588010"),
        ("004915112345678", "+4915112345678"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("112", None),
        ("0612", None),
        ("+36", None),
        ("+", None),
        ("", None),
        ("anonymous", None),
        ("1-800-FLOWERS", None),
        ("+36301234567;ext=1", None),
        ("06301234567\n06301234568", None),
        ("+++36301234567", None),
        ("\u0660\u0666\u0663\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667", None),
        ("6" * 10_000, None),
    ],
)
def test_what_a_hungarian_types_is_read_as_meant(typed: str, read: str | None):
    assert numbers.read(typed, "HU") == read


@pytest.mark.parametrize(
    ("typed", "country", "read"),
    [
        ("4915112345678", "DE", "+4915112345678"),
        (" 4915112345678", "DE", "+4915112345678"),
        ("015112345678", "DE", "+4915112345678"),
        ("36123456", "HU", "+3636123456"),  # the town of Eger; as +36123456 it would be no number
        ("47123456", "NO", "+4747123456"),
    ],
)
def test_digits_that_begin_with_the_countrys_own_code_have_lost_their_plus(typed: str, country: str, read: str):
    assert numbers.read(typed, country) == read


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("06305550123", "+36305550123"),
        ("36305550123", "+36305550123"),
        ("+36305550123", "+36305550123"),
        ("431588010", "+431588010"),  # a carrier that leaves out the plus
        ("anonymous", None),
        ("101", None),
        ("", None),
        ("\0\x7f\\\"';--", None),
    ],
)
def test_a_carriers_caller_id_is_read_as_meant(raw: str, read: str | None):
    assert numbers.read_caller(raw, "HU") == read


@pytest.mark.parametrize("raw", ["anonymous", "Anonymous", "restricted", "", " unavailable "])
def test_a_caller_who_hides_is_anonymous(raw: str):
    assert numbers.is_anonymous(raw)


@pytest.mark.parametrize("raw", ["06305550123", "+36305550123", "101"])
def test_a_caller_with_a_number_is_not_anonymous(raw: str):
    assert not numbers.is_anonymous(raw)


def test_the_four_forms_of_a_hungarian_number():
    assert numbers.inbound_forms("+3612345678") == ("+3612345678", "3612345678", "003612345678", "0612345678")


def test_a_leading_zero_that_belongs_to_the_number_stays():
    assert numbers.inbound_forms("+390612345678") == ("+390612345678", "390612345678", "00390612345678", "0612345678")


def test_what_cannot_be_read_is_charged_to_its_parameter():
    with pytest.raises(InvalidNumber) as raised:
        numbers.require("12", "HU", param="caller_id")

    assert (raised.value.status, raised.value.param) == (400, "caller_id")


def test_every_form_of_every_countrys_numbers_is_the_same_number():
    misread = set()
    for country, kind in itertools.product(COUNTRIES, range(11)):
        if (example := phonenumbers.example_number_for_type(country, kind)) is not None:
            number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
            with_plus, bare, _, national = numbers.inbound_forms(number)
            read = {
                numbers.read(with_plus, country),
                numbers.read_caller(bare, country),
                numbers.read(national, country),
            }
            if read != {number}:
                misread.add(country)

    assert misread == {"CO", "IL"}  # a few national forms there look as if they began with a carrier's code


@given(st.text() | st.text("+0123456789 -()/.", max_size=50), st.sampled_from([*COUNTRIES, "XX", "", "hu"]))
def test_nothing_typed_raises_and_what_is_read_is_dialable(text: str, country: str):
    for read in (numbers.read(text, country), numbers.read_caller(text, country)):
        assert read is None or (read.startswith("+") and read[1:].isdecimal() and read.isascii())


@given(st.text("0123456789", min_size=3, max_size=14))
def test_reading_twice_changes_nothing(text: str):
    number = numbers.read(text, "HU")

    assert number is None or numbers.read(number, "AT") == number

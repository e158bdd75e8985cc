"""The Range header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.domain.errors import RangeNotSatisfiable
from vonal.domain.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 0)),
        ("bytes=0-99", (0, 99)),
        ("bytes=0-100", (0, 99)),
        ("bytes=10-19", (10, 19)),
        ("bytes=90-", (90, 99)),
        ("bytes=99-99", (99, 99)),
        ("bytes=-1", (99, 99)),
        ("bytes=-100", (0, 99)),
        ("bytes=-1000", (0, 99)),
        ("Bytes = 5-9 ", (5, 9)),
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("", None),
    ],
)
def test_a_range_names_the_bytes_that_are_sent(header: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize(
    "header",
    ["bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=100-", "bytes=-0", "bytes=--5", "bytes=٣-", "bytes=1"],
)
def test_nonsense_and_what_lies_beyond_the_end_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, 100)


def test_of_an_empty_file_no_range_can_be_sent() -> None:
    assert parse_range(None, 0) is None
    for header in ("bytes=0-", "bytes=-5"):
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, 0)


@given(st.text(), st.integers(0, 10**12))
def test_whatever_the_header_a_range_lies_inside_the_file(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            found = parse_range(header, size)
        except RangeNotSatisfiable:
            continue
        assert found is None or (0 <= found.first <= found.last < size and found.length == found.last - found.first + 1)

"""Reading parameters: what is understood, and that nothing whatever makes it raise anything but our own errors."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from vonal.api.calls import CallsParameters
from vonal.api.click_to_call import ClickParameters
from vonal.api.parameters import into
from vonal.domain.errors import InvalidRequest, MissingParameter, RequestError


class Sample(Struct):
    number: str | None = None
    count: Annotated[int, Meta(ge=1)] | None = None
    yes: bool | None = None
    at: datetime | None = None
    data: dict[str, Any] | None = None


@pytest.mark.parametrize("word", ["true", "1", "yes", "on", "TRUE", " Yes ", True])
def test_yes_has_many_spellings(word: object) -> None:
    assert into(Sample, {"yes": word}).yes is True


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "False", False])
def test_no_has_many_spellings(word: object) -> None:
    assert into(Sample, {"yes": word}).yes is False


def test_what_is_empty_was_not_given() -> None:
    assert into(Sample, {"number": "", "count": None, "yes": "", "data": ""}) == Sample()


def test_names_nobody_knows_are_passed_over() -> None:
    assert into(Sample, {"_": "1700000000", "utm_source": {"a": 1}}) == Sample()


def test_a_lost_plus_is_put_back_only_where_it_can_have_been() -> None:
    assert into(Sample, {"number": " 36301234567"}).number == "+36301234567"
    assert into(Sample, {"number": "06 30 123"}).number == "06 30 123"


def test_times_without_a_zone_are_utc() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for text in (
        "2026-11-22T12:00:00",
        "2026-11-22T12:00:00Z",
        "2026-11-22T13:00:00 01:00",
        "2026-11-22T13:00:00+01:00",
    ):
        assert into(Sample, {"at": text}).at == noon


def test_data_is_a_json_object_or_its_text() -> None:
    assert into(Sample, {"data": '{"a": [1]}'}).data == into(Sample, {"data": {"a": [1]}}).data == {"a": [1]}


@pytest.mark.parametrize(
    "sent", [{"count": 0}, {"count": "x"}, {"count": 1.5}, {"count": True}, {"yes": "2"}, {"at": "x"}, {"data": "1"}]
)
def test_a_wrong_value_names_its_parameter(sent: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as told:
        into(Sample, sent)
    assert told.value.param in sent


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(MissingParameter) as told:
        into(ClickParameters, {"extension": "101"})
    assert told.value.param == "number"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from([*ClickParameters.__struct_fields__, *CallsParameters.__struct_fields__, "from", "x"])


@given(st.dictionaries(_NAMES, _JSON))
def test_nothing_sent_raises_anything_but_a_request_error(sent: dict[str, Any]) -> None:
    for type_ in (ClickParameters, CallsParameters, Sample):
        fault = _fault(type_, sent)
        assert fault is None or fault.status == 400
        assert fault is None or fault.param in (*type_.__struct_fields__, "from")


def _fault(type_: type[Struct], sent: dict[str, Any]) -> RequestError | None:
    try:
        into(type_, sent)
    except RequestError as fault:
        return fault
    return None

"""Templates in webhooks' parameters: what a customer may write, and what does no harm."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.domain.directory import Directory, Tenant, Webhook
from vonal.webhooks import check
from vonal.webhooks.template import LONGEST_VALUE, InvalidTemplate, compiled, render

VALUES = {
    "caller": "+36305550123",
    "from": {"number": "+36305550123", "name": None},
    "call": {"id": "call_1", "direction": "inbound"},
    "legs": [{"kind": "trunk"}],
    "answered_at": None,
    "custom": {"n": 7},
}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("abc", "abc"),
        ("", ""),
        ("{{ caller }}", "+36305550123"),
        ("tel:{{ caller }}!", "tel:+36305550123!"),
        ("{{ from.number }}", "+36305550123"),
        ("{{ from.name }}", ""),
        ("{{ answered_at }}", ""),
        ("{{ nothing }}", ""),
        ("{{ nothing.at.all }}", ""),
        ("{{ from.name or caller }}", "+36305550123"),
        ("{{ call.direction | upper }}", "INBOUND"),
        ("{{ legs[0].kind }}", "trunk"),
        ("{{ 'in' if call.direction == 'inbound' else 'out' }}", "in"),
        ("{% if custom.n %}yes{% endif %}", "yes"),
        ("{{ call.id ~ '/' ~ custom.n }}", "call_1/7"),
        ("{{ caller | urlencode }}", "%2B36305550123"),
        ("{{ '<b>' }}", "<b>"),
    ],
)
def test_templates_are_filled_in(text: str, rendered: str):
    assert render(text, VALUES) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "{{ caller",
        "{% for i in legs %}x{% endfor %}",
        "{% set x = 1 %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(10) }}",
        "{{ caller.format() }}",
        "{{ caller | center(100000000) }}",
        "{{ caller | replace('', 'xxxxxxxx') }}",
        "{% include 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{{ legs[0:1] }}",
        "{{ caller | nosuchfilter }}",
        "{{ '" + "a" * 2000 + "' }}",
    ],
)
def test_what_could_run_long_or_grow_large_is_refused(text: str):
    with pytest.raises(InvalidTemplate):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    ["{{ ''.__class__.__mro__ }}", "{{ caller.__class__ }}", "{{ call.__init__.__globals__ }}", "{{ self }}",
     "{{ caller['__class__'] }}", "{{ caller.upper }}"],
)  # fmt: skip
def test_python_behind_the_values_is_out_of_reach(text: str):
    try:
        shown = render(text, VALUES)
    except InvalidTemplate:
        return
    assert "class" not in shown.lower()
    assert "method" not in shown.lower()


def test_what_it_makes_is_cut():
    assert len(render("{{ a }}{{ a }}", {"a": "x" * LONGEST_VALUE})) == LONGEST_VALUE


@given(st.text(alphabet="{}%# .|'\"abc_[]()0*+~-\n"))
def test_no_text_raises_anything_but_invalid_template(text: str):
    with suppress(InvalidTemplate):
        render(text, VALUES)


def test_apply_is_told_of_broken_templates_and_forbidden_headers_with_their_path():
    hook = Webhook(
        id="log",
        url="https://crm.example",
        events=["call.completed"],
        params={"ok": "{{ caller }}", "bad": "{{ caller"},
        headers={"X-Fine": "1", "Host": "x", "X-Split": "a\nb"},
    )
    directory = Directory(tenants=[Tenant(id="acme", country="HU", webhooks=[hook])])
    assert {path for path, _ in check.faults(directory)} == {
        "tenants[0].webhooks[0].params.bad",
        "tenants[0].webhooks[0].headers.Host",
        "tenants[0].webhooks[0].headers.X-Split",
    }

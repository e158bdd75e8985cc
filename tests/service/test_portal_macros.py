"""The parts that pages are made of, seen as a browser would read them."""

import re

from vonal.portal.page import _environment

PAGE = """
{% import "macros/form.html" as form with context %}
{% import "macros/show.html" as show %}
{% from "macros/dialog.html" import confirm with context %}
"""


def _rendered(text: str, **given: object) -> str:
    return _environment("en").from_string(PAGE + text).render(csrf=lambda: "token", **given)


def test_a_field_that_is_wrong_says_so_beside_itself_and_keeps_what_was_typed() -> None:
    text = _rendered(
        '{{ form.field("url", "Address", "ht<tp", help="Where", faults={"url": "Not an address"}, data_x="1") }}'
    )
    assert 'value="ht&lt;tp"' in text
    assert 'aria-invalid="true"' in text
    described = re.search(r'aria-describedby="([^"]*)"', text)
    assert described is not None
    for one in described[1].split():
        assert f'id="{one}"' in text
    assert 'data-x="1"' in text


def test_a_choice_and_ticked_boxes_show_what_is_chosen() -> None:
    text = _rendered('{{ form.select("mode", "Mode", [("a", "A"), ("b", "B")], "b") }}')
    assert '<option value="b" selected>' in text
    assert 'value="a" selected' not in text
    boxes = _rendered('{{ form.checks("scope", "Scopes", [("read", "Read", "Why"), ("call", "Call")], ["read"]) }}')
    assert re.findall(r'value="(\w+)" checked', boxes) == ["read"]


def test_a_dialog_holds_a_form_with_the_sessions_token() -> None:
    text = _rendered('{% call confirm("d", "/x", button="Delete", title="Sure?", deed="Yes") %}Gone.{% endcall %}')
    assert '<form method="post" action="/x">' in text
    assert 'name="csrf" value="token"' in text
    assert 'href="#d" data-opens="d"' in text


def test_parts_for_showing_are_drawn_with_what_they_are_given() -> None:
    text = _rendered(
        '{% call show.empty("phone", "Nothing", "Yet") %}<b>do</b>{% endcall %}{{ show.badge("bad", "<x>") }}'
        '{{ show.code("c", "curl <url>") }}{{ show.secret("s", "Key", "k") }}{{ show.pagination(none, "/older") }}'
        '{{ show.progress(1, 2, "Half") }}{% call show.table(["A"], "T") %}<tr></tr>{% endcall %}'
        '{% call show.item("T") %}<i>v</i>{% endcall %}{{ show.breadcrumbs([("/x", "X")]) }}'
    )
    for part in ("<b>do</b>", "&lt;x&gt;", "curl &lt;url&gt;", 'href="/older"', 'max="2"', "<i>v</i>", 'href="/x"'):
        assert part in text

"""Every text of the portal can be read in every language it speaks, and no translation is left over."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from jinja2 import Environment
from jinja2.ext import babel_extract

from documents import ROOT
from vonal.domain import errors
from vonal.domain.errors import VonalError
from vonal.portal.page import TEMPLATES
from vonal.portal.words import TRANSLATIONS, gettext, ngettext

PORTAL = ROOT / "src/vonal/portal"
PAGES = sorted(TEMPLATES.rglob("*.html"))
CATALOGS = sorted(TRANSLATIONS.glob("*/*.po"))
KEYWORDS = {"_": None, "N_": None, "say": None, "say_many": (1, 2), "gettext": None, "ngettext": (1, 2)}
OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
NO_WORDS = re.compile(r'[\w-]+="[^"]*"|\w*_\S*')  # attributes that a macro makes; beginnings of ids
SHOWN_ATTRIBUTES = {"alt", "aria-label", "aria-description", "placeholder", "title"}
# Names, and what stands in a protocol, are the same in every language.
SAME = {"Vonal", "Magyar", "English", "GET", "POST", "JSON", "URL", "API", "HTTP", "HTTPS", "CSV", "SIP", "TCP", "UDP"}
SAME |= {"TLS", "ID", "id", "ms", "kB", "MB", "GB", "mp3", "ogg", "wav", "curl", "https", "Ctrl", "Esc", "Enter", "QR"}


def _messages(found: Any, place: Path) -> Iterator[tuple[str, str]]:
    """(text, where) of what an extractor of Babel's has found; of a text with a plural, its singular."""
    for line, _function, text, _comments in found:
        one = text[0] if isinstance(text, tuple) else text
        if one:
            yield one, f"{place.relative_to(ROOT)}:{line}"


KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, VonalError)}


@cache
def _texts() -> dict[str, str]:
    """Every text that must be translated, and where it stands."""
    found: dict[str, str] = {}
    for page in PAGES:
        with page.open("rb") as file:
            found |= dict(_messages(babel_extract(file, list(KEYWORDS), [], OPTIONS), page))
    for module in PORTAL.rglob("*.py"):
        with module.open("rb") as file:
            found |= dict(_messages(extract_python(file, KEYWORDS, [], {}), module))
        found |= {detail: str(module.relative_to(ROOT)) for detail in _details(module)}
    return found | {kind.title: f"the title of {kind.__name__}" for kind in _kinds(VonalError)}


def _kinds(kind: type[VonalError]) -> Iterator[type[VonalError]]:
    """The errors that people may see; tests and other modules make their own."""
    if kind.__module__ in (VonalError.__module__, "abc"):
        yield kind
    for one in kind.__subclasses__():
        yield from _kinds(one)


@cache
def _details(module: Path) -> set[str]:
    """What the errors made here say, where that is the same each time."""
    made = (one for one in ast.walk(ast.parse(module.read_text())) if isinstance(one, ast.Call) and one.args)
    said = (one.args[0] for one in made if getattr(one.func, "id", "") in KINDS)
    return {one.value for one in said if isinstance(one, ast.Constant) and isinstance(one.value, str)}


@cache
def _all_details() -> set[str]:
    return {detail for module in (ROOT / "src/vonal").rglob("*.py") for detail in _details(module)}


def _entries(catalog: Path) -> Iterator[Any]:
    with catalog.open("rb") as file:
        yield from (one for one in read_po(file, locale=catalog.parent.name) if one.id)


def _key(entry: Any) -> str:
    return entry.id if isinstance(entry.id, str) else entry.id[0]


def test_nothing_is_left_untranslated():
    there = {_key(one) for catalog in CATALOGS for one in _entries(catalog)}
    assert {text: where for text, where in _texts().items() if text not in there} == {}


@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda one: f"{one.parent.name}/{one.name}")
def test_a_translation_is_finished_and_fills_in_the_same(catalog: Path):
    assert [entry.id for entry in _entries(catalog) if entry.fuzzy or not _fits(entry)] == []


def _fits(entry: Any) -> bool:
    sources = (entry.id,) if isinstance(entry.id, str) else entry.id
    strings = (entry.string,) if isinstance(entry.string, str) else entry.string
    named, filled = ({name for one in texts for name in PLACEHOLDER.findall(one)} for texts in (sources, strings))
    return all(strings) and named == filled


@pytest.mark.parametrize("catalog", CATALOGS, ids=lambda one: f"{one.parent.name}/{one.name}")
def test_no_translation_is_left_over(catalog: Path):
    known = _texts().keys() | _all_details()
    assert [one.id for one in _entries(catalog) if _key(one) not in known] == []


def test_a_text_is_translated_in_one_way():
    found: dict[tuple[str, str], set[Any]] = {}
    for catalog in CATALOGS:
        for one in _entries(catalog):
            found.setdefault((catalog.parent.name, _key(one)), set()).add(one.string)
    assert {key: ways for key, ways in found.items() if len(ways) > 1} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda one: str(one.relative_to(TEMPLATES)))
def test_a_template_says_nothing_in_one_language_only(page: Path):
    reader = _Reader()
    reader.feed(_without_expressions(page.read_text()))
    reader.close()
    said = [text for text in reader.texts if set(re.findall(r"[^\W\d_]{2,}", NO_WORDS.sub("", text))) - SAME]
    assert said == []


def _without_expressions(source: str) -> str:
    """The template's own HTML; what is filled in and what is translated are left out."""
    source = re.sub(r"{%-?\s*trans\b.*?endtrans\s*-?%}", "", source, flags=re.DOTALL)
    tokens = Environment(extensions=["jinja2.ext.i18n"]).lex(source)
    return "".join(text for _line, kind, text in tokens if kind == "data")


class _Reader(HTMLParser):
    """Collects what is read by people."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "code", "pre", "kbd"):
            self._inside.append(tag)
        self.texts += [value for name, value in attrs if name in SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)


def test_what_has_no_translation_stays_english_and_numbers_choose_the_form():
    assert gettext("hu", "Overview") == "Áttekintés"
    assert gettext("en", "Overview") == "Overview"
    assert gettext("hu", "what nobody has written") == "what nobody has written"
    assert [ngettext("en", "%(num)s call", "%(num)s calls", count) for count in (1, 2)] == [
        "%(num)s call",
        "%(num)s calls",
    ]


def test_the_reader_finds_what_is_not_translated():
    reader = _Reader()
    reader.feed(_without_expressions('<p title="Bad">{{ _("good") }} bad<code>fine</code></p>'))
    assert [one for one in reader.texts if one.strip()] == ["Bad", " bad"]

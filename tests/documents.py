"""The project's Markdown pages: their text, links, headings and examples."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """A fenced example; `place` is where it stands, for the names of tests and for messages."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def examples(*languages: str) -> list[Example]:
    """All examples in these languages, in the order of pages and lines."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Example(page, line, match[1], match[2]))
    return [one for one in found if not languages or one.language in languages]


def links(page: Path) -> list[str]:
    """Addresses of the page's links and pictures."""
    return _LINK.findall(_FENCE.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """What `#…` may name on the page."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def rows(page: Path) -> list[list[str]]:
    """The cells of all tables of a page."""
    return [[cell.strip() for cell in match[1].split(" | ")] for match in _ROW.finditer(page.read_text())]


def commands(example: Example) -> list[str]:
    """The shell commands of an example, each on one line, without comments."""
    joined = example.text.replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]


def directory_file(example: Example) -> str:
    """A whole YAML file for `vonal apply`: an example of one part is put into the tutorial's tenant."""
    given: dict[str, Any] = yaml.safe_load(example.text)
    if "tenants" in given:
        return example.text
    whole = yaml.safe_load(tutorial().text)
    tenant = whole["tenants"][0]
    for key, value in given.items():
        if key == "trunks":
            whole["trunks"] = value
        elif key == "extensions":
            own = {one["number"] for one in value}
            tenant[key] = value + [one for one in tenant[key] if one["number"] not in own]
        else:
            tenant[key] = value
    return msgspec.yaml.encode(whole).decode()


def tutorial() -> Example:
    """The tutorial's YAML file."""
    return next(one for one in examples("yaml") if one.page.name == "tutorial.md")

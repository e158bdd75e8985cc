"""What holds for every file: small, finished, and of no particular machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from documents import ROOT

LONGEST_FILE = 400  # lines
LONGEST_FUNCTION = 50
FOLDERS = ("src", "tests", "docs", "tools", "bench", "web", ".ci")
GENERATED = re.compile(r"/(__pycache__|node_modules|portal/static(\.new)?)/")
TEXT = {
    "",
    ".py",
    ".md",
    ".sh",
    ".toml",
    ".txt",
    ".j2",
    ".conf",
    ".html",
    ".css",
    ".js",
    ".svg",
    ".yaml",
    ".mako",
    ".php",
    ".mjs",
    ".ts",
    ".po",
}
CODE = sorted(ROOT.glob("src/**/*.py"))
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
# Places of one machine; of the system's own folders only those that every Debian has are named.
MACHINE = re.compile(r"(?<![\w.{}])/(work|home|root|opt/(?!vonal)|mnt|Users)/[\w.]")
# Names under which nobody lives, this machine, and the pages of standards, of what we stand on, of formats we speak.
HOSTS = re.compile(
    r"([\w-]+\.)*(example|invalid|test|localhost|local|internal)$|(www\.)?example\.(com|org|net)$|[\d.]+$|\[?[\da-f:.]+\]?$"
    r"|(www\.)?(apache\.org|asterisk\.org|w3\.org|standardwebhooks\.com|rfc-editor\.org|sqlite\.org|json-schema\.org)$"
    r"|developer\.sipgate\.io$|www\.linphone\.org$|docs\.zammad\.org$|github\.com$|docs\.asterisk\.org$|datatracker\.ietf\.org$|[a-z]$"
)
URL = re.compile(r"\b(?:https?|ftp|wss?)://(?:[^\s/@\"']*@)?([A-Za-z0-9.-]+\.[A-Za-z]{2,})")


def _files() -> list[Path]:
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if not GENERATED.search(str(path)))
    files = [path for path in [*ROOT.iterdir(), *inside] if path.is_file() and path.suffix in TEXT]
    return sorted(path for path in files if path.name != Path(__file__).name)


def _lines(paths: list[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


@pytest.mark.parametrize("path", CODE, ids=[str(path.relative_to(ROOT / "src")) for path in CODE])
def test_a_source_file_is_short_and_so_are_its_functions(path: Path):
    text = path.read_text()
    assert text.count("\n") <= LONGEST_FILE
    functions = [one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {one.name: (one.end_lineno or 0) - one.lineno + 1 for one in functions}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_nine_functions_of_ten_are_under_thirty_lines():
    trees = [ast.parse(path.read_text()) for path in CODE]
    functions = [
        one for tree in trees for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    short = [one for one in functions if (one.end_lineno or 0) - one.lineno + 1 < 30]
    assert len(short) >= 0.9 * len(functions)


def test_nothing_is_marked_unfinished():
    assert [place for place, line in _lines(_files()) if UNFINISHED.search(line)] == []


def test_no_path_of_one_machine_is_written_down():
    assert [f"{place}: {line.strip()}" for place, line in _lines(_files()) if MACHINE.search(line)] == []


def test_no_host_of_the_world_is_named_but_those_of_standards():
    named = [(place, host) for place, line in _lines(_files()) for host in URL.findall(line)]
    assert [(place, host) for place, host in named if not HOSTS.match(host.lower())] == []

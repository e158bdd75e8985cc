"""What the pages say is so: links lead somewhere, tables are whole, examples can be read."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest
import typer.main

import documents
from documents import PAGES, ROOT, Example, examples
from vonal import config
from vonal.api.app import OPERATIONS
from vonal.cli import app
from vonal.config import Settings
from vonal.directory import check, reading
from vonal.domain import directory
from vonal.domain.errors import DirectoryError, VonalError
from vonal.domain.events import SUBSCRIBABLE
from vonal.webhooks import check as webhook_check

REFERENCE = ROOT / "docs" / "reference"
OUTSIDE = ("https://", "http://")


def _each(*languages: str):
    found = examples(*languages)
    return pytest.mark.parametrize("example", found, ids=[one.place for one in found])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_to_a_page_and_heading_that_exist(page: Path):
    for link in documents.links(page):
        if link.startswith(OUTSIDE):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in documents.anchors(target), f"{page.name}: {link}"


def test_every_page_is_linked_from_another():
    linked = {(page.parent / link).resolve() for page in PAGES for link in documents.links(page)}
    assert [page for page in PAGES if page not in linked and page.name != "README.md"] == []


def test_a_decision_says_where_it_lives():
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        where = page.read_text().partition("**Where.**")[2]
        places = re.findall(r"`([\w/.]+\.\w+)`", where)
        assert places, page.name
        assert [place for place in places if not (ROOT / "src" / "vonal" / place).exists()] == [], page.name


def test_the_table_of_settings_is_what_the_program_says():
    wanted = [[f"`{name}`", f"`{default}`" if default else "", text] for name, default, text in Settings.describe()]
    page = REFERENCE / "settings.md"
    assert [row for row in documents.rows(page) if row[0].startswith("`VONAL_")] == wanted


@_each("toml")
def test_a_settings_example_can_be_read(example: Example, tmp_path: Path):
    (tmp_path / "vonal.toml").write_text(example.text)
    assert tomllib.loads(example.text)
    config.load({}, folder=tmp_path)


def test_every_key_of_the_yaml_is_in_its_reference():
    text = (REFERENCE / "yaml.md").read_text()
    structs = [one for one in vars(directory).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    for struct in structs:
        for field in struct.__struct_fields__:
            assert f"`{field}`" in text, f"{struct.__name__}.{field}"


def test_every_event_is_in_the_reference():
    first = [row[0] for row in documents.rows(REFERENCE / "events.md")]
    assert [name for name in SUBSCRIBABLE if f"`{name}`" not in first] == []


def test_every_error_of_the_api_is_in_the_reference():
    told = {(row[0], row[1]) for row in documents.rows(REFERENCE / "api.md") if row[0].isdigit()}
    declared = {error for one in OPERATIONS for error in one.errors} | {VonalError}
    assert {(str(error.status), f"`{error.code}`") for error in declared} - told == set()


def test_every_request_of_the_api_is_in_the_reference():
    told = [row[0] for row in documents.rows(REFERENCE / "api.md")]
    for one in OPERATIONS:
        row = next((row for row in told if row.endswith(f" {one.path}`") or row == f"`{one.path}`"), None)
        assert row is not None, one.path
    for method, path in ((method, one.path) for one in OPERATIONS for method in one.methods):
        assert any(path in row and method in row for row in told), f"{method} {path}"


def test_every_parameter_of_the_api_is_in_the_reference():
    text = (REFERENCE / "api.md").read_text()
    for one in OPERATIONS:
        for field in msgspec.structs.fields(one.parameters):
            assert f"`{field.encode_name}`" in text or f"{{{field.encode_name}}}" in text, f"{one.name}: {field.name}"


@_each("yaml")
def test_a_yaml_example_is_a_directory_without_fault(example: Example):
    document = reading.read(documents.directory_file(example).encode())
    assert check.faults_of(document.directory, check.Surroundings()) == []
    assert list(webhook_check.faults(document.directory)) == []


def test_the_fault_shown_in_the_tutorial_is_told_in_these_words():
    wrong = documents.tutorial().text.replace('ring: ["101", "102"]', 'ring: ["101", "109"]')
    document = reading.read(wrong.encode())
    told = str(DirectoryError(check.faults_of(document.directory, check.Surroundings())))
    assert told in (ROOT / "docs" / "tutorial.md").read_text()


@_each("json")
def test_a_json_example_can_be_read(example: Example):
    assert json.loads(example.text)


@_each("sh")
def test_a_shell_example_can_be_read(example: Example):
    done = subprocess.run(["bash", "-n"], input=example.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@_each("sh")
def test_every_command_in_an_example_exists_with_its_options(example: Example):
    for line in documents.commands(example):
        for words in re.findall(r"(?:^|bin/)vonal ((?:[a-z-]\S*\s*)+)", line.replace("'", " ")):
            _require_command(words.split(), example.place)


def _require_command(words: list[str], place: str) -> None:
    command = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        assert found, f"{place}: there is no command {words[0]}"
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        assert not word.startswith("--") or word in known, f"{place}: {command.name} has no {word}"


@_each("sh")
def test_every_make_target_in_an_example_exists(example: Example):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in documents.commands(example):
        for target in re.findall(r"(?:^|&& )make (?:-C \S+ )?([a-z]+)", line):
            assert target in targets, f"{example.place}: make {target}"


def test_every_dependency_is_locked_with_its_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "requirements.txt": project["dependencies"] + extras["build"],
        "requirements-dev.txt": project["dependencies"] + extras["build"] + extras["dev"],
        "requirements-bench.txt": sum(extras.values(), project["dependencies"]),
    }
    for name, dependencies in wanted.items():
        text = (ROOT / name).read_text()
        locked = set(re.findall(r"^([a-z0-9-]+)==.*\\\n +--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE))
        assert len(locked) == len(re.findall("^[a-z]", text, re.MULTILINE)), name
        names = {re.split(r"[\[<>=~! ]", one)[0].lower() for one in dependencies}
        assert names - locked == set(), f"{name}: run `make lock`"
        assert "://" not in text, f"{name} names an address"

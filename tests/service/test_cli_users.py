"""`vonal users`: the first person, links, and who is barred."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from directories import directory
from vonal.cli import app
from vonal.config import Settings
from vonal.directory.apply import apply
from vonal.store.opening import open_database


@pytest.fixture(autouse=True)
def tenants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VONAL_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("VONAL_DATABASE_URL", raising=False)
    db = open_database(Settings(data_dir=tmp_path), owner=True)
    apply(db, directory())
    db.close()


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["users", *words])


def listed() -> dict[str, dict[str, object]]:
    return {one["email"]: one for one in json.loads(run("list", "--json").stdout)["items"]}


def test_the_first_people_are_added_with_a_link_that_is_shown_once() -> None:
    done = run("add", "Kata@Example.com", "--name", "Kiss Kata", "--operator")
    assert done.exit_code == 0, done.output
    assert "/welcome/" in done.stdout
    answer = json.loads(run("add", "anna@acme.example", "--name", "Anna", "--tenant", "acme", "--json").stdout)
    assert "/welcome/" in answer["link"]
    found = listed()
    assert (found["kata@example.com"]["operator"], found["kata@example.com"]["state"]) == (True, "invited")
    assert found["anna@acme.example"]["tenants"] == [{"tenant": "acme", "role": "owner", "extension": None}]
    again = json.loads(run("add", "anna@acme.example", "--name", "Anna", "--operator", "--json").stdout)
    assert again["link"] is None
    assert listed()["anna@acme.example"]["operator"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "nonsense", "--name", "A", "--operator"), "e-mail address"),
        (("add", "a@example.com", "--name", "A"), "--tenant"),
        (("add", "a@example.com", "--name", "A", "--tenant", "nowhere"), "does not exist"),
        (("add", "a@example.com", "--name", "A", "--tenant", "acme", "--role", "agent"), "must have an extension"),
        (("add", "a@example.com", "--name", "A", "--tenant", "acme", "--role", "king"), "none of"),
        (("reset", "nobody@example.com"), "nobody of the address"),
        (("remove", "nobody@example.com", "--yes"), "nobody of the address"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr


def test_people_are_barred_let_in_again_and_removed() -> None:
    run("add", "anna@acme.example", "--name", "Anna", "--tenant", "acme")
    assert run("disable", "anna@acme.example").exit_code == 0
    assert listed()["anna@acme.example"]["state"] == "disabled"
    assert run("disable", "anna@acme.example", "--undo").exit_code == 0
    assert "/reset/" in run("reset", "anna@acme.example", "--factors").stdout
    assert run("remove", "anna@acme.example").exit_code == 1  # nobody has said yes
    assert run("remove", "anna@acme.example", "--yes").exit_code == 0
    assert listed() == {}

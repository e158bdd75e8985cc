"""Secrets at rest: no file and no row shows them, keys change under way, and a kill in between loses nothing."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import vault_process
from directories import directory, example
from vonal.cli import app
from vonal.config import Settings, SettingsError
from vonal.directory.apply import apply
from vonal.domain.directory import Directory
from vonal.store import directory as store
from vonal.store import lanes, sealing
from vonal.store import settings as notes
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.store.secret import append_secret, load_secrets
from vonal.store.vault import CannotUnseal, Vault

MARKER = "marker-of-a-secret"
TABLES = {"trunk": "id", "extension": "number", "webhook": "id"}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    if database_url.startswith("sqlite"):
        return Settings(data_dir=tmp_path)  # the fixture's file is this folder's vonal.db
    return Settings(data_dir=tmp_path, database_url=database_url)


@pytest.fixture(autouse=True)
def environ(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VONAL_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("VONAL_DATABASE_URL", settings.database_url)
    monkeypatch.delenv("VONAL_SECRET_KEY", raising=False)


def marked() -> Directory:
    """A directory with the marker in every place that is secret; the texts are long enough for pages of their own."""
    data = example()
    data["trunks"][0] |= {"username": "u", "password": f"{MARKER}-trunk"}
    tenant = data["tenants"][0]
    tenant["extensions"][0]["secret"] = f"{MARKER}-phone"
    tenant["webhooks"][0] |= {"params": {"api_key": f"{MARKER}-param"}, "headers": {"X-K": MARKER * 400}}
    tenant["webhooks"][1]["security"] = {"type": "hmac", "key": f"{MARKER}-signing"}
    return directory(data)


def rows(db: Database) -> list[str]:
    """The stored texts of all rows that hold secrets."""
    with db.engine.connect() as tx:
        found = [tx.execute(text(f"SELECT data FROM {one} ORDER BY {key}")).scalars() for one, key in TABLES.items()]
        return [data for column in found for data in column]


def key_ids(db: Database) -> dict[str | None, int]:
    return db.read_now(sealing.any_tenant_rows_by_key)


def loaded(db: Database) -> Directory:
    return db.read_now(store.any_tenant_load)


def shows_marker(settings: Settings, db: Database) -> list[str]:
    """Where the marker can be read: files of the data folder, and rows."""
    files = [path for path in settings.data_dir.iterdir() if path.is_file() and path.name != "secret.key"]
    return [path.name for path in files if MARKER.encode() in path.read_bytes()] + [
        row for row in rows(db) if MARKER in row
    ]


@pytest.fixture
def plain(settings: Settings) -> Settings:
    """A database of before: rows as they were written without a vault, and what was changed and removed since."""
    with closing(Database(settings.sqlalchemy_url, owner=True)) as db:
        apply(db, marked())
        less = example()
        less["tenants"][0]["webhooks"] = less["tenants"][0]["webhooks"][:1]
        apply(db, directory(less))
        apply(db, marked())
    return settings


def test_no_secret_stands_in_a_file_or_row(settings: Settings) -> None:
    with closing(open_database(settings, owner=True)) as db:
        apply(db, marked())
        assert shows_marker(settings, db) == []
        assert len(rows(db)) == 5
        assert MARKER in str(loaded(db))
        assert MARKER in str(db.read_now(partial(store.webhooks, "acme")))
        assert MARKER in str(db.read_now(partial(store.load, "acme")))
        assert apply(db, marked()).items == ()
    with closing(open_database(settings)) as db:
        assert shows_marker(settings, db) == []


def test_a_database_of_before_is_sealed_at_the_next_start_and_no_rest_of_it_stays(plain: Settings) -> None:
    with closing(Database(plain.sqlalchemy_url, owner=True)) as db:
        before = loaded(db)
        assert shows_marker(plain, db)  # so the search finds what it is for
    with closing(open_database(plain)) as db:
        assert loaded(db) == before  # a command reads what is not yet sealed
    with closing(open_database(plain, owner=True)) as db:
        assert shows_marker(plain, db) == []
        assert loaded(db) == before
        version = db.read_now(notes.any_tenant_directory_version)
    with closing(open_database(plain, owner=True)) as db:
        assert db.read_now(notes.any_tenant_directory_version) == version  # nothing was left to do


def test_what_a_kill_left_unscrubbed_is_scrubbed_at_the_next_start(plain: Settings) -> None:
    vault = Vault(partial(load_secrets, plain))
    with closing(Database(plain.sqlalchemy_url, owner=True, vault=vault)) as db:
        db.submit(sealing.any_tenant_seal_anew).result()  # and then the process was killed
    with closing(open_database(plain, owner=True)) as db:
        assert shows_marker(plain, db) == []


def test_a_file_that_is_being_read_is_scrubbed_at_a_later_start(plain: Settings) -> None:
    with closing(Database(plain.sqlalchemy_url)) as reading, reading.engine.connect() as tx:
        assert tx.execute(text("SELECT count(*) FROM webhook")).scalar() == 2
        with closing(open_database(plain, owner=True)) as db:
            assert all(one.startswith("sealed:") for one in rows(db))
    with closing(open_database(plain, owner=True)) as db:
        assert shows_marker(plain, db) == []


def test_half_sealed_rows_are_all_read_and_the_rest_is_sealed(plain: Settings) -> None:
    with closing(open_database(plain)) as db:
        before = loaded(db)
        half = {part: value for part, value in db.read_now(store.any_tenant_parts).items() if part.kind == "webhook"}
        db.submit(partial(store.any_tenant_save, parts=half)).result()
        assert set(key_ids(db).values()) == {2, 3}
        assert loaded(db) == before
    with closing(open_database(plain, owner=True)) as db:
        assert list(key_ids(db).values()) == [5]
        assert loaded(db) == before


def test_a_key_that_was_appended_before_a_kill_seals_at_the_next_start(settings: Settings) -> None:
    with closing(open_database(settings, owner=True)) as db:
        apply(db, marked())
        (old,) = key_ids(db)
    append_secret(settings)  # and then the process was killed
    with closing(open_database(settings)) as db:
        assert loaded(db).tenants[0].extensions[0].secret == f"{MARKER}-phone"
        assert list(key_ids(db)) == [old]
    with closing(open_database(settings, owner=True)) as db:
        assert list(key_ids(db)) != [old]
        assert list(key_ids(db).values()) == [5]
        assert loaded(db).tenants[0].extensions[0].secret == f"{MARKER}-phone"


def test_a_running_service_opens_what_another_process_sealed_with_a_newer_key(settings: Settings) -> None:
    with closing(open_database(settings, owner=True)) as service:
        apply(service, marked())
        before, version = loaded(service), service.read_now(notes.any_tenant_directory_version)
        digests = service.read_now(lanes.any_tenant_digests)
        done = CliRunner().invoke(app, ["secrets", "rotate", "--yes", "--json"])
        assert json.loads(done.stdout)["rows"] == 5, done.output
        assert service.read_now(notes.any_tenant_directory_version) == version + 1  # it is told to look
        assert loaded(service) == before
        assert service.read_now(lanes.any_tenant_digests) == digests  # no webhook counts as changed
        apply(service, directory())
        assert len(key_ids(service)) == 1  # what it writes now has the new key, too


def test_rotation_keeps_every_secret_and_says_what_it_did(settings: Settings) -> None:
    with closing(open_database(settings)) as db:
        apply(db, marked())
    before = load_secrets(settings)
    done = CliRunner().invoke(app, ["secrets", "rotate"], input="y\n")
    assert done.exit_code == 0
    assert "5 rows are sealed with the new key" in done.stdout
    assert "Recording ids made before stay valid." in done.stdout
    after = load_secrets(settings)
    assert after[:-1] == before
    assert (settings.data_dir / "secret.key").stat().st_mode & 0o777 == 0o600
    assert not any(one.decode() in done.output for one in after)
    shown = json.loads(CliRunner().invoke(app, ["secrets", "status", "--json"]).stdout)
    assert [(one["known"], one["rows"]) for one in shown["keys"]] == [(True, 0), (True, 5)]
    assert (shown["plain"], shown["newest"]) == (0, shown["keys"][1]["key"])


def test_rotation_that_is_not_confirmed_changes_nothing(settings: Settings) -> None:
    with closing(open_database(settings)):
        before = load_secrets(settings)
    assert CliRunner().invoke(app, ["secrets", "rotate"], input="n\n").exit_code == 1
    assert load_secrets(settings) == before


def test_a_secret_of_the_environment_is_left_to_who_set_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "vonal", "secrets", "rotate", "--yes"],
        env={**os.environ, "VONAL_SECRET_KEY": "the-secret-of-the-environment"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "append a comma and a new one" in done.stderr
    assert "the-secret-of-the-environment" not in done.stderr
    assert not (settings.data_dir / "secret.key").exists()


def test_plain_rows_are_told(plain: Settings) -> None:
    done = CliRunner().invoke(app, ["secrets", "status"])
    assert done.exit_code == 0
    assert "5 rows are not sealed" in done.stdout


def test_a_lost_secret_is_named_and_nothing_is_overwritten(settings: Settings) -> None:
    with closing(open_database(settings)) as db:
        apply(db, marked())
        (lost,) = key_ids(db)
        before = rows(db)
    kept = (settings.data_dir / "secret.key").read_text()
    (settings.data_dir / "secret.key").unlink()
    with pytest.raises(CannotUnseal, match=f"the key {lost}.*secret.key"):
        open_database(settings, owner=True)
    with closing(open_database(settings)) as db:
        with pytest.raises(CannotUnseal):
            apply(db, directory())
        assert rows(db) == before
    done = CliRunner().invoke(app, ["secrets", "status"])
    assert (done.exit_code, "missing" in done.stdout) == (1, True)
    (settings.data_dir / "secret.key").write_text(kept)
    with closing(open_database(settings, owner=True)) as db:
        assert MARKER in str(loaded(db))


@pytest.mark.parametrize(
    "forge",
    [
        "UPDATE extension SET data = (SELECT data FROM extension WHERE number = '101') WHERE number = '102'",
        "UPDATE extension SET number = '109' WHERE number = '101'",
        "UPDATE webhook SET data = (SELECT data FROM trunk)",
        "UPDATE webhook SET data = substr(data, 1, 60)",
        "UPDATE webhook SET data = substr(data, 1, 16)",
        "UPDATE webhook SET data = data || 'AAAA'",
    ],
)
def test_a_row_that_was_moved_or_changed_does_not_open(settings: Settings, forge: str) -> None:
    with closing(open_database(settings)) as db:
        apply(db, marked())
        db.submit(lambda tx: tx.execute(text(forge))).result()
        with pytest.raises(CannotUnseal, match="changed or moved"):
            loaded(db)


def test_a_database_without_a_vault_says_that_it_needs_one(settings: Settings) -> None:
    with closing(open_database(settings)) as db:
        apply(db, marked())
    with closing(Database(settings.sqlalchemy_url)) as db, pytest.raises(CannotUnseal):
        loaded(db)


def test_kills_in_the_middle_of_rotations_lose_nothing(settings: Settings) -> None:
    with closing(open_database(settings)) as db:
        apply(db, marked())
        before = loaded(db)
    secrets = load_secrets(settings)
    for lines in (1, 2, 5, 8):
        command = [sys.executable, vault_process.__file__, str(settings.data_dir), settings.database_url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(lines):
                assert process.stdout.readline()
            process.kill()
        with closing(open_database(settings)) as db:
            assert loaded(db) == before
            assert sum(key_ids(db).values()) == 5
        assert load_secrets(settings)[: len(secrets)] == secrets
        secrets = load_secrets(settings)
    with closing(open_database(settings, owner=True)) as db:
        assert list(key_ids(db).values()) == [5]
        assert loaded(db) == before


def test_many_that_append_at_once_lose_no_secret(settings: Settings) -> None:
    load_secrets(settings)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: append_secret(settings), range(16)))
    assert len(set(load_secrets(settings))) == 17
    assert [one.name for one in settings.data_dir.glob(".secret*")] == []


@pytest.mark.parametrize("content", ["", "short\n"])
def test_nothing_is_appended_to_a_damaged_file(settings: Settings, content: str) -> None:
    (settings.data_dir / "secret.key").write_text(content)
    with pytest.raises(SettingsError, match=r"secret\.key"):
        append_secret(settings)
    assert (settings.data_dir / "secret.key").read_text() == content


def test_there_are_never_more_secrets_than_recording_ids_can_tell_apart(settings: Settings) -> None:
    (settings.data_dir / "secret.key").write_text("".join(f"a-secret-with-number-{one}\n" for one in range(255)))
    with pytest.raises(SettingsError, match="255"):
        append_secret(settings)

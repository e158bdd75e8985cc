"""The database's versions lead to the tables that the code knows, on both databases.

When `test_the_versions_lead_to_the_tables_of_the_code` fails, a table has changed: draft the next version by
`python -m vonal.store.migrations "what changes"`. Versions that have been released are never changed.
"""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from postgresql import Server
from vonal.config import Settings
from vonal.store import migrate
from vonal.store import settings as store_settings
from vonal.store.database import Database
from vonal.store.opening import DatabaseUnavailable, open_database
from vonal.store.tables import metadata

SCHEMA = {
    "sqlite": ["SELECT name, sql FROM sqlite_master"],
    "postgresql": [
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    ],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A database without any table."""
    if request.param == "sqlite":
        yield Settings(data_dir=tmp_path)
        return
    server: Server = request.getfixturevalue("postgresql")
    server.create("empty")
    yield Settings(data_dir=tmp_path, database_url=server.url("empty"))
    server.drop("empty")


def schema(engine: Engine) -> set[tuple[object, ...]]:
    with engine.connect() as tx:
        rows = [tuple(row) for query in SCHEMA[engine.dialect.name] for row in tx.execute(text(query))]
    return {tuple(map(_sorted, row)) for row in rows if "alembic_version" not in str(row)}


def _sorted(cell: object) -> str:
    """The cell with its parts in one order: SQLite keeps a table's constraints in the order they were written in.

    It also puts the name of a table that was written anew into quotes.
    """
    return ",".join(sorted(part.strip(" ()") for part in " ".join(str(cell).replace('"', "").split()).split(",")))


def test_the_versions_lead_to_the_tables_of_the_code(empty: Settings) -> None:
    opened = open_database(empty)
    with opened.engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx, opts={"compare_type": True}), metadata) == []
    opened.close()


def test_the_versions_make_the_very_same_schema_as_the_tables_of_the_code(empty: Settings) -> None:
    opened = open_database(empty)
    made = schema(opened.engine)
    with opened.engine.begin() as tx:
        metadata.drop_all(tx)
        metadata.create_all(tx)
    assert schema(opened.engine) == made
    opened.close()


def test_there_is_one_line_of_versions() -> None:
    assert len(ScriptDirectory(str(migrate.MIGRATIONS)).get_heads()) == 1


def test_opening_again_changes_nothing(empty: Settings) -> None:
    first = open_database(empty)
    first.submit(store_settings.any_tenant_raise_directory_version).result()
    first.close()
    again = open_database(empty)
    assert again.read_now(store_settings.any_tenant_directory_version) == 1
    again.close()


def test_a_database_of_a_newer_version_is_left_alone(empty: Settings) -> None:
    opened = open_database(empty)
    opened.submit(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))).result()
    opened.close()
    with pytest.raises(migrate.DatabaseTooNew, match=r"newer version of Vonal \(9999\)"):
        open_database(empty)


def test_an_upgrade_that_fails_leaves_nothing_behind(empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    real = command.upgrade

    def cut(*arguments: object) -> None:
        real(*arguments)
        raise OSError("the machine goes down here")

    monkeypatch.setattr(command, "upgrade", cut)
    with pytest.raises(OSError, match="goes down"):
        open_database(empty)
    monkeypatch.undo()
    open_database(empty).close()


def test_those_who_start_at_the_same_time_do_not_collide(empty: Settings) -> None:
    count = 4
    start = threading.Barrier(count)
    faults: list[BaseException] = []

    def one() -> None:
        start.wait()
        try:
            open_database(empty).close()
        except BaseException as fault:  # noqa: BLE001 - told by the assertion
            faults.append(fault)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_a_database_that_cannot_be_reached_is_named_without_its_password(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql://vonal:s3cret@127.0.0.1:1/vonal")
    with pytest.raises(DatabaseUnavailable, match="Cannot open the database of VONAL_DATABASE_URL: ") as raised:
        open_database(settings)
    assert "s3cret" not in raised.value.detail


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "vonal.db").write_bytes(b"something else entirely, and long enough to have a header" * 100)
    with pytest.raises(DatabaseUnavailable, match="file is not a database"):
        open_database(Settings(data_dir=tmp_path))


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseUnavailable, match="Cannot open"):
        open_database(Settings(data_dir=tmp_path / "file" / "data"))


def test_a_database_of_the_fixture_is_up_to_date(database: Database) -> None:
    with database.engine.connect() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []

"""Brings a database's tables to the version that this code expects; at most starts there is nothing to do.

The versions lie in the package, in `migrations/versions`. `tests/service/test_migrations.py` says how to make the next.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from vonal.domain.errors import VonalError

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x766F6E616C  # of PostgreSQL's advisory locks; any number that nobody else takes


class DatabaseTooNew(VonalError):
    """A newer version of the program has changed the tables."""

    status, code, title = 503, "database_too_new", "The database belongs to a newer version"


def upgrade(engine: Engine) -> None:
    """Upgrades the tables, all or nothing. Of several that start at once one does it, the others wait for it.

    Raises DatabaseTooNew.
    """
    with engine.connect() as reading:
        if _is_current(reading):
            return
    with engine.execution_options(vonal_writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not _is_current(connection):
            command.upgrade(config(connection), "head")


def config(connection: Connection) -> Config:
    """Alembic's configuration, for working on this connection."""
    made = Config(attributes={"connection": connection})
    made.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    return made


def _is_current(connection: Connection) -> bool:
    versions = ScriptDirectory(str(MIGRATIONS))
    known = {one.revision for one in versions.walk_revisions()}
    has = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := has - known:
        raise DatabaseTooNew(
            f"The database has the tables of a newer version of Vonal ({min(unknown)}); "
            "run that version, or restore a backup made before the upgrade."
        )
    return has == set(versions.get_heads())

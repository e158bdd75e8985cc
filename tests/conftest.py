"""What many tests need: an empty database of each kind, and a free port."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import ports
from postgresql import Server, running_server
from vonal.config import Settings
from vonal.store import migrate
from vonal.store.database import Database

TEMPLATE = "vonal_template"

settings.register_profile("vonal", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("vonal")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server, one for the whole run, started when the first test asks for it."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "vonal.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _postgresql_template(postgresql: Server) -> str:
    postgresql.create(TEMPLATE)
    _upgrade(postgresql.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """VONAL_DATABASE_URL of a fresh database with all tables; a test that asks for it runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "vonal.db"
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("_postgresql_template")
    server: Server = request.getfixturevalue("postgresql")
    name = f"test_{uuid.uuid4().hex}"
    server.create(name, template=template)
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with all tables, opened."""
    opened = Database(Settings(database_url=database_url).sqlalchemy_url, owner=True)
    yield opened
    opened.close()


@pytest.fixture
def free_port() -> int:
    """A port that is free for TCP and UDP; for more than one call `ports.free_port()`."""
    return ports.free_port()


def _upgrade(url: str) -> None:
    opened = Database(Settings(database_url=url).sqlalchemy_url, owner=True)
    migrate.upgrade(opened.engine)
    opened.close()

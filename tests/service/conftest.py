"""Fixtures of the tests that run parts of the service on a real store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_house import House, running
from vonal.store import migrate
from vonal.store.database import Database


@pytest.fixture
def house(database: Database) -> Iterator[House]:
    """The API over HTTP, with a store of each kind and a fake phone system."""
    with running(database) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One API for a module's tests that neither start calls nor count anything."""
    path: Path = tmp_path_factory.mktemp("api") / "vonal.db"
    db = Database(f"sqlite:///{path}", owner=True)
    migrate.upgrade(db.engine)
    with running(db) as opened:
        yield opened
    db.close()

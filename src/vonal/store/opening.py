"""Opens the database that the settings name, and brings its tables up to date."""

import os
import sqlite3

from sqlalchemy.exc import SQLAlchemyError

from vonal.config import Settings
from vonal.domain.errors import VonalError
from vonal.store import migrate
from vonal.store.database import Database


class DatabaseUnavailable(VonalError):
    """The database cannot be opened; the message says which and why."""

    status, code, title, retryable = 503, "database_unavailable", "The database cannot be opened", True


def open_database(settings: Settings, *, owner: bool = False) -> Database:
    """The database with all its tables. `owner`: as in `Database`, for the service itself.

    Makes the data folder where it is missing. A SQLite file is readable by its owner only, for it holds phone secrets.
    Raises DatabaseUnavailable and DatabaseTooNew.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(settings.sqlalchemy_url)
        opened = Database(settings.sqlalchemy_url, owner=owner)
    except (OSError, SQLAlchemyError) as fault:
        raise _unavailable(settings, fault) from fault
    try:
        migrate.upgrade(opened.engine)
    except BaseException as fault:
        opened.close()
        if isinstance(fault, SQLAlchemyError | sqlite3.Error):
            raise _unavailable(settings, fault) from fault
        raise
    return opened


def _make_private(url: str) -> None:
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    os.chmod(path, 0o600)  # noqa: PTH101 - SQLite gives its other files the mode of this one


def _unavailable(settings: Settings, fault: BaseException) -> DatabaseUnavailable:
    reason = str(getattr(fault, "orig", None) or fault).strip().splitlines()[0]
    place = "the database of VONAL_DATABASE_URL" if settings.database_url else f"{settings.data_dir / 'vonal.db'}"
    return DatabaseUnavailable(f"Cannot open {place}: {reason}")

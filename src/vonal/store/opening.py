"""Opens the database that the settings name, and brings its tables up to date."""

import os
import sqlite3
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from vonal.config import Settings
from vonal.domain.errors import VonalError
from vonal.store import migrate, sealing
from vonal.store.database import Database
from vonal.store.secret import load_secrets
from vonal.store.vault import Vault

log = structlog.get_logger(__name__)


class DatabaseUnavailable(VonalError):
    """The database cannot be opened; the message says which and why."""

    status, code, title, retryable = 503, "database_unavailable", "The database cannot be opened", True


def open_database(settings: Settings, *, owner: bool = False) -> Database:
    """The database with all its tables. `owner`: as in `Database`, for the service itself.

    Makes the data folder where it is missing. A SQLite file is readable by its owner only. Secrets are sealed; for its
    owner, what the newest key does not seal is sealed anew. Raises DatabaseUnavailable, DatabaseTooNew, CannotUnseal
    and SettingsError.
    """
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_private(settings.sqlalchemy_url)
        opened = Database(settings.sqlalchemy_url, owner=owner, vault=Vault(partial(load_secrets, settings)))
    except (OSError, SQLAlchemyError) as fault:
        raise _unavailable(settings, fault) from fault
    try:
        migrate.upgrade(opened.engine)
        if owner:
            _seal(opened)
    except BaseException as fault:
        opened.close()
        if isinstance(fault, SQLAlchemyError | sqlite3.Error):
            raise _unavailable(settings, fault) from fault
        raise
    return opened


def _seal(opened: Database) -> None:
    if opened.read_now(sealing.any_tenant_has_older):
        log.info("secrets_sealed_anew", rows=opened.submit(sealing.any_tenant_seal_anew).result())
    sealing.scrub(opened.engine)


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

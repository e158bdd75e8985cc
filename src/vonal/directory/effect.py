"""Waits until the running service has taken the directory in."""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from vonal.config import Settings, SettingsError
from vonal.domain.errors import VonalError
from vonal.store import settings as store
from vonal.store.database import Database

LOCK_FILE = "service.lock"  # in the data folder; the service holds it by flock as long as it runs
DELIVERY_LOCK_FILES = tuple(f"delivery-{number}.lock" for number in range(1, 9))
ALIVE = timedelta(seconds=10)
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.05
PROBED_SECONDS = 1.0  # a command that looks whether we run holds the lock for a moment


class NotInEffect(VonalError):
    """The directory is stored, but the running service could not take it in."""

    status, code, title = 503, "not_in_effect", "The directory is stored, but not in effect"


def service_runs(settings: Settings, db: Database, *, now: datetime | None = None) -> bool:
    """Whether a service works on this database: one of this data folder, or with PostgreSQL one anywhere."""
    if _locked(settings):
        return True
    if not settings.sqlalchemy_url.startswith("postgresql"):
        return False
    seen = db.read_now(store.any_tenant_seen_at)
    return seen is not None and (now or datetime.now(UTC)) - seen < ALIVE


def wait_until_in_effect(
    db: Database, version: int, *, runs: Callable[[], bool], seconds: float = WAIT_SECONDS
) -> bool:
    """Returns True when the service has taken in this version, False when none runs (any more).

    Raises NotInEffect with the service's reason, or after `seconds` without an answer.
    """
    end = time.monotonic() + seconds
    while runs():
        applied, fault = db.read_now(store.any_tenant_applied)
        if applied >= version:
            if fault:
                raise NotInEffect(f"The directory is stored, but the service could not take it in: {fault}")
            return True
        if time.monotonic() > end:
            raise NotInEffect(
                f"The directory is stored, but the running service has not taken it in within {seconds:.0f} s; "
                "look into its log, or run `vonal doctor`."
            )
        time.sleep(POLL_SECONDS)
    return False


async def taken_in(db: Database, version: int, *, seconds: float = WAIT_SECONDS) -> None:
    """Returns when the service that this runs in has taken this version in; Asterisk's own faults are not looked at.

    Raises NotInEffect after `seconds`.
    """
    end = time.monotonic() + seconds
    while (await db.read(store.any_tenant_applied))[0] < version:
        if time.monotonic() > end:
            raise NotInEffect("It is stored, and will take effect when the service has caught up; its log says why.")
        await asyncio.sleep(POLL_SECONDS)


def _locked(settings: Settings) -> bool:
    try:
        with (settings.data_dir / LOCK_FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def only_service(settings: Settings, *, role: str = "all") -> Iterator[str]:
    """Holds the process's seat in the data folder, and yields its name.

    There is one for the service, and beside PostgreSQL several for processes that only deliver. Raises SettingsError
    when there is no free one.
    """
    files = DELIVERY_LOCK_FILES if role == "delivery" and settings.is_postgresql else (LOCK_FILE,)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptors = [
            os.open(settings.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for name in files
        ]
    except OSError as fault:
        raise SettingsError(f"VONAL_DATA_DIR={settings.data_dir}: {fault.strerror}") from fault
    try:
        yield files[_first_free(descriptors)].removesuffix(".lock")
    except BlockingIOError as fault:
        raise SettingsError(f"VONAL_DATA_DIR={settings.data_dir}: a service is running in it already") from fault
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _first_free(descriptors: list[int]) -> int:
    for number, descriptor in enumerate(descriptors):
        try:
            _lock(descriptor)
        except BlockingIOError:
            if number == len(descriptors) - 1:
                raise
        else:
            return number
    raise ValueError(descriptors)


def _lock(descriptor: int) -> None:
    until = time.monotonic() + PROBED_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_SECONDS)

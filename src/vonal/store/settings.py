"""What the service and the commands tell each other through the database: small texts by name.

The directory has a version: `vonal apply` raises it, the running service takes the directory in and says up to which
version it has, or why it could not.
"""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from vonal.store.sql import from_ms, to_ms, upsert
from vonal.store.tables import setting as table

DIRECTORY_VERSION = "directory_version"
APPLIED_VERSION = "applied_version"
APPLIED_FAULT = "applied_fault"
SERVICE_SEEN_AT = "service_seen_at"


def any_tenant_get(tx: Connection, name: str) -> str | None:
    """The text stored under this name."""
    return tx.execute(select(table.c.value).where(table.c.name == name)).scalar()


def any_tenant_set(tx: Connection, name: str, value: str) -> None:
    """Stores the text under this name."""
    upsert(tx, table, [{"name": name, "value": value}], key=["name"])


def any_tenant_directory_version(tx: Connection) -> int:
    """Counts the directory's changes; 0 before the first."""
    return int(any_tenant_get(tx, DIRECTORY_VERSION) or 0)


def any_tenant_lock_directory(tx: Connection) -> int:
    """The directory's version, with nobody else able to change the directory until this transaction ends."""
    # The first migration made the row, so there is always one to lock.
    statement = select(table.c.value).where(table.c.name == DIRECTORY_VERSION).with_for_update()
    return int(tx.execute(statement).scalar_one())


def any_tenant_raise_directory_version(tx: Connection) -> int:
    """Tells the running service that the directory has changed; to be called in the changing transaction."""
    version = any_tenant_lock_directory(tx) + 1
    any_tenant_set(tx, DIRECTORY_VERSION, str(version))
    return version


def any_tenant_mark_applied(tx: Connection, version: int, *, fault: str = "") -> None:
    """The service's answer: the directory up to `version` is in effect, or is not, because of `fault`."""
    any_tenant_set(tx, APPLIED_FAULT, fault)
    any_tenant_set(tx, APPLIED_VERSION, str(version))


def any_tenant_applied(tx: Connection) -> tuple[int, str]:
    """Up to which version the service has taken the directory in, and the fault it met, if any."""
    return int(any_tenant_get(tx, APPLIED_VERSION) or 0), any_tenant_get(tx, APPLIED_FAULT) or ""


def any_tenant_mark_seen(tx: Connection, now: datetime) -> None:
    """The running service's sign of life, every few seconds."""
    any_tenant_set(tx, SERVICE_SEEN_AT, str(to_ms(now)))


def any_tenant_seen_at(tx: Connection) -> datetime | None:
    """When a running service gave its last sign of life."""
    value = any_tenant_get(tx, SERVICE_SEEN_AT)
    return from_ms(int(value)) if value else None


def any_tenant_hold(tx: Connection, name: str, *, owner: str, now: int, until: int) -> bool:
    """Takes or renews the lease `name` for `owner` until then (ms UTC); False while somebody else has it."""
    insert = (sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert)(table)
    tx.execute(insert.values(name=name, value="").on_conflict_do_nothing())
    free = or_(table.c.value < f"{now:015d}", table.c.value.endswith(f" {owner}"))
    return (
        tx.execute(update(table).where(table.c.name == name, free).values(value=f"{until:015d} {owner}")).rowcount == 1
    )

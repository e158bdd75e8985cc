"""Recordings that are kept are deleted sooner than was meant, because their company wants so."""

from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from vonal.domain.audit import Actor, Entry
from vonal.store import audit, recordings
from vonal.store.database import Database
from vonal.store.sql import to_ms

MOST_COUNTED = 100_000


async def over(db: Database, tenant_id: str, days: int) -> int:
    """How many recordings are older than so many days, up to MOST_COUNTED."""
    before = datetime.now(UTC) - timedelta(days=days)
    return await db.read(partial(recordings.count_before, tenant_id, before=before, most=MOST_COUNTED))


async def shorten(db: Database, tenant_id: str, days: int, *, by: Actor) -> int:
    """No recording of the tenant is kept for longer; those that are older go within minutes. Returns how many it is."""
    changed, after = 0, (0, "")
    while True:
        # A piece at a time: calls are written between them.
        some, following = await db.write(partial(recordings.delete_sooner, tenant_id, days=days, after=after))
        changed += some
        if following is None:
            break
        after = following
    await db.write(partial(_told, tenant_id, days=days, changed=changed, by=by))
    return changed


def _told(tenant_id: str, tx: Connection, *, days: int, changed: int, by: Actor) -> None:
    entry = Entry(
        tenant_id=tenant_id,
        at=to_ms(datetime.now(UTC)),
        actor=by,
        action="shorten",
        kind="recordings",
        name=str(days),
        after={"retention_days": days, "recordings": changed},
    )
    audit.add(tenant_id, tx, entry)

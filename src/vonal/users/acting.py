"""An operator looks at a tenant as its owner would: logged where the tenant's own people see it."""

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from vonal.domain.audit import Actor, Entry
from vonal.store import audit
from vonal.store import sessions as store
from vonal.store.database import Database
from vonal.store.sessions import Session
from vonal.store.sql import to_ms


async def begin(db: Database, session: Session, tenant_id: str, *, by: Actor) -> None:
    """The session acts as the tenant from now on."""
    await db.write(partial(_turn, tenant_id, session=session, to=tenant_id, action="act_as", by=by))


async def end(db: Database, session: Session, tenant_id: str, *, by: Actor) -> None:
    """It acts as the tenant no more."""
    await db.write(partial(_turn, tenant_id, session=session, to=None, action="end_acting", by=by))


def _turn(tenant_id: str, tx: Connection, *, session: Session, to: str | None, action: str, by: Actor) -> None:
    store.any_tenant_change(tx, session.id, tenant_id=to)
    at = to_ms(datetime.now(UTC))
    entry = Entry(tenant_id=tenant_id, at=at, actor=by, action=action, kind="tenant", name=tenant_id)
    audit.add(tenant_id, tx, entry)

"""Browsers that are signed in. A session's token is stored as its SHA-256 only."""

from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, select, update

from vonal.store import sql
from vonal.store.tables import session as table

Passed = Literal["password", "enrol", "all"]


class Session(Struct, frozen=True, kw_only=True):
    """One browser. Times in ms UTC. `passed`: "password" as long as the second factor is owed, "enrol" as long as the
    user has to set one up, because his company asks for it; `proved_at`: when he last showed password or factor.

    `tenant_id`: which of his tenants the user looks at; of an operator: as which he acts, None when as none.
    """

    id: str
    user_id: str
    tenant_id: str | None
    passed: Passed
    proved_at: int
    created_at: int
    seen_at: int
    expires_at: int
    address: str
    browser: str


def any_tenant_add(tx: Connection, session: Session, *, token_hash: str) -> None:
    """Stores a new session."""
    row = {name: getattr(session, name) for name in session.__struct_fields__}
    sql.insert(tx, table, [{**row, "token_hash": token_hash}])


def any_tenant_find(tx: Connection, token_hash: str, *, now: int) -> Session | None:
    """The session of this token, unless its time is over."""
    row = tx.execute(select(table).where(table.c.token_hash == token_hash, table.c.expires_at > now)).one_or_none()
    return None if row is None else _session(row)


def any_tenant_of_user(tx: Connection, user_id: str, *, now: int) -> list[Session]:
    """The user's sessions, the one that was used last first."""
    query = select(table).where(table.c.user_id == user_id, table.c.expires_at > now)
    return [_session(row) for row in tx.execute(query.order_by(table.c.seen_at.desc()))]


def any_tenant_change(tx: Connection, session_id: str, **values: Any) -> None:
    """Overwrites some of a session's columns."""
    tx.execute(update(table).where(table.c.id == session_id).values(values))


def any_tenant_end(tx: Connection, user_id: str, *, but: str | None = None, only: str | None = None) -> None:
    """Ends the user's sessions: all, all `but` the one of this id, or `only` the one of this id."""
    ended = delete(table).where(table.c.user_id == user_id)
    if but is not None:
        ended = ended.where(table.c.id != but)
    if only is not None:
        ended = ended.where(table.c.id == only)
    tx.execute(ended)


def any_tenant_forget(tx: Connection, *, now: int) -> None:
    """Deletes those whose time is over."""
    tx.execute(delete(table).where(table.c.expires_at <= now))


def _session(row: Row[Any]) -> Session:
    return Session(**{name: getattr(row, name) for name in Session.__struct_fields__})

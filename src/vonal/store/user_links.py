"""Links that let somebody choose a password: invitations and resets. Only the token's SHA-256 is stored."""

from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from vonal.store import sql
from vonal.store.tables import membership
from vonal.store.tables import user_link as table

LinkKind = Literal["invitation", "reset"]


class UserLink(Struct, frozen=True, kw_only=True):
    """One link; times in ms UTC."""

    kind: LinkKind
    user_id: str
    created_at: int
    expires_at: int


def any_tenant_replace(tx: Connection, link: UserLink, *, token_hash: str) -> None:
    """Stores a new link; the user's others of its kind are no longer good."""
    tx.execute(delete(table).where(table.c.user_id == link.user_id, table.c.kind == link.kind))
    row = {name: getattr(link, name) for name in link.__struct_fields__}
    sql.insert(tx, table, [{**row, "token_hash": token_hash}])


def any_tenant_find(tx: Connection, token_hash: str, *, now: int) -> UserLink | None:
    """The link of this token, unless it was used or its time is over."""
    row = tx.execute(select(table).where(table.c.token_hash == token_hash, table.c.expires_at > now)).one_or_none()
    return None if row is None else UserLink(**{name: getattr(row, name) for name in UserLink.__struct_fields__})


def any_tenant_take(tx: Connection, token_hash: str, *, now: int) -> UserLink | None:
    """`any_tenant_find`, and the link is used up: of two who take it one gets it."""
    found = any_tenant_find(tx, token_hash, now=now)
    gone = tx.execute(delete(table).where(table.c.token_hash == token_hash)).rowcount
    return found if gone else None


def any_tenant_made_at(tx: Connection, user_id: str, *, kind: LinkKind) -> int | None:
    """When the user's link of this kind was made, ms UTC; None when he has none."""
    return tx.execute(select(table.c.created_at).where(table.c.user_id == user_id, table.c.kind == kind)).scalar()


def any_tenant_end(tx: Connection, user_id: str) -> None:
    """The user's links are no longer good."""
    tx.execute(delete(table).where(table.c.user_id == user_id))


def invited(tenant_id: str, tx: Connection) -> dict[str, int]:
    """Until when the invitations of the tenant's people are good, by user id; ms UTC."""
    joined = table.join(membership, membership.c.user_id == table.c.user_id)
    query = select(table.c.user_id, table.c.expires_at).select_from(joined)
    query = query.where(membership.c.tenant_id == tenant_id, table.c.kind == "invitation")
    return {row.user_id: row.expires_at for row in tx.execute(query)}


def any_tenant_forget(tx: Connection, *, now: int) -> None:
    """Deletes those whose time is over."""
    tx.execute(delete(table).where(table.c.expires_at <= now))

"""Passkeys (WebAuthn credentials): public keys, so nothing of them is secret."""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, delete, select, update

from vonal.store import sql
from vonal.store.tables import membership
from vonal.store.tables import passkey as table


class Passkey(Struct, frozen=True, kw_only=True):
    """One passkey; `id` is the credential's, base64url; times in ms UTC. `sign_count` grows with some devices' uses."""

    id: str
    user_id: str
    public_key: bytes
    sign_count: int
    name: str
    created_at: int
    used_at: int | None = None


def any_tenant_add(tx: Connection, passkey: Passkey) -> None:
    """Stores a new passkey."""
    sql.insert(tx, table, [{name: getattr(passkey, name) for name in passkey.__struct_fields__}])


def any_tenant_find(tx: Connection, passkey_id: str) -> Passkey | None:
    """The passkey of this credential id."""
    row = tx.execute(select(table).where(table.c.id == passkey_id)).one_or_none()
    return None if row is None else _passkey(row)


def any_tenant_of_user(tx: Connection, user_id: str) -> list[Passkey]:
    """The user's passkeys, the oldest first."""
    rows = tx.execute(select(table).where(table.c.user_id == user_id).order_by(table.c.created_at, table.c.id))
    return [_passkey(row) for row in rows]


def any_tenant_used(tx: Connection, passkey: Passkey, *, sign_count: int, at: int) -> bool:
    """Notes a use of the passkey; False when it has been used since it was read."""
    same = (table.c.id == passkey.id, table.c.sign_count == passkey.sign_count)
    return tx.execute(update(table).where(*same).values(sign_count=sign_count, used_at=at)).rowcount == 1


def any_tenant_remove(tx: Connection, user_id: str, *, only: str | None = None) -> int:
    """Removes the user's passkeys, or `only` the one of this id; how many they were."""
    statement = delete(table).where(table.c.user_id == user_id)
    return tx.execute(statement if only is None else statement.where(table.c.id == only)).rowcount


def owners(tenant_id: str, tx: Connection) -> set[str]:
    """The ids of the tenant's people who have a passkey."""
    joined = table.join(membership, membership.c.user_id == table.c.user_id)
    query = select(table.c.user_id).select_from(joined).where(membership.c.tenant_id == tenant_id)
    return set(tx.execute(query).scalars())


def _passkey(row: Row[Any]) -> Passkey:
    return Passkey(**{name: getattr(row, name) for name in Passkey.__struct_fields__})

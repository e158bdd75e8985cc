"""What a user signs in with: his password's hash, his second factor, his recovery codes. Each row is sealed."""

from collections.abc import Callable

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select, update

from vonal.store import vault
from vonal.store.tables import membership, user

KIND = "user"


class UserSecrets(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`totp` is the secret in base32, `totp_step` the last of its half minutes that was used; `recovery` are hashes."""

    password_hash: str | None = None
    totp: str | None = None
    totp_step: int = 0
    recovery: tuple[str, ...] = ()


def any_tenant_none_yet(tx: Connection, user_id: str) -> str:
    """What is stored for a new user."""
    return _sealed(tx, user_id, UserSecrets())


def any_tenant_of(tx: Connection, user_id: str) -> UserSecrets:
    """The user's secrets; none for somebody whom there is not. Raises CannotUnseal."""
    text = tx.execute(select(user.c.secrets).where(user.c.id == user_id)).scalar()
    return _opened(tx, user_id, text) if text else UserSecrets()


def any_tenant_change(tx: Connection, user_id: str, change: Callable[[UserSecrets], UserSecrets]) -> UserSecrets:
    """Replaces the user's secrets by what `change` makes of them, with nobody in between; what they are now."""
    text = tx.execute(select(user.c.secrets).where(user.c.id == user_id).with_for_update()).scalar_one()
    changed = change(_opened(tx, user_id, text))
    tx.execute(update(user).where(user.c.id == user_id).values(secrets=_sealed(tx, user_id, changed)))
    return changed


def of(tenant_id: str, tx: Connection) -> dict[str, UserSecrets]:
    """The secrets of the tenant's people, by user id: to show who has what, never to be shown themselves."""
    joined = user.join(membership, membership.c.user_id == user.c.id)
    query = select(user.c.id, user.c.secrets).select_from(joined).where(membership.c.tenant_id == tenant_id)
    return {row.id: _opened(tx, row.id, row.secrets) for row in tx.execute(query)}


def _sealed(tx: Connection, user_id: str, secrets: UserSecrets) -> str:
    return vault.sealed("", tx, KIND, user_id, msgspec.json.encode(secrets).decode())


def _opened(tx: Connection, user_id: str, text: str) -> UserSecrets:
    return msgspec.json.decode(vault.opened("", tx, KIND, user_id, text), type=UserSecrets)

"""People who sign in to the portal, and what they may look at. Their secrets are in `vonal.store.user_secrets`."""

from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, select, update

from vonal.domain.users import Language, Membership, Role, User
from vonal.store import sql
from vonal.store.tables import membership, user


class _Profile(Struct, frozen=True):
    name: str
    language: Language


def any_tenant_add(tx: Connection, person: User, *, at: int) -> None:
    """Stores a new user with his places in tenants. The e-mail address must be free."""
    profile = msgspec.json.encode(_Profile(person.name, person.language)).decode()
    row = {"id": person.id, "email": person.email, "operator": person.operator, "created_at": at}
    sql.insert(tx, user, [{**row, "profile": profile, "secrets": ""}])
    for one in person.memberships:
        put(one.tenant_id, tx, person.id, role=one.role, extension=one.extension)


def put(tenant_id: str, tx: Connection, user_id: str, *, role: Role, extension: str | None) -> None:
    """Gives the user a place in the tenant, or another one."""
    row = {"tenant_id": tenant_id, "user_id": user_id, "role": role, "extension": extension}
    sql.upsert(tx, membership, [row], key=["tenant_id", "user_id"])


def of(tenant_id: str, tx: Connection) -> list[User]:
    """The tenant's people by e-mail address, with their places in this tenant only."""
    joined = user.join(membership, membership.c.user_id == user.c.id)
    query = select(user, membership.c.role, membership.c.extension).select_from(joined)
    rows = tx.execute(query.where(membership.c.tenant_id == tenant_id).order_by(user.c.email))
    return [_user(row, (Membership(tenant_id=tenant_id, role=row.role, extension=row.extension),)) for row in rows]


def any_tenant_find(tx: Connection, user_id: str) -> User | None:
    """The user with this id, unless he is disabled."""
    return _one(tx, "id", user_id)


def any_tenant_find_by_email(tx: Connection, email: str) -> User | None:
    """The user with this e-mail address (in lower case), unless he is disabled."""
    return _one(tx, "email", email)


def any_tenant_set_profile(tx: Connection, user_id: str, *, name: str, language: Language) -> None:
    """Changes how the user is called and spoken to."""
    profile = msgspec.json.encode(_Profile(name, language)).decode()
    tx.execute(update(user).where(user.c.id == user_id).values(profile=profile))


def _one(tx: Connection, column: Literal["id", "email"], value: str) -> User | None:
    row = tx.execute(select(user).where(user.c[column] == value, user.c.disabled_at.is_(None))).one_or_none()
    if row is None:
        return None
    places = tx.execute(select(membership).where(membership.c.user_id == row.id).order_by(membership.c.tenant_id))
    return _user(row, tuple(Membership(tenant_id=p.tenant_id, role=p.role, extension=p.extension) for p in places))


def _user(row: Row[Any], memberships: tuple[Membership, ...]) -> User:
    profile = msgspec.json.decode(row.profile, type=_Profile)
    return User(
        id=row.id,
        email=row.email,
        name=profile.name,
        language=profile.language,
        operator=bool(row.operator),
        memberships=memberships,
    )

"""People who sign in to the portal, and what they may look at. Their secrets are in `vonal.store.user_secrets`."""

from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, delete, func, select, update

from vonal.domain.users import Language, Membership, Role, User
from vonal.store import sql, user_secrets
from vonal.store.tables import membership, session, user


class _Profile(Struct, frozen=True):
    name: str
    language: Language


def any_tenant_add(tx: Connection, person: User, *, at: int) -> None:
    """Stores a new user with his places in tenants. The e-mail address must be free."""
    profile = msgspec.json.encode(_Profile(person.name, person.language)).decode()
    row = {"id": person.id, "email": person.email, "operator": person.operator, "created_at": at}
    sql.insert(tx, user, [{**row, "profile": profile, "secrets": user_secrets.any_tenant_none_yet(tx, person.id)}])
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


def remove(tenant_id: str, tx: Connection, user_id: str) -> None:
    """Takes the user's place in the tenant away."""
    tx.execute(delete(membership).where(membership.c.tenant_id == tenant_id, membership.c.user_id == user_id))


def seen(tenant_id: str, tx: Connection) -> dict[str, int]:
    """When each of the tenant's people was last here, ms UTC; who was not for long is missing."""
    joined = session.join(membership, membership.c.user_id == session.c.user_id)
    query = select(session.c.user_id, func.max(session.c.seen_at).label("seen_at")).select_from(joined)
    rows = tx.execute(query.where(membership.c.tenant_id == tenant_id).group_by(session.c.user_id))
    return {row.user_id: row.seen_at for row in rows}


def elsewhere(tenant_id: str, tx: Connection) -> set[str]:
    """The ids of the tenant's people who are in other tenants, too."""
    ours = select(membership.c.user_id).where(membership.c.tenant_id == tenant_id)
    query = select(membership.c.user_id).where(membership.c.tenant_id != tenant_id, membership.c.user_id.in_(ours))
    return set(tx.execute(query).scalars())


def lock(tenant_id: str, tx: Connection) -> None:
    """Nobody else changes who is in the tenant until this transaction ends: two owners may not remove each other."""
    tx.execute(select(membership.c.user_id).where(membership.c.tenant_id == tenant_id).with_for_update()).all()


def any_tenant_all(tx: Connection) -> list[User]:
    """Everybody by e-mail address, also those who are disabled."""
    places: dict[str, list[Membership]] = {}
    for row in tx.execute(select(membership).order_by(membership.c.tenant_id)):
        place = Membership(tenant_id=row.tenant_id, role=row.role, extension=row.extension)
        places.setdefault(row.user_id, []).append(place)
    rows = tx.execute(select(user).order_by(user.c.email))
    return [_user(row, tuple(places.get(row.id, ()))) for row in rows]


def any_tenant_disabled(tx: Connection) -> set[str]:
    """The ids of those who may not sign in."""
    return set(tx.execute(select(user.c.id).where(user.c.disabled_at.is_not(None))).scalars())


def any_tenant_set_disabled(tx: Connection, user_id: str, *, at: int | None) -> None:
    """Bars the user from signing in since then; None lets him in again."""
    tx.execute(update(user).where(user.c.id == user_id).values(disabled_at=at))


def any_tenant_set_operator(tx: Connection, user_id: str, *, operator: bool) -> None:
    """Whether the user runs the service."""
    tx.execute(update(user).where(user.c.id == user_id).values(operator=operator))


def any_tenant_delete(tx: Connection, user_id: str) -> None:
    """Removes the user with all that is his."""
    tx.execute(delete(user).where(user.c.id == user_id))


def any_tenant_find_by_subject(tx: Connection, subject: str) -> User | None:
    """The user whom the OpenID provider calls so, unless he is disabled."""
    return _one(tx, "subject", subject)


def any_tenant_set_subject(tx: Connection, user_id: str, subject: str) -> bool:
    """Remembers what the OpenID provider calls the user; False when he is called otherwise already."""
    free = (user.c.id == user_id, user.c.subject.is_(None))
    return tx.execute(update(user).where(*free).values(subject=subject)).rowcount == 1


def any_tenant_has_subject(tx: Connection, user_id: str) -> bool:
    """Whether the user has signed in through the OpenID provider."""
    return tx.execute(select(user.c.subject).where(user.c.id == user_id)).scalar() is not None


def any_tenant_find(tx: Connection, user_id: str) -> User | None:
    """The user with this id, unless he is disabled."""
    return _one(tx, "id", user_id)


def any_tenant_find_by_email(tx: Connection, email: str) -> User | None:
    """The user with this e-mail address (in lower case), unless he is disabled."""
    return _one(tx, "email", email)


def any_tenant_is_taken(tx: Connection, email: str) -> bool:
    """Whether somebody has this e-mail address, disabled or not."""
    return tx.execute(select(user.c.id).where(user.c.email == email)).scalar() is not None


def any_tenant_set_profile(tx: Connection, user_id: str, *, name: str, language: Language) -> None:
    """Changes how the user is called and spoken to."""
    profile = msgspec.json.encode(_Profile(name, language)).decode()
    tx.execute(update(user).where(user.c.id == user_id).values(profile=profile))


def _one(tx: Connection, column: Literal["id", "email", "subject"], value: str) -> User | None:
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

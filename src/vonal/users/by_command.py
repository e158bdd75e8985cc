"""What `vonal users` does. Everything is written into the audit log, as done by the command."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain.audit import COMMAND, Entry
from vonal.domain.call import new_id
from vonal.domain.errors import DirectoryError
from vonal.domain.users import Language, Membership, Role, User, fault_of_email, fault_of_place
from vonal.store import audit, passkeys, sessions, user_links, user_secrets, users
from vonal.store import directory as directories
from vonal.store.database import Database
from vonal.store.user_secrets import UserSecrets
from vonal.users.links import any_tenant_new

Place = tuple[str, Role, str | None]  # tenant, role, extension


class Shown(Struct, frozen=True, kw_only=True):
    """Somebody, and whether he has a second factor; `state`: "active", "invited" or "disabled"."""

    user: User
    second_factor: bool
    state: str


def add(
    db: Database, *, email: str, name: str, language: Language, operator: bool, place: Place | None, now: int
) -> str | None:
    """Adds somebody; the token of his invitation, None for one who is there already. Raises DirectoryError."""
    user = User(id=new_id("usr"), email=email.strip().lower(), name=name.strip(), language=language, operator=operator)
    if place is not None:
        user = replace(user, memberships=(Membership(tenant_id=place[0], role=place[1], extension=place[2]),))
    return db.submit(partial(_add, user=user, now=now)).result()


def everybody(db: Database) -> list[Shown]:
    """Everybody by e-mail address."""
    return db.read_now(_everybody)


def reset(db: Database, *, email: str, factors: bool, now: int) -> str:
    """The token of a link to choose a new password. Raises DirectoryError."""
    return db.submit(partial(_reset, email=email, factors=factors, now=now)).result()


def disable(db: Database, *, email: str, now: int, undo: bool) -> None:
    """Bars somebody from signing in, or lets him in again. Raises DirectoryError."""
    db.submit(partial(_disable, email=email, now=now, undo=undo)).result()


def remove(db: Database, *, email: str, now: int) -> None:
    """Removes somebody. Raises DirectoryError."""
    db.submit(partial(_remove, email=email, now=now)).result()


def _add(tx: Connection, *, user: User, now: int) -> str | None:
    _check(tx, user)
    known = next((one for one in users.any_tenant_all(tx) if one.email == user.email), None)
    if known is not None:
        user = replace(user, id=known.id, name=known.name, language=known.language)
        for one in user.memberships:
            users.put(one.tenant_id, tx, user.id, role=one.role, extension=one.extension)
        if user.operator:
            users.any_tenant_set_operator(tx, user.id, operator=True)
    else:
        users.any_tenant_add(tx, user, at=now)
    _tell(tx, user, "change" if known else "add", now, after=shown_of(user))
    return None if known else any_tenant_new(tx, user.id, kind="invitation", now=now)


def shown_of(user: User) -> dict[str, object]:
    """What the audit log says of somebody."""
    places = {one.tenant_id: {"role": one.role, "extension": one.extension} for one in user.memberships}
    return {"name": user.name, "language": user.language, "operator": user.operator, "places": places}


def _check(tx: Connection, user: User) -> None:
    faults = [("email", fault)] if (fault := fault_of_email(user.email)) else []
    if not user.name or not user.name.isprintable():
        faults.append(("name", "expected how the person is called"))
    if not user.operator and not user.memberships:
        faults.append(("tenant", "expected --tenant with --role, or --operator"))
    for one in user.memberships:
        tenant = directories.load(one.tenant_id, tx)
        if tenant is None:
            faults.append(("tenant", f"tenant {one.tenant_id} does not exist"))
        elif place_fault := fault_of_place(one.role, one.extension, {each.number for each in tenant.extensions}):
            faults.append(("extension", place_fault))
    if faults:
        raise DirectoryError(faults)


def _everybody(tx: Connection) -> list[Shown]:
    disabled = users.any_tenant_disabled(tx)
    found = []
    for user in users.any_tenant_all(tx):
        secrets = user_secrets.any_tenant_of(tx, user.id)
        keys = passkeys.any_tenant_of_user(tx, user.id)
        signs_in = secrets.password_hash or keys or users.any_tenant_has_subject(tx, user.id)
        state = "disabled" if user.id in disabled else "active" if signs_in else "invited"
        found.append(Shown(user=user, second_factor=bool(secrets.totp or keys), state=state))
    return found


def _reset(tx: Connection, *, email: str, factors: bool, now: int) -> str:
    user = _known(tx, email)
    if factors:
        user_secrets.any_tenant_change(tx, user.id, _without_factors)
        passkeys.any_tenant_remove(tx, user.id)
        sessions.any_tenant_end(tx, user.id)
    _tell(tx, user, "reset", now, after={"factors removed": factors})
    return any_tenant_new(tx, user.id, kind="reset", now=now)


def _without_factors(secrets: UserSecrets) -> UserSecrets:
    return UserSecrets(password_hash=secrets.password_hash)


def _disable(tx: Connection, *, email: str, now: int, undo: bool) -> None:
    user = _known(tx, email)
    users.any_tenant_set_disabled(tx, user.id, at=None if undo else now)
    sessions.any_tenant_end(tx, user.id)
    user_links.any_tenant_end(tx, user.id)
    _tell(tx, user, "enable" if undo else "disable", now)


def _remove(tx: Connection, *, email: str, now: int) -> None:
    user = _known(tx, email)
    users.any_tenant_delete(tx, user.id)
    _tell(tx, user, "remove", now, before=shown_of(user))


def _known(tx: Connection, email: str) -> User:
    found = next((one for one in users.any_tenant_all(tx) if one.email == email.strip().lower()), None)
    if found is None:
        raise DirectoryError([("email", f"there is nobody of the address {email}; `vonal users list` shows who is")])
    return found


def _tell(tx: Connection, user: User, action: str, now: int, *, before: object = None, after: object = None) -> None:
    make: Callable[..., Entry] = partial(
        Entry, at=now, actor=COMMAND, action=action, kind="user", name=user.email, before=before, after=after
    )
    about = [one.tenant_id for one in user.memberships] or [""]
    audit.any_tenant_add(tx, [make(tenant_id=one) for one in about])

"""A tenant's people: who they are, inviting, changing and removing them, and helping who has lost his password.

Somebody may be in several tenants. What lets people in (links, second factors) is an administrator's business only
where the person is in no other tenant, and no operator: else one company could open another's door.
"""

import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain.audit import Actor, Entry
from vonal.domain.call import new_id
from vonal.domain.errors import InvalidParts, NotFound, ScopeMissing
from vonal.domain.users import Membership, Role, User, fault_of_email, fault_of_place, may_give
from vonal.store import audit, passkeys, sessions, user_links, user_rules, user_secrets, users
from vonal.store import directory as directories
from vonal.store.database import Database
from vonal.store.user_links import LinkKind
from vonal.users import letters
from vonal.users.letters import Mail
from vonal.users.links import any_tenant_new

LONGEST_NAME = 128


class Colleague(Struct, frozen=True, kw_only=True):
    """One of the tenant's people. Times in ms UTC; `invited_until`: he has not chosen a password yet.

    `is_ours`: he is in no other tenant, so that this one may make links for him.
    """

    user: User
    place: Membership
    second_factor: bool
    seen_at: int | None
    invited_until: int | None
    pending: bool
    is_ours: bool


class Made(Struct, frozen=True, kw_only=True):
    """Somebody was invited, or has got a link: `token` is the link's, None where he signs in already."""

    user: User
    token: str | None


class Giver(Struct, frozen=True, kw_only=True):
    """Who does it, and in which role."""

    role: Role
    name: str
    actor: Actor


class Staff:
    """`mail` sends a letter in the background; `where` is the portal's address; `clock` is in ms UTC."""

    def __init__(
        self,
        db: Database,
        *,
        where: str,
        mail: Mail | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._db, self._where, self._mail, self._clock = db, where, mail, clock

    async def everybody(self, tenant_id: str) -> list[Colleague]:
        """The tenant's people by e-mail address."""
        return await self._db.read(partial(_everybody, tenant_id, now=self._clock()))

    async def find(self, tenant_id: str, user_id: str) -> Colleague:
        """One of them. Raises NotFound."""
        return await self._db.read(partial(_find, tenant_id, user_id=user_id, now=self._clock()))

    async def second_factor_required(self, tenant_id: str) -> bool:
        """Whether the tenant asks everybody for a second factor."""
        return await self._db.read(partial(user_rules.second_factor_required, tenant_id))

    async def require_second_factor(self, tenant_id: str, giver: Giver, *, required: bool) -> None:
        """From now on."""
        await self._db.write(partial(_require, tenant_id, giver=giver, required=required, now=self._clock()))

    async def invite(self, tenant_id: str, giver: Giver, user: User, *, company: str) -> Made:
        """Invites the user, who has his place in the tenant already. Raises InvalidParts, ScopeMissing."""
        made = await self._db.write(partial(_invite, tenant_id, giver=giver, user=user, now=self._clock()))
        if self._mail is not None:
            whom = {"company": company, "inviter": giver.name, "where": self._where}
            if made.token:
                letter = letters.invitation(made.user, link=self.link(made.token, "invitation"), **whom)
            else:
                letter = letters.added(made.user, **whom)
            self._mail(made.user.email, *letter)
        return made

    async def link_for(self, tenant_id: str, giver: Giver, user_id: str, *, company: str) -> tuple[Made, LinkKind]:
        """A link to choose a password, for who has none yet (his invitation again) or has lost it.

        Raises NotFound, ScopeMissing.
        """
        make = partial(_link, tenant_id, giver=giver, user_id=user_id, now=self._clock())
        user, token, kind = await self._db.write(make)
        if self._mail is not None:
            link = self.link(token, kind)
            whom = {"company": company, "inviter": giver.name, "where": self._where}
            invites = kind == "invitation"
            letter = (
                letters.invitation(user, link=link, **whom)
                if invites
                else letters.reset(user, link=link, where=self._where)
            )
            self._mail(user.email, *letter)
        return Made(user=user, token=token), kind

    async def change(self, tenant_id: str, giver: Giver, user_id: str, *, role: Role, extension: str | None) -> None:
        """Gives another role, or extension. Raises NotFound, ScopeMissing, InvalidParts."""
        place = Membership(tenant_id=tenant_id, role=role, extension=extension)
        await self._db.write(partial(_change, tenant_id, giver=giver, user_id=user_id, place=place, now=self._clock()))

    async def remove(self, tenant_id: str, giver: Giver, user_id: str) -> None:
        """Takes the place in the tenant away; who has no other is forgotten. Raises NotFound, ScopeMissing,
        InvalidParts.
        """
        await self._db.write(partial(_remove, tenant_id, giver=giver, user_id=user_id, now=self._clock()))

    async def remove_factors(self, tenant_id: str, giver: Giver, user_id: str) -> None:
        """For who has lost his phone: only the password is asked for. Raises NotFound, ScopeMissing."""
        await self._db.write(partial(_remove_factors, tenant_id, giver=giver, user_id=user_id, now=self._clock()))

    def link(self, token: str, kind: LinkKind) -> str:
        """The link's address."""
        return f"{self._where}/{'welcome' if kind == 'invitation' else 'reset'}/{token}"


def _everybody(tenant_id: str, tx: Connection, *, now: int) -> list[Colleague]:
    secrets, keys = user_secrets.of(tenant_id, tx), passkeys.owners(tenant_id, tx)
    seen, invited = users.seen(tenant_id, tx), user_links.invited(tenant_id, tx)
    elsewhere = users.elsewhere(tenant_id, tx)
    found = []
    for user in users.of(tenant_id, tx):
        has = secrets[user.id]
        until = invited.get(user.id)
        found.append(
            Colleague(
                user=user,
                place=user.memberships[0],
                second_factor=has.totp is not None or user.id in keys,
                seen_at=seen.get(user.id),
                invited_until=until if until is not None and until > now else None,
                pending=has.password_hash is None and user.id not in keys and user.id not in seen,
                is_ours=not user.operator and user.id not in elsewhere,
            )
        )
    return found


def _find(tenant_id: str, tx: Connection, *, user_id: str, now: int) -> Colleague:
    found = next((one for one in _everybody(tenant_id, tx, now=now) if one.user.id == user_id), None)
    if found is None:
        raise NotFound("There is nobody like this in your company.")
    return found


def _invite(tenant_id: str, tx: Connection, *, giver: Giver, user: User, now: int) -> Made:
    users.lock(tenant_id, tx)
    place = user.memberships[0]
    faults = [("email", "malformed")] if fault_of_email(user.email) else []
    if not 0 < len(user.name) <= LONGEST_NAME or not user.name.isprintable():
        faults.append(("name", "missing"))
    if any(one.email == user.email for one in users.of(tenant_id, tx)):
        faults.append(("email", "there"))
    _check_place(tenant_id, tx, place, faults)
    _check_may(giver, place.role)
    known = users.any_tenant_find_by_email(tx, user.email)
    if known is None and users.any_tenant_is_taken(tx, user.email):
        raise InvalidParts([("email", "barred")])
    if known is None:
        user = replace(user, id=new_id("usr"))
        users.any_tenant_add(tx, user, at=now)
    else:
        user = known
        users.put(tenant_id, tx, user.id, role=place.role, extension=place.extension)
    _tell(tenant_id, tx, giver, "invite", user, now, after=_shown(place))
    if known is not None:
        return Made(user=user, token=None)
    return Made(user=user, token=any_tenant_new(tx, user.id, kind="invitation", now=now))


def _link(tenant_id: str, tx: Connection, *, giver: Giver, user_id: str, now: int) -> tuple[User, str, LinkKind]:
    one = _ours(tenant_id, tx, giver, user_id, now)
    kind: LinkKind = "invitation" if one.pending else "reset"
    _tell(tenant_id, tx, giver, "invite" if one.pending else "reset", one.user, now)
    return one.user, any_tenant_new(tx, user_id, kind=kind, now=now), kind


def _change(tenant_id: str, tx: Connection, *, giver: Giver, user_id: str, place: Membership, now: int) -> None:
    users.lock(tenant_id, tx)
    one = _find(tenant_id, tx, user_id=user_id, now=now)
    _check_may(giver, one.place.role)
    _check_may(giver, place.role)
    _check_place(tenant_id, tx, place, [])
    if place.role != "owner":
        _check_not_last(tenant_id, tx, one.user)
    users.put(tenant_id, tx, user_id, role=place.role, extension=place.extension)
    _tell(tenant_id, tx, giver, "change", one.user, now, before=_shown(one.place), after=_shown(place))


def _remove(tenant_id: str, tx: Connection, *, giver: Giver, user_id: str, now: int) -> None:
    users.lock(tenant_id, tx)
    one = _find(tenant_id, tx, user_id=user_id, now=now)
    _check_may(giver, one.place.role)
    _check_not_last(tenant_id, tx, one.user)
    users.remove(tenant_id, tx, user_id)
    if one.is_ours:
        users.any_tenant_delete(tx, user_id)
    _tell(tenant_id, tx, giver, "remove", one.user, now, before=_shown(one.place))


def _remove_factors(tenant_id: str, tx: Connection, *, giver: Giver, user_id: str, now: int) -> None:
    one = _ours(tenant_id, tx, giver, user_id, now)
    user_secrets.any_tenant_change(tx, user_id, lambda has: replace(has, totp=None, totp_step=0, recovery=()))
    passkeys.any_tenant_remove(tx, user_id)
    sessions.any_tenant_end(tx, user_id)
    _tell(tenant_id, tx, giver, "factors_removed", one.user, now)


def _require(tenant_id: str, tx: Connection, *, giver: Giver, required: bool, now: int) -> None:
    before = user_rules.second_factor_required(tenant_id, tx)
    user_rules.require_second_factor(tenant_id, tx, required=required)
    entry = Entry(
        tenant_id=tenant_id,
        at=now,
        actor=giver.actor,
        action="change",
        kind="setting",
        name="second_factor_required",
        before={"required": before},
        after={"required": required},
    )
    audit.add(tenant_id, tx, entry)


def _ours(tenant_id: str, tx: Connection, giver: Giver, user_id: str, now: int) -> Colleague:
    one = _find(tenant_id, tx, user_id=user_id, now=now)
    _check_may(giver, one.place.role)
    if not one.is_ours:
        raise ScopeMissing("This person is in other companies, too: only the operator of the service can help here.")
    return one


def _check_may(giver: Giver, role: Role) -> None:
    if not may_give(giver.role, role):
        raise ScopeMissing("Only an owner may do this to an owner.")


def _check_place(tenant_id: str, tx: Connection, place: Membership, faults: list[tuple[str, str]]) -> None:
    tenant = directories.load(tenant_id, tx)
    if fault_of_place(place.role, place.extension, {one.number for one in tenant.extensions} if tenant else set()):
        faults.append(("extension", "unknown" if place.extension else "missing"))
    if faults:
        raise InvalidParts(faults)


def _check_not_last(tenant_id: str, tx: Connection, user: User) -> None:
    owners = [one.id for one in users.of(tenant_id, tx) if one.memberships[0].role == "owner"]
    if owners == [user.id]:
        raise InvalidParts([("role", "last_owner")])


def _shown(place: Membership) -> dict[str, str | None]:
    return {"role": place.role, "extension": place.extension}


def _tell(  # noqa: PLR0913 - what an entry says
    tenant_id: str,
    tx: Connection,
    giver: Giver,
    action: str,
    user: User,
    now: int,
    *,
    before: object = None,
    after: object = None,
) -> None:
    entry = Entry(
        tenant_id=tenant_id,
        at=now,
        actor=giver.actor,
        action=action,
        kind="user",
        name=user.email,
        before=before,
        after=after,
    )
    audit.add(tenant_id, tx, entry)

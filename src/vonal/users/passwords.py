"""Choosing a password: by a link, or because one wants another; and asking for a link."""

import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain import new_password
from vonal.domain.audit import Actor, Entry
from vonal.domain.errors import InvalidParts, NotFound
from vonal.domain.passwords import hash_password
from vonal.domain.users import User
from vonal.store import audit, sessions, user_links, user_secrets, users
from vonal.store.database import Database
from vonal.store.sessions import Passed, Session
from vonal.store.user_links import LinkKind
from vonal.users import letters
from vonal.users.guard import Guard
from vonal.users.letters import Mail
from vonal.users.links import any_tenant_new, token_hash
from vonal.users.sign_in import SignIn, any_tenant_owes

AGAIN_MS = 120_000  # nobody is sent more letters than that


class Opened(Struct, frozen=True, kw_only=True):
    """A link that is good: of which kind, and for whom."""

    kind: LinkKind
    user: User


class Passwords:
    """`mail` sends a letter in the background; `where` is the portal's address; `clock` is in ms UTC."""

    def __init__(
        self,
        db: Database,
        sign_in: SignIn,
        guard: Guard,
        *,
        where: str,
        mail: Mail | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._db, self._sign_in, self._guard = db, sign_in, guard
        self._where, self._mail, self._clock = where, mail, clock

    async def opened(self, token: str, *, kind: LinkKind, address: str) -> Opened:
        """Whose link this is. Raises NotFound, TooMany."""
        found = await self._db.read(partial(_opened, token=token, kind=kind, now=self._clock()))
        if found is None:
            await self._guard.address(address)
            raise NotFound("This link was used already, or its time is over. Ask for another one.")
        return found

    async def choose(self, token: str, password: str, *, kind: LinkKind, address: str) -> tuple[User, Passed]:
        """The link's user has this password from now on, and the link is used up; what he owes for signing in.

        All his sessions end. Raises NotFound, TooMany; InvalidParts when the password will not do.
        """
        found = await self.opened(token, kind=kind, address=address)
        self.check(found.user, password)
        hashed = await self._sign_in.hashed(hash_password, password)
        told = self._sign_in.entries(found.user, "password", address, with_=kind)
        take = partial(_choose, token=token, user=found.user, hashed=hashed, told=told, now=self._clock())
        owed = await self._db.write(take)
        if owed is None:
            raise NotFound("This link was used already, or its time is over. Ask for another one.")
        if kind == "reset":
            self._say_changed(found.user, address)
        return found.user, owed

    async def change(self, session: Session, user: User, password: str, *, address: str) -> None:
        """The user has another password; his other sessions end. Raises InvalidParts."""
        self.check(user, password)
        hashed = await self._sign_in.hashed(hash_password, password)
        told = self._sign_in.entries(user, "password", address, with_="account")
        await self._db.write(partial(_set, user_id=user.id, hashed=hashed, but=session.id, told=told))
        self._say_changed(user, address)

    async def forgotten(self, email: str, *, address: str) -> None:
        """Sends a link to choose a new password, if there is such a user; says nothing of whether. Raises TooMany."""
        await self._guard.address(address)
        if self._mail is None:
            return
        made = await self._db.write(
            partial(_forgotten, email=email.strip().lower(), address=address, now=self._clock())
        )
        if made is not None:
            user, token = made
            self._mail(user.email, *letters.reset(user, link=f"{self._where}/reset/{token}", where=self._where))

    def check(self, user: User, password: str) -> None:
        """Whether the user may have this password. Raises InvalidParts with the class of fault."""
        if fault := new_password.fault_of(password, about=(user.name, user.email, "vonal")):
            raise InvalidParts([("password", fault)])

    def _say_changed(self, user: User, address: str) -> None:
        if self._mail is not None:
            self._mail(user.email, *letters.changed(user, what="password", address=address, where=self._where))


def _opened(tx: Connection, *, token: str, kind: LinkKind, now: int) -> Opened | None:
    link = user_links.any_tenant_find(tx, token_hash(token), now=now)
    user = users.any_tenant_find(tx, link.user_id) if link and link.kind == kind else None
    return Opened(kind=kind, user=user) if user else None


def _choose(tx: Connection, *, token: str, user: User, hashed: str, told: list[Entry], now: int) -> Passed | None:
    if user_links.any_tenant_take(tx, token_hash(token), now=now) is None:
        return None  # somebody else was quicker with it
    _set(tx, user_id=user.id, hashed=hashed, but=None, told=told)
    return any_tenant_owes(tx, user)


def _set(tx: Connection, *, user_id: str, hashed: str, but: str | None, told: list[Entry]) -> None:
    user_secrets.any_tenant_change(tx, user_id, lambda secrets: replace(secrets, password_hash=hashed))
    sessions.any_tenant_end(tx, user_id, but=but)
    user_links.any_tenant_end(tx, user_id)
    audit.any_tenant_add(tx, told)


def _forgotten(tx: Connection, *, email: str, address: str, now: int) -> tuple[User, str] | None:
    user = users.any_tenant_find_by_email(tx, email)
    last = user_links.any_tenant_made_at(tx, user.id, kind="reset") if user else None
    if user is None or (last is not None and now - last < AGAIN_MS):
        return None
    actor = Actor(kind="user", name=user.email, address=address)
    entries = [
        Entry(tenant_id=one.tenant_id, at=now, actor=actor, action="reset_asked", kind="user", name=user.email)
        for one in user.memberships
    ]
    audit.any_tenant_add(tx, entries)
    return user, any_tenant_new(tx, user.id, kind="reset", now=now)

"""Signing in: by password, then by a second factor where there is one.

Unknown address, disabled user and wrong password are one answer, in comparable time, and are counted alike.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection

from vonal.domain.audit import Actor, Entry
from vonal.domain.errors import AuthFailed
from vonal.domain.passwords import MAX_PASSWORD, NOBODY, matches
from vonal.domain.users import User
from vonal.store import audit, passkeys, user_rules, user_secrets, users
from vonal.store.database import Database
from vonal.store.sessions import Passed, Session
from vonal.users import letters
from vonal.users.guard import Attempt, Guard
from vonal.users.letters import Mail
from vonal.users.sessions import Sessions

LONGEST_EMAIL = 254
_CHECKERS = 2  # Argon2 is dear on purpose; a flood of wrong passwords may not take the machine


class Known(Struct, frozen=True, kw_only=True):
    """Somebody of this address, if there is one who may sign in: `owes` is what is asked for after the password."""

    user: User
    password_hash: str
    owes: Passed


class SignIn:
    """`mail` sends a letter in the background, where mail is set up. `clock` is in ms UTC."""

    def __init__(
        self,
        db: Database,
        sessions: Sessions,
        guard: Guard,
        *,
        mail: Mail | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._db, self._sessions, self._guard, self._mail, self._clock = db, sessions, guard, mail, clock
        self._checkers = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="sign-in")

    async def by_password(self, email: str, password: str, *, address: str, browser: str) -> tuple[str, Passed]:
        """A session's token, and what was passed by it ("all": signed in). Raises AuthFailed, TooMany."""
        email = email.strip().lower()
        attempt = await self._guard.password(email, address)
        possible = len(email) <= LONGEST_EMAIL and email.isprintable()
        known = await self._db.read(partial(_known, email=email)) if possible else None
        right = await self.is_right(known.password_hash if known else NOBODY, password)
        if known is None or not right:
            await self._failed(known, attempt, address)
            raise AuthFailed("The e-mail address or the password is wrong.")
        await self._guard.right(attempt)
        told = self.entries(known.user, "sign_in", address, with_="password") if known.owes == "all" else []
        token = await self._sessions.begin(known.user, passed=known.owes, address=address, browser=browser, told=told)
        return token, known.owes

    async def complete(self, session: Session, user: User, *, address: str, browser: str, with_: str) -> str:
        """What was owed has been shown: a new token in place of the one of before."""
        told = self.entries(user, "sign_in", address, with_=with_)
        return await self._sessions.begin(
            user, passed="all", address=address, browser=browser, instead=session, told=told
        )

    async def proves(self, user: User, password: str, *, address: str) -> bool:
        """Whether the password is that of the user, who is signed in already. Raises TooMany."""
        attempt = await self._guard.password(user.email, address)
        secrets = await self._db.read(partial(user_secrets.any_tenant_of, user_id=user.id))
        right = await self.is_right(secrets.password_hash or NOBODY, password)
        if right and secrets.password_hash:
            await self._guard.right(attempt)
            return True
        return False

    async def is_right(self, password_hash: str, password: str) -> bool:
        """Whether the hash was made of the password; not in the event loop's thread."""
        possible = len(password) <= MAX_PASSWORD
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._checkers, matches, password, password_hash) and possible

    async def hashed(self, make: Callable[[str], str], password: str) -> str:
        """The password's hash, likewise."""
        return await asyncio.get_running_loop().run_in_executor(self._checkers, make, password)

    def entries(self, user: User, action: str, address: str, *, with_: str) -> list[Entry]:
        """What the logs of all tenants of the user say about him; the service's own, of its operators."""
        actor = Actor(kind="user", name=user.email, address=address)
        tenants = [one.tenant_id for one in user.memberships]
        return [
            Entry(
                tenant_id=tenant_id,
                at=self._clock(),
                actor=actor,
                action=action,
                kind="user",
                name=user.email,
                after={"with": with_},
            )
            for tenant_id in tenants + ([""] if user.operator or not tenants else [])
        ]

    async def failed(self, user: User, attempt: Attempt, address: str, *, with_: str) -> None:
        """A guess about somebody known was wrong: his tenants' logs say so, and he is told when it locks."""
        told = self.entries(user, "sign_in_failed", address, with_=with_)
        if attempt.locked:
            told += self.entries(user, "locked", address, with_=with_)
        await self._db.write(partial(audit.any_tenant_add, entries=told))
        if attempt.locked and self._mail:
            self._mail(user.email, *letters.locked(user, address=address))

    async def tell(self, told: list[Entry], deed: Callable[[Connection], None]) -> None:
        """Does it, and writes into the log that it was done."""
        await self._db.write(partial(_told, told=told, deed=deed))

    async def _failed(self, known: Known | None, attempt: Attempt, address: str) -> None:
        if known is None:
            # A write that says nothing, so that this answer takes no less time than the other.
            await self._db.write(partial(audit.any_tenant_add, entries=[]))
        else:
            await self.failed(known.user, attempt, address, with_="password")

    def close(self) -> None:
        """Ends the threads."""
        self._checkers.shutdown(cancel_futures=True)


def any_tenant_owes(tx: Connection, user: User) -> Passed:
    """What the user passes by his password alone: "all", or what is owed then."""
    if user_secrets.any_tenant_of(tx, user.id).totp or passkeys.any_tenant_of_user(tx, user.id):
        return "password"
    if any(user_rules.second_factor_required(one.tenant_id, tx) for one in user.memberships):
        return "enrol"
    return "all"


def _told(tx: Connection, *, told: list[Entry], deed: Callable[[Connection], None]) -> None:
    deed(tx)
    audit.any_tenant_add(tx, told)


def _known(tx: Connection, *, email: str) -> Known | None:
    user = users.any_tenant_find_by_email(tx, email)
    password_hash = user_secrets.any_tenant_of(tx, user.id).password_hash if user else None
    if user is None or password_hash is None:
        return None
    return Known(user=user, password_hash=password_hash, owes=any_tenant_owes(tx, user))

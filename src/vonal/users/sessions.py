"""Sessions: a browser's cookie, who it stands for, and how long."""

import hashlib
import hmac
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection

from vonal.domain.audit import Entry
from vonal.domain.call import new_id
from vonal.domain.users import User
from vonal.store import audit, users
from vonal.store import sessions as store
from vonal.store.database import Database
from vonal.store.sessions import Passed, Session

TOKEN_BYTES = 32
LIVES_MS = 30 * 24 * 3600 * 1000  # at most, however busy
HALF_LIVES_MS = 10 * 60_000  # while something is still owed
IDLE_MS = 12 * 3600 * 1000
PROVED_MS = 15 * 60_000  # so long after password or factor they may be changed
SEEN_EVERY_MS = 60_000  # `seen_at` is not written more often
_NONCE_BYTES = 12


class SignedIn(Struct, frozen=True, kw_only=True):
    """Whose session it is. `token` is the cookie's, never shown in a page."""

    token: str
    session: Session
    user: User


class Sessions:
    """Begins, finds and ends sessions. `clock` is in ms UTC."""

    def __init__(self, db: Database, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._db, self._clock = db, clock

    async def begin(
        self,
        user: User,
        *,
        passed: Passed,
        address: str,
        browser: str,
        tenant_id: str | None = None,
        instead: Session | None = None,
        told: Iterable[Entry] = (),
    ) -> str:
        """A new session; returns its token, for the cookie. `tenant_id`: by default the user's first tenant.

        `instead`: the session that ends by it, for a token of before is worth nothing after a step further; `told`:
        what the audit log says of it.
        """
        now, token = self._clock(), secrets.token_urlsafe(TOKEN_BYTES)
        first = user.memberships[0].tenant_id if user.memberships else None
        session = Session(
            id=new_id("ses"),
            user_id=user.id,
            tenant_id=tenant_id or first,
            passed=passed,
            proved_at=now,
            created_at=now,
            seen_at=now,
            expires_at=now + (LIVES_MS if passed == "all" else HALF_LIVES_MS),
            address=address[:64],
            browser=browser[:256],
        )
        await self._db.write(partial(_begin, session=session, token=token, instead=instead, told=list(told)))
        return token

    async def find(self, token: str) -> SignedIn | None:
        """Who is signed in by this token. None when it is unknown, over, idle for too long, or the user is disabled."""
        found, now = await self.lasting(token), self._clock()
        if found is not None and now - found.session.seen_at >= SEEN_EVERY_MS:
            await self._db.write(partial(store.any_tenant_change, session_id=found.session.id, seen_at=now))
        return found

    async def lasting(self, token: str) -> SignedIn | None:
        """As `find`, but no sign of life: an open page asks by itself."""
        now = self._clock()
        found = await self._db.read(partial(_look, token_hash=_hash(token), now=now))
        if found is None or found[0].seen_at + IDLE_MS <= now:
            return None
        return SignedIn(token=token, session=found[0], user=found[1])

    async def end(self, session: Session) -> None:
        """The browser is signed out."""
        await self._db.write(partial(store.any_tenant_end, user_id=session.user_id, only=session.id))

    def has_proved(self, session: Session) -> bool:
        """Whether it is not long since the user has shown that it is he who sits there."""
        return self._clock() - session.proved_at < PROVED_MS

    async def prove(self, session: Session) -> None:
        """The user has shown it again."""
        now = self._clock()
        await self._db.write(partial(store.any_tenant_change, session_id=session.id, proved_at=now))

    async def of_user(self, user_id: str) -> list[Session]:
        """The user's sessions that have not ended, the one that was used last first."""
        now = self._clock()
        found = await self._db.read(partial(store.any_tenant_of_user, user_id=user_id, now=now))
        return [one for one in found if one.passed == "all" and one.seen_at + IDLE_MS > now]

    async def switch(self, session: Session, tenant_id: str) -> None:
        """The browser looks at another tenant of the user; the caller has seen to it that it is one of his."""
        await self._db.write(partial(store.any_tenant_change, session_id=session.id, tenant_id=tenant_id))


def csrf_token(token: str) -> str:
    """A value for a form of this session; another one each time, so that compressed pages do not give it away."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return urlsafe_b64encode(nonce + _mac(token, nonce)).decode()


def is_csrf_token(token: str, value: str) -> bool:
    """Whether the value was made for this session."""
    try:
        raw = b64decode(value.encode("ascii", "replace"), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(raw[_NONCE_BYTES:], _mac(token, raw[:_NONCE_BYTES]))


def _mac(token: str, nonce: bytes) -> bytes:
    return hmac.digest(token.encode(), b"csrf" + nonce, "sha256")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _begin(tx: Connection, *, session: Session, token: str, instead: Session | None, told: list[Entry]) -> None:
    store.any_tenant_add(tx, session, token_hash=_hash(token))
    if instead is not None:
        store.any_tenant_end(tx, instead.user_id, only=instead.id)
    audit.any_tenant_add(tx, told)


def _look(tx: Connection, *, token_hash: str, now: int) -> tuple[Session, User] | None:
    session = store.any_tenant_find(tx, token_hash, now=now)
    user = users.any_tenant_find(tx, session.user_id) if session else None
    return (session, user) if session and user else None

"""Finds out who is speaking. Unknown user, wrong password and wrong key are one answer, in comparable time."""

import asyncio
import hmac
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from vonal.domain.errors import AuthFailed
from vonal.domain.passwords import MAX_PASSWORD, NOBODY, hash_key, matches
from vonal.domain.principal import Credential, Principal
from vonal.store import directory as store
from vonal.store.database import Database

REMEMBERED_SECONDS = 300
REMEMBERED_MOST = 4096
MAX_USER = 128
REFUSAL = "The credentials are not known here."
_CHECKERS = 2  # Argon2 is dear on purpose; a flood of wrong passwords may not take the machine


class Authenticator:
    """Checks credentials against the store. A password once found right is remembered for five minutes.

    What is remembered is bound to the stored hash, so a changed or removed credential is forgotten at once.
    """

    def __init__(self, db: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._checkers = ThreadPoolExecutor(_CHECKERS, thread_name_prefix="passwords")
        self._secret = secrets.token_bytes(32)
        self._remembered: dict[bytes, float] = {}

    async def __call__(
        self, *, user: str | None = None, password: str | None = None, key: str | None = None
    ) -> Principal:
        """Whose `user` and `password`, or whose `key`, these are.

        Raises AuthFailed, also when a login fits in more than one tenant.
        """
        if key is not None:
            return await self._by_key(key)
        if user is None or password is None:
            raise AuthFailed(REFUSAL)
        return await self._by_password(user, password)

    async def _by_password(self, user: str, password: str) -> Principal:
        possible = len(user) <= MAX_USER and user.isprintable() and len(password) <= MAX_PASSWORD
        found = await self._db.read(partial(store.any_tenant_credentials_by_user, user=user)) if possible else []
        right = [one for one in found if await self._is_right(one.secret_hash, password)]
        if not found:
            await self._is_right(NOBODY, password)
        if len(right) != 1:
            raise AuthFailed(REFUSAL)
        return _principal(right[0])

    async def _by_key(self, key: str) -> Principal:
        found = await self._db.read(partial(store.any_tenant_credential_by_key_hash, key_hash=hash_key(key)))
        if found is None:
            raise AuthFailed(REFUSAL)
        return _principal(found)

    async def _is_right(self, secret_hash: str, password: str) -> bool:
        text = secret_hash.encode() + b"\0" + password.encode("utf-8", "surrogatepass")
        token = hmac.digest(self._secret, text, "sha256")
        if self._remembered.get(token, 0.0) > self._clock():
            return True
        right = await asyncio.get_running_loop().run_in_executor(self._checkers, matches, password, secret_hash)
        if right:
            while len(self._remembered) >= REMEMBERED_MOST:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[token] = self._clock() + REMEMBERED_SECONDS
        return right

    def close(self) -> None:
        """Ends the threads."""
        self._checkers.shutdown(cancel_futures=True)


def _principal(credential: Credential) -> Principal:
    return Principal(
        tenant_id=credential.tenant_id,
        kind=credential.kind,
        name=credential.name,
        scopes=frozenset(credential.scopes),
        networks=credential.networks,
    )

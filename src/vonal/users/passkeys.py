"""Passkeys (WebAuthn Level 2): as a second factor, and alone, where the device has looked at who holds it."""

import ipaddress
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from sqlalchemy import Connection
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from vonal.domain.errors import AuthFailed, InvalidRequest, NotFound
from vonal.domain.users import User
from vonal.store import passkeys as store
from vonal.store import users
from vonal.store.database import Database
from vonal.store.passkeys import Passkey
from vonal.store.sessions import Session
from vonal.users.ceremony import Ceremonies
from vonal.users.factors import Factors

LONGEST_NAME = 128
MOST = 20


class Passkeys:
    """`where` is the portal's address: a passkey is good for its host only. `clock` is in ms UTC."""

    def __init__(
        self,
        db: Database,
        factors: Factors,
        ceremonies: Ceremonies,
        *,
        where: str,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._db, self._factors, self._ceremonies, self._clock = db, factors, ceremonies, clock
        parts = urlsplit(where)
        self._host, self._origin = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"

    @property
    def usable(self) -> bool:
        """Whether browsers make passkeys for this host: it has a name, and https, or it is this very machine."""
        try:
            ipaddress.ip_address(self._host)
        except ValueError:
            return self._origin.startswith("https:") or self._host == "localhost"
        return False

    async def begin_adding(self, user: User) -> tuple[str, str]:
        """What the browser is asked for (JSON), and what it brings back sealed."""
        known = await self._db.read(partial(store.any_tenant_of_user, user_id=user.id))
        if len(known) >= MOST:
            raise InvalidRequest("You have as many passkeys as one may have; remove one first.")
        options = generate_registration_options(
            rp_id=self._host,
            rp_name="Vonal",
            user_id=user.id.encode(),
            user_name=user.email,
            user_display_name=user.name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.PREFERRED
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=_bytes(one.id)) for one in known],
        )
        return options_to_json(options), self._sealed("passkey-add", options.challenge, user.id)

    async def add(self, session: Session, user: User, begun: str, credential: str, *, name: str, address: str) -> None:
        """The browser has made a passkey; it is the user's from now on. Raises AuthFailed."""
        challenge = self._challenge("passkey-add", begun, user.id)
        try:
            made = verify_registration_response(
                credential=_json(credential),
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as fault:
            raise AuthFailed("The passkey cannot be used. Try again, or take another.") from fault
        self._ceremonies.finish(begun)
        passkey = Passkey(
            id=_text(made.credential_id),
            user_id=user.id,
            public_key=made.credential_public_key,
            sign_count=made.sign_count,
            name=name[:LONGEST_NAME] or "Passkey",
            created_at=self._clock(),
        )
        also = partial(store.any_tenant_add, passkey=passkey)
        await self._factors.change(session, user, lambda has: has, "passkey_added", address=address, also=also)

    async def begin_using(self, user: User | None) -> tuple[str, str]:
        """What the browser is asked for (JSON), and what it brings back sealed. `user`: who it is, if that is known."""
        known = await self._db.read(partial(store.any_tenant_of_user, user_id=user.id)) if user else []
        options = generate_authentication_options(
            rp_id=self._host,
            allow_credentials=[PublicKeyCredentialDescriptor(id=_bytes(one.id)) for one in known],
            user_verification=UserVerificationRequirement.PREFERRED if user else UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options), self._sealed("passkey", options.challenge, user.id if user else "")

    async def use(self, user: User | None, begun: str, credential: str) -> User:
        """Whose passkey has signed. `user`: who it must be; None: anybody, and the device has looked at who holds it.

        Raises AuthFailed.
        """
        challenge = self._challenge("passkey", begun, user.id if user else "")
        answer = _json(credential)
        passkey = await self._db.read(partial(store.any_tenant_find, passkey_id=str(answer.get("id", ""))))
        if passkey is None or (user is not None and passkey.user_id != user.id):
            raise AuthFailed("This passkey is not known here.")
        try:
            shown = verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=user is None,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError) as fault:
            raise AuthFailed("This passkey is not known here.") from fault
        self._ceremonies.finish(begun)
        used = partial(_use, passkey=passkey, sign_count=shown.new_sign_count, at=self._clock())
        found = await self._db.write(used)
        if found is None:
            raise AuthFailed("This passkey is not known here.")
        return found

    async def remove(self, session: Session, user: User, passkey_id: str, *, address: str) -> None:
        """The passkey is no longer good. Raises NotFound; InvalidRequest for the last of a required factor."""
        state = await self._factors.state(user)
        if passkey_id not in [one.id for one in state.passkeys]:
            raise NotFound("You have no such passkey.")
        if state.required and not state.app and len(state.passkeys) == 1:
            raise InvalidRequest("Your company asks for a second factor: set up another one first.")
        if not state.password and len(state.passkeys) == 1:
            raise InvalidRequest("You could not sign in any more: choose a password first.")
        also = partial(_remove, user_id=user.id, passkey_id=passkey_id)
        await self._factors.change(session, user, lambda has: has, "passkey_removed", address=address, also=also)

    def _sealed(self, kind: str, challenge: bytes, whom: str) -> str:
        return self._ceremonies.begin(kind, whom=whom, challenge=_text(challenge))

    def _challenge(self, kind: str, begun: str, whom: str) -> bytes:
        found = self._ceremonies.read(kind, begun, whom=whom)
        if found is None:
            raise AuthFailed("This took too long. Try again.")
        return _bytes(found["challenge"])


def _use(tx: Connection, *, passkey: Passkey, sign_count: int, at: int) -> User | None:
    fresh = store.any_tenant_used(tx, passkey, sign_count=sign_count, at=at)
    return users.any_tenant_find(tx, passkey.user_id) if fresh else None


def _remove(tx: Connection, *, user_id: str, passkey_id: str) -> None:
    store.any_tenant_remove(tx, user_id, only=passkey_id)


def _json(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise AuthFailed("This passkey is not known here.")
    return found


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

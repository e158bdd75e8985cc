"""Second factors: codes of an app (TOTP, RFC 6238), and codes on paper for the day when the phone is lost."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import pyotp
import segno
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain.audit import Entry
from vonal.domain.errors import InvalidParts
from vonal.domain.users import User
from vonal.store import audit, passkeys, sessions, user_rules, user_secrets
from vonal.store.database import Database
from vonal.store.passkeys import Passkey
from vonal.store.sessions import Session
from vonal.store.user_secrets import UserSecrets
from vonal.users import letters
from vonal.users.guard import Guard
from vonal.users.letters import Mail
from vonal.users.sign_in import SignIn

STEP_S = 30
DIGITS = 6
RECOVERY_CODES = 10
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike
_RECOVERY_LENGTH = 10
With = Literal["code", "recovery code"]


class State(Struct, frozen=True, kw_only=True):
    """What the user can sign in with. `required`: by one of his companies."""

    password: bool
    app: bool
    recovery_left: int
    passkeys: tuple[Passkey, ...]
    required: bool

    @property
    def second_factor(self) -> bool:
        """Whether more than a password is asked for."""
        return self.app or bool(self.passkeys)


class Factors:
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

    async def state(self, user: User) -> State:
        """What the user has."""
        return await self._db.read(partial(_state, user=user))

    async def verify(self, user: User, code: str, *, address: str) -> With | None:
        """With what the code shows that it is the user; None when it is wrong. A code is good once. Raises TooMany."""
        attempt = await self._guard.factor(user.id, address)
        with_ = await self._db.write(partial(_use, user_id=user.id, code=_plain(code), step=self._step()))
        if with_ is None:
            await self._sign_in.failed(user, attempt, address, with_="code")
        else:
            await self._guard.right(attempt)
        return with_

    async def enable_app(self, session: Session, user: User, secret: str, code: str, *, address: str) -> list[str]:
        """The app that shows this code for the secret is the user's second factor; the new recovery codes.

        Raises InvalidParts when it shows another code.
        """
        step = _matching(secret, _plain(code), self._step())
        if step is None:
            raise InvalidParts([("code", "wrong")])
        codes = new_recovery_codes()
        made = partial(_with_app, secret=secret, step=step, hashes=_hashes(user.id, codes))
        await self.change(session, user, made, "app_added", address=address)
        return codes

    async def remove_app(self, session: Session, user: User, *, address: str) -> None:
        """The user's app shows no more codes that are good. Raises InvalidParts for the last of a required factor."""
        state = await self.state(user)
        if state.required and not state.passkeys:
            raise InvalidParts([("app", "required")])
        left = bool(state.passkeys)
        await self.change(session, user, partial(_without_app, keep_recovery=left), "app_removed", address=address)

    async def renew_recovery(self, session: Session, user: User, *, address: str) -> list[str]:
        """New recovery codes in place of the old ones."""
        codes = new_recovery_codes()
        hashes = _hashes(user.id, codes)
        made = partial(_with_recovery, hashes=hashes)
        await self.change(session, user, made, "recovery_renewed", address=address)
        return codes

    async def change(
        self,
        session: Session,
        user: User,
        change: Callable[[UserSecrets], UserSecrets],
        action: str,
        *,
        address: str,
        also: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Changes how the user signs in: his other sessions end, the log and a letter say so."""
        told = self._sign_in.entries(user, action, address, with_="account")
        await self._db.write(
            partial(_change, user_id=user.id, but=session.id, change=change, also=also, told=told),
        )
        if self._mail is not None:
            self._mail(user.email, *letters.changed(user, what="factors", address=address, where=self._where))

    def _step(self) -> int:
        return self._clock() // 1000 // STEP_S


def new_secret() -> str:
    """A secret for an app, in base32."""
    return pyotp.random_base32()


def qr_code(user: User, secret: str) -> str:
    """The picture that an app reads the secret from, as the address of an image."""
    address = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name="Vonal")
    return str(segno.make(address, error="m").svg_data_uri(scale=5, border=2, light="white"))


def new_recovery_codes() -> list[str]:
    """Codes for paper, such as `abcde-fghjk`."""
    texts = ["".join(secrets.choice(_LETTERS) for _ in range(_RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)]
    return [f"{one[: _RECOVERY_LENGTH // 2]}-{one[_RECOVERY_LENGTH // 2 :]}" for one in texts]


def with_recovery(user_id: str, codes: list[str]) -> Callable[[UserSecrets], UserSecrets]:
    """A change that gives the user these recovery codes."""
    return partial(_with_recovery, hashes=_hashes(user_id, codes))


def _plain(code: str) -> str:
    return "".join(one for one in code.casefold() if one.isalnum())


def _hashes(user_id: str, codes: list[str]) -> tuple[str, ...]:
    return tuple(_hash(user_id, _plain(one)) for one in codes)


def _hash(user_id: str, code: str) -> str:
    return hashlib.sha256(f"{user_id}:{code}".encode("utf-8", "surrogatepass")).hexdigest()


def _matching(secret: str, code: str, now_step: int) -> int | None:
    """The step at which an app shows this code: now, or one before or after, for clocks differ."""
    if len(code) != DIGITS or not code.isascii():
        return None
    totp = pyotp.TOTP(secret)
    steps = (now_step, now_step - 1, now_step + 1)
    shown = [step for step in steps if hmac.compare_digest(totp.at(step * STEP_S), code)]
    return shown[0] if shown else None


def _state(tx: Connection, *, user: User) -> State:
    secrets_ = user_secrets.any_tenant_of(tx, user.id)
    return State(
        password=secrets_.password_hash is not None,
        app=secrets_.totp is not None,
        recovery_left=len(secrets_.recovery),
        passkeys=tuple(passkeys.any_tenant_of_user(tx, user.id)),
        required=any(user_rules.second_factor_required(one.tenant_id, tx) for one in user.memberships),
    )


def _use(tx: Connection, *, user_id: str, code: str, step: int) -> With | None:
    used: list[With] = []

    def use(secrets_: UserSecrets) -> UserSecrets:
        found = _matching(secrets_.totp, code, step) if secrets_.totp else None
        if found is not None and found > secrets_.totp_step:
            used.append("code")
            return replace(secrets_, totp_step=found)
        hashed = _hash(user_id, code)
        if hashed in secrets_.recovery:
            used.append("recovery code")
            return replace(secrets_, recovery=tuple(one for one in secrets_.recovery if one != hashed))
        return secrets_

    user_secrets.any_tenant_change(tx, user_id, use)
    return used[0] if used else None


def _change(
    tx: Connection,
    *,
    user_id: str,
    but: str,
    change: Callable[[UserSecrets], UserSecrets],
    also: Callable[[Connection], None],
    told: list[Entry],
) -> None:
    user_secrets.any_tenant_change(tx, user_id, change)
    also(tx)
    sessions.any_tenant_end(tx, user_id, but=but)
    audit.any_tenant_add(tx, told)


def _with_app(secrets_: UserSecrets, *, secret: str, step: int, hashes: tuple[str, ...]) -> UserSecrets:
    return replace(secrets_, totp=secret, totp_step=step, recovery=hashes)


def _without_app(secrets_: UserSecrets, *, keep_recovery: bool) -> UserSecrets:
    return replace(secrets_, totp=None, totp_step=0, recovery=secrets_.recovery if keep_recovery else ())


def _with_recovery(secrets_: UserSecrets, *, hashes: tuple[str, ...]) -> UserSecrets:
    return replace(secrets_, recovery=hashes)

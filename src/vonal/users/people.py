"""Everything about people, put together for the portal."""

from dataclasses import dataclass

from vonal.users.ceremony import Ceremonies
from vonal.users.factors import Factors
from vonal.users.guard import Guard
from vonal.users.oidc import Oidc
from vonal.users.passkeys import Passkeys
from vonal.users.passwords import Passwords
from vonal.users.sign_in import SignIn
from vonal.users.staff import Staff


@dataclass(frozen=True, kw_only=True)
class People:
    """What signs people in, and changes who may. `can_mail`: letters reach people."""

    guard: Guard
    sign_in: SignIn
    passwords: Passwords
    factors: Factors
    ceremonies: Ceremonies
    passkeys: Passkeys
    staff: Staff
    oidc: Oidc | None = None
    can_mail: bool = False

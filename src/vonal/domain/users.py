"""People who sign in to the portal: which roles there are in a tenant, and what each may do. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from msgspec import Struct

Role = Literal["owner", "administrator", "supervisor", "agent"]
Language = Literal["hu", "en"]
Permission = Literal[
    "all_calls",  # see everybody's calls, not only one's own
    "live_calls",  # hang up others' calls
    "export",  # take calls out as a file
    "see_webhooks",  # with their deliveries, which hold customers' numbers
    "change_webhooks",
    "change_directory",  # extensions, numbers, recordings' rules, settings
    "change_access",  # API users and keys
    "change_users",
    "see_audit",
]
ROLES: tuple[Role, ...] = get_args(Role)
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
_SUPERVISOR: frozenset[Permission] = frozenset({"all_calls", "live_calls", "export", "see_webhooks"})
MAY: Mapping[Role, frozenset[Permission]] = {
    "owner": frozenset(PERMISSIONS),
    "administrator": frozenset(PERMISSIONS),
    "supervisor": _SUPERVISOR,
    "agent": frozenset(),
}


class Membership(Struct, frozen=True, kw_only=True):
    """A user's place in a tenant. An agent sees the calls of `extension`."""

    tenant_id: str
    role: Role
    extension: str | None = None


class User(Struct, frozen=True, kw_only=True):
    """Somebody who signs in, with an e-mail address in lower case. `operator`: runs the service, sees all tenants."""

    id: str
    email: str
    name: str
    language: Language = "en"
    operator: bool = False
    memberships: tuple[Membership, ...] = ()

    def in_tenant(self, tenant_id: str) -> Membership | None:
        """The user's place in the tenant."""
        return next((one for one in self.memberships if one.tenant_id == tenant_id), None)


LONGEST_EMAIL = 254
_EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\"]+")


def fault_of_email(email: str) -> str | None:
    """Why this is no address that a person can sign in with."""
    plain = email.isprintable() and email.isascii() and len(email) <= LONGEST_EMAIL
    return None if plain and _EMAIL.fullmatch(email) else "expected an e-mail address, such as anna@example.com"


def fault_of_place(role: Role, extension: str | None, extensions: Collection[str]) -> str | None:
    """Why nobody can have this role with this extension, in a tenant with these extensions."""
    if extension is None:
        return "an agent must have an extension: he sees its calls" if role == "agent" else None
    return None if extension in extensions else f"there is no extension {extension}"


def may_give(giver: Role, role: Role) -> bool:
    """Whether somebody in the role `giver` may invite, change or remove people in `role`: owners are made by owners."""
    return "change_users" in MAY[giver] and (role != "owner" or giver == "owner")

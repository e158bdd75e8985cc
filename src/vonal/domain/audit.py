"""Who changed what: an entry of the audit log. Pure."""

from typing import Any, Literal

from msgspec import Struct

ActorKind = Literal["user", "api_user", "api_key", "command", "service"]


class Actor(Struct, frozen=True, kw_only=True):
    """Who changes something, and from which `address`. `name` is a user's e-mail, or a credential's name.

    `operator`: it is the service's operator, acting as the tenant.
    """

    kind: ActorKind
    name: str
    address: str | None = None
    operator: bool = False

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


COMMAND = Actor(kind="command", name="vonal")


class Entry(Struct, frozen=True, kw_only=True):
    """One thing that was done. `tenant_id` is empty for what belongs to no tenant.

    `action`: "add", "change", "remove", or what else was done ("sign_in", "act_as", "hang_up", "replay" …), to the
    thing of this `kind` and `name`. `at` is in ms UTC. `before` and `after` are plain data without secrets, None where
    there was or is nothing.
    """

    tenant_id: str
    at: int
    actor: Actor
    action: str
    kind: str
    name: str
    before: Any = None
    after: Any = None
    position: int = 0

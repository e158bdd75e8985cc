"""What a tenant asks of its people."""

from sqlalchemy import Connection

from vonal.store import settings

SECOND_FACTOR = "second_factor"


def second_factor_required(tenant_id: str, tx: Connection) -> bool:
    """Whether everybody in the tenant needs a second factor."""
    return settings.any_tenant_get(tx, f"{SECOND_FACTOR}.{tenant_id}") == "1"


def require_second_factor(tenant_id: str, tx: Connection, *, required: bool) -> None:
    """Whether everybody in the tenant needs a second factor from now on."""
    settings.any_tenant_set(tx, f"{SECOND_FACTOR}.{tenant_id}", "1" if required else "")

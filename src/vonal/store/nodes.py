"""Which processes of the service there are, and what each has leased, for the operator."""

from msgspec import Struct
from sqlalchemy import Connection, func, select

from vonal.store import settings
from vonal.store.shards import NODE
from vonal.store.tables import setting, shard


class Node(Struct, frozen=True, kw_only=True):
    """A process that delivers: its last sign of life (ms UTC), and how many shares of all lanes it has leased."""

    name: str
    seen_at: int
    shards: int


class Nodes(Struct, frozen=True, kw_only=True):
    """`seen_at`: the last sign of life of the one that has the phone system (ms UTC); `version` of the directory.

    `applied`: up to which version the directory is in effect, with the `fault` that was met. `shards`: all there are;
    none where one process does everything.
    """

    seen_at: int | None
    version: int
    applied: int
    fault: str
    shards: int
    free: int
    delivering: list[Node]


def any_tenant_nodes(tx: Connection) -> Nodes:
    """As they are at this moment."""
    counted = tx.execute(select(shard.c.owner, func.count()).group_by(shard.c.owner))
    leased: dict[str | None, int] = {row[0]: row[1] for row in counted}
    signs = tx.execute(select(setting).where(setting.c.name.startswith(NODE)).order_by(setting.c.name))
    nodes = [
        Node(name=name, seen_at=int(row.value), shards=leased.get(name, 0))
        for row in signs
        if (name := row.name.removeprefix(NODE))
    ]
    applied, fault = settings.any_tenant_applied(tx)
    seen = settings.any_tenant_get(tx, settings.SERVICE_SEEN_AT)
    return Nodes(
        seen_at=int(seen) if seen else None,
        version=settings.any_tenant_directory_version(tx),
        applied=applied,
        fault=fault,
        shards=sum(leased.values()),
        free=leased.get(None, 0),
        delivering=nodes,
    )

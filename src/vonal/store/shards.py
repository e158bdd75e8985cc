"""Leases: which delivery process works off which share of all lanes. Only on PostgreSQL, by the server's own clock."""

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, text

NODE = "delivery:"  # setting `delivery:<node>` holds when the process gave its last sign of life (ms)


class Held(Struct, frozen=True):
    """The shards that a process has now, with their epochs, and how many of them are more than its fair share."""

    epochs: dict[int, int]
    surplus: int


_NOW = text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint)")
_ALIVE = text("INSERT INTO setting VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
_BURY = text("DELETE FROM setting WHERE name LIKE :nodes AND CAST(value AS bigint) < :dead")
_NODES = text("SELECT count(*) FROM setting WHERE name LIKE :nodes")
_RELEASE = text("UPDATE shard SET owner = NULL, lease_until = 0 WHERE owner = :node AND id = ANY(:ids)")
_KEEP = text("UPDATE shard SET lease_until = :until WHERE owner = :node RETURNING id, epoch")
_TAKE = text(
    "UPDATE shard SET owner = :node, epoch = epoch + 1, lease_until = :until WHERE id IN ("
    " SELECT id FROM shard WHERE lease_until < :now ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED"
    ") RETURNING id, epoch"
)
_OURS = text("SELECT id, epoch FROM shard WHERE owner = :node AND id = ANY(:ids) FOR SHARE")


def any_tenant_renew(tx: Connection, *, node: str, lease_ms: int, release: Collection[int], fresh: bool) -> Held:
    """Prolongs the node's leases, gives up those to `release`, and takes as many free ones as are its fair share.

    `fresh`: the process has just begun; what an earlier one of this name held counts as free.
    """
    now = tx.execute(_NOW).scalar_one()
    nodes = _count_nodes(tx, node, now, lease_ms)
    if fresh:
        release = range(1 << 10)
    if release:
        tx.execute(_RELEASE, {"node": node, "ids": list(release)})
    given = {"node": node, "until": now + lease_ms}
    held = {row.id: row.epoch for row in tx.execute(_KEEP, given)}
    share = -(-_total(tx) // nodes)
    if len(held) < share:
        taken = tx.execute(_TAKE, {**given, "now": now, "most": share - len(held)})
        held |= {row.id: row.epoch for row in taken}
    return Held(held, max(len(held) - share, 0))


def any_tenant_release_all(tx: Connection, *, node: str) -> None:
    """The process stops: others may take its shards at once."""
    tx.execute(text("UPDATE shard SET owner = NULL, lease_until = 0 WHERE owner = :node"), {"node": node})
    tx.execute(text("DELETE FROM setting WHERE name = :name"), {"name": NODE + node})


def any_tenant_ours(tx: Connection, *, node: str, shards: Collection[int]) -> dict[int, int]:
    """The epochs of those shards that are still the node's, which stay so until this transaction ends."""
    return {row.id: row.epoch for row in tx.execute(_OURS, {"node": node, "ids": list(shards)})}


def _total(tx: Connection) -> int:
    """How many shards there are."""
    return int(tx.execute(text("SELECT count(*) FROM shard")).scalar_one())


def _count_nodes(tx: Connection, node: str, now: int, lease_ms: int) -> int:
    tx.execute(_ALIVE, {"name": NODE + node, "now": str(now)})
    tx.execute(_BURY, {"nodes": f"{NODE}%", "dead": now - lease_ms})
    return int(tx.execute(_NODES, {"nodes": f"{NODE}%"}).scalar_one())

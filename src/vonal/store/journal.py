"""How far the journal has been taken in: moves in the same transaction as the facts read from it."""

from sqlalchemy import Connection, select

from vonal.domain.journal import Position
from vonal.store.sql import upsert
from vonal.store.tables import journal_position as table


def any_tenant_position(tx: Connection, node: str) -> Position:
    """The position of this node's journal; the very beginning when nothing was read yet."""
    row = tx.execute(select(table.c.segment, table.c.offset).where(table.c.node == node)).one_or_none()
    return Position(row.segment, row.offset) if row else Position()


def any_tenant_move(tx: Connection, node: str, position: Position) -> None:
    """Moves the position of this node's journal."""
    upsert(tx, table, [{"node": node, "segment": position.segment, "offset": position.offset}], key=["node"])

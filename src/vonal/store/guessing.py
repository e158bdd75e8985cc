"""Failed sign-ins, counted by whom they were about and by where they came from; and where each user is at home."""

from collections.abc import Collection

from msgspec import Struct
from sqlalchemy import Connection, delete, select

from vonal.store import sql
from vonal.store.tables import guessing as table


class Guesses(Struct, frozen=True, kw_only=True):
    """What one counter holds; times in ms UTC."""

    fails: int = 0
    last_at: int = 0
    locked_until: int = 0


def any_tenant_read(tx: Connection, whos: Collection[str]) -> dict[str, Guesses]:
    """The counters of these names; nobody else reads them so until the transaction ends."""
    nothing = [{"who": who, "fails": 0, "last_at": 0, "locked_until": 0} for who in sorted(whos)]
    sql.insert(tx, table, nothing, ending=sql.NOTHING)  # what is not there cannot be locked
    query = select(table).where(table.c.who.in_(sorted(whos))).order_by(table.c.who).with_for_update()
    return {
        row.who: Guesses(fails=row.fails, last_at=row.last_at, locked_until=row.locked_until)
        for row in tx.execute(query)
    }


def any_tenant_last_at(tx: Connection, who: str) -> int | None:
    """When this counter was last written, ms UTC; None when it is not there."""
    return tx.execute(select(table.c.last_at).where(table.c.who == who)).scalar()


def any_tenant_write(tx: Connection, counters: dict[str, Guesses]) -> None:
    """Stores these counters."""
    rows = [
        {"who": who, "fails": one.fails, "last_at": one.last_at, "locked_until": one.locked_until}
        for who, one in sorted(counters.items())
    ]
    sql.upsert(tx, table, rows, key=["who"])


def any_tenant_clear(tx: Connection, whos: Collection[str]) -> None:
    """Sets these counters to nothing."""
    tx.execute(delete(table).where(table.c.who.in_(whos)))


def any_tenant_forget(tx: Connection, *, before: int, homes: str, homes_before: int) -> None:
    """Deletes what was not touched since; names that begin with `homes` are kept since `homes_before`."""
    home = table.c.who.startswith(homes, autoescape=True)
    tx.execute(delete(table).where(~home, table.c.last_at < before))
    tx.execute(delete(table).where(home, table.c.last_at < homes_before))

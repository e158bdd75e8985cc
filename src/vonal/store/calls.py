"""Calls: one row each, the whole call as JSON beside the columns that lists are made by."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from vonal.domain.call import Call
from vonal.store import call_keys, call_search
from vonal.store.call_search import CallFilter, Place
from vonal.store.sql import to_ms, upsert
from vonal.store.tables import call as table

__all__ = [
    "CallFilter",
    "any_tenant_find",
    "any_tenant_save",
    "any_tenant_unfinished",
    "find",
    "listing",
    "save",
    "under_way",
]

MOST_UNDER_WAY = 500
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Call).decode
_by_id = select(table.c.tenant_id, table.c.data).where(table.c.id.in_(bindparam("ids", expanding=True)))


def find(tenant_id: str, tx: Connection, call_id: str) -> Call | None:
    """The tenant's call with this id."""
    query = select(table.c.data).where(table.c.tenant_id == tenant_id, table.c.id == call_id)
    data = tx.execute(query).scalar()
    return None if data is None else _decode(data)


def save(tenant_id: str, tx: Connection, call: Call) -> None:
    """Writes the call as it is now."""
    any_tenant_save(tx, [call])
    assert call.tenant_id == tenant_id  # noqa: S101 - a call in the wrong tenant is a bug that must not be stored


def listing(
    tenant_id: str, tx: Connection, wanted: CallFilter, *, after: str | None = None, limit: int = 100
) -> tuple[list[Call], str | None]:
    """Calls, newest first, and the cursor of the next page (None on the last one). `after`: a cursor got before.

    A page before the last may be short, where what is asked for is rare. Raises ValueError when the cursor is none of
    ours.
    """
    before = _read_cursor(after) if after is not None else None
    places, rest = call_search.newest(tenant_id, tx, wanted, before=before, limit=limit)
    return _at(tenant_id, tx, places), f"{rest.started_at}.{rest.call_id}" if rest else None


def under_way(tenant_id: str, tx: Connection) -> list[Call]:
    """The tenant's calls that people are in now, newest first, up to MOST_UNDER_WAY."""
    query = select(table.c.data).where(table.c.tenant_id == tenant_id, table.c.state != "completed")
    query = query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(MOST_UNDER_WAY)
    return [call for call in map(_decode, tx.execute(query).scalars()) if call.state != "ended"]


def any_tenant_find(tx: Connection, call_ids: Iterable[str]) -> dict[str, Call]:
    """The calls with these ids, by id."""
    rows = tx.execute(select(table.c.data).where(table.c.id.in_(list(call_ids)))).scalars()
    return {call.id: call for call in map(_decode, rows)}


def any_tenant_unfinished(tx: Connection) -> list[Call]:
    """Calls whose `call.completed` is still owed."""
    return [_decode(data) for data in tx.execute(select(table.c.data).where(table.c.state != "completed")).scalars()]


def any_tenant_save(tx: Connection, calls: Sequence[Call]) -> None:
    """Writes the calls as they are now."""
    upsert(tx, table, [_row(call) for call in calls], key=["id"])
    call_keys.any_tenant_put(tx, calls)


def _at(tenant_id: str, tx: Connection, places: Sequence[Place]) -> list[Call]:
    if not places:
        return []
    # The tenant is looked at here, so that no database thinks of any other way than by the ids.
    rows = tx.execute(_by_id, {"ids": [one.call_id for one in places]})
    found = {call.id: call for call in (_decode(row.data) for row in rows if row.tenant_id == tenant_id)}
    return [found[one.call_id] for one in places if one.call_id in found]


def _row(call: Call) -> dict[str, Any]:
    longest = call_keys.LONGEST_NUMBER
    return {
        "id": call.id,
        "tenant_id": call.tenant_id,
        "linkedid": call.linkedid,
        "state": call.state,
        "direction": call.direction,
        "disposition": call.disposition,
        "started_at": to_ms(call.started_at),
        "ended_at": to_ms(call.ended_at) if call.ended_at else None,
        "from_number": call.from_.number or call.from_.raw[:longest],
        "to_number": call.to.number or call.to.raw[:longest],
        "extensions": f",{','.join(sorted(call_keys.extensions_of(call)))},",
        "has_recording": call_keys.is_recorded(call),
        "data": _encode(call).decode(),
    }


def _read_cursor(cursor: str) -> Place:
    started, dot, call_id = cursor.partition(".")
    if not dot or not started.isascii() or not started.isdigit() or len(started) > 15:  # noqa: PLR2004 - ms since 1970
        raise ValueError("not a cursor of this list")
    return Place(int(started), call_id)

"""Calls: one row each, the whole call as JSON beside the columns that lists are made by."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, and_, or_, select

from vonal.domain.call import Call, Direction, Disposition
from vonal.store.sql import to_ms, upsert
from vonal.store.tables import call as table

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Call).decode


class CallFilter(Struct, frozen=True, kw_only=True):
    """What `listing` lets through; None lets all through. `number` is E.164 and may be either end's."""

    from_: datetime | None = None
    until: datetime | None = None
    direction: Direction | None = None
    disposition: Disposition | None = None
    extension: str | None = None
    number: str | None = None
    has_recording: bool | None = None


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

    Raises ValueError when the cursor is none of ours.
    """
    query = select(table.c.started_at, table.c.id, table.c.data).where(table.c.tenant_id == tenant_id)
    query = query.where(*_conditions(wanted))
    if after is not None:
        started, call_id = _read_cursor(after)
        earlier = and_(table.c.started_at == started, table.c.id < call_id)
        query = query.where(or_(table.c.started_at < started, earlier))
    rows = tx.execute(query.order_by(table.c.started_at.desc(), table.c.id.desc()).limit(limit + 1)).all()
    cursor = f"{rows[limit - 1].started_at}.{rows[limit - 1].id}" if len(rows) > limit else None
    return [_decode(row.data) for row in rows[:limit]], cursor


def any_tenant_find(tx: Connection, call_ids: Iterable[str]) -> dict[str, Call]:
    """The calls with these ids, by id."""
    rows = tx.execute(select(table.c.data).where(table.c.id.in_(list(call_ids)))).scalars()
    return {call.id: call for call in map(_decode, rows)}


def any_tenant_unfinished(tx: Connection) -> list[Call]:
    """Calls whose `call.completed` is still owed."""
    return [_decode(data) for data in tx.execute(select(table.c.data).where(table.c.state != "completed")).scalars()]


def any_tenant_save(tx: Connection, calls: Iterable[Call]) -> None:
    """Writes the calls as they are now."""
    upsert(tx, table, [_row(call) for call in calls], key=["id"])


def _row(call: Call) -> dict[str, Any]:
    extensions = {leg.extension for leg in call.legs if leg.extension}
    if call.agent:
        extensions.add(call.agent.extension)
    return {
        "id": call.id,
        "tenant_id": call.tenant_id,
        "linkedid": call.linkedid,
        "state": call.state,
        "direction": call.direction,
        "disposition": call.disposition,
        "started_at": to_ms(call.started_at),
        "ended_at": to_ms(call.ended_at) if call.ended_at else None,
        "from_number": call.from_.number or call.from_.raw[:64],
        "to_number": call.to.number or call.to.raw[:64],
        "extensions": f",{','.join(sorted(extensions))},",
        "has_recording": any(one.state == "ready" for one in call.recordings),
        "data": _encode(call).decode(),
    }


def _conditions(wanted: CallFilter) -> list[Any]:
    exact = {"direction": wanted.direction, "disposition": wanted.disposition, "has_recording": wanted.has_recording}
    found = [table.c[name] == value for name, value in exact.items() if value is not None]
    if wanted.from_:
        found.append(table.c.started_at >= to_ms(wanted.from_))
    if wanted.until:
        found.append(table.c.started_at < to_ms(wanted.until))
    if wanted.extension:
        found.append(table.c.extensions.contains(f",{wanted.extension},", autoescape=True))
    if wanted.number:
        found.append(or_(table.c.from_number == wanted.number, table.c.to_number == wanted.number))
    return found


def _read_cursor(cursor: str) -> tuple[int, str]:
    started, dot, call_id = cursor.partition(".")
    if not dot or not started.isascii() or not started.isdigit() or len(started) > 15:  # noqa: PLR2004 - ms since 1970
        raise ValueError("not a cursor of this list")
    return int(started), call_id

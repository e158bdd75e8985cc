"""Recordings: one row each, from the moment the tracker hears of one until after its file is deleted."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, and_, func, or_, select, update

from vonal.domain.call import Call, Recording, RecordingState
from vonal.domain.sound import Format, Outcome, Reason
from vonal.store.sql import from_ms, to_ms, upsert
from vonal.store.tables import call as call_table
from vonal.store.tables import recording as table

_DAY = 86_400_000  # ms


class StoredRecording(Struct, frozen=True, kw_only=True):
    """A recording's row. `file`: the raw one in Asterisk's spool; `path`: inside the recordings folder, once ready."""

    id: str
    tenant_id: str
    call_id: str
    state: RecordingState
    file: str
    customer_first: bool
    format: Format
    path: str | None
    size_bytes: int | None
    sha256: str | None
    duration_s: float | None
    reason: Reason | None
    created_at: datetime
    delete_at: datetime | None


def find(tenant_id: str, tx: Connection, recording_id: str) -> StoredRecording | None:
    """The tenant's recording with this id."""
    query = select(table).where(table.c.tenant_id == tenant_id, table.c.id == recording_id)
    row = tx.execute(query).one_or_none()
    return None if row is None else _stored(row)


def settle(tenant_id: str, tx: Connection, outcome: Outcome, *, delete_at: datetime | None = None) -> bool:
    """Writes what became of a recording; False, and nothing is written, when that was known already.

    `delete_at`: when the time of a ready one will be up.
    """
    done = outcome.recording
    before = "ready" if done.state == "deleted" else "processing"
    changed = {
        "state": done.state,
        "path": done.path,
        "size_bytes": done.size_bytes,
        "sha256": done.sha256,
        "duration_s": None if done.duration_s is None else str(done.duration_s),
        "reason": outcome.reason,
    }
    if delete_at is not None:
        changed["delete_at"] = to_ms(delete_at)
    query = update(table).where(table.c.tenant_id == tenant_id, table.c.id == done.id, table.c.state == before)
    return tx.execute(query.values(changed)).rowcount > 0


def count_before(tenant_id: str, tx: Connection, before: datetime, *, most: int) -> int:
    """How many ready recordings are of calls that began before; counts no further than `most`."""
    found = _ready(tenant_id).where(call_table.c.started_at < to_ms(before)).with_only_columns(table.c.id).limit(most)
    return int(tx.execute(select(func.count()).select_from(found.subquery())).scalar_one())


def delete_sooner(
    tenant_id: str, tx: Connection, *, days: int, after: tuple[int, str] = (0, ""), limit: int = 500
) -> tuple[int, tuple[int, str] | None]:
    """Lets no ready recording be kept for longer than `days` from its call's beginning, among the `limit` that follow.

    Returns how many go sooner now, and what to give as `after` the next time; None when there are no more.
    """
    started, id_ = after
    later = or_(call_table.c.started_at > started, and_(call_table.c.started_at == started, table.c.id > id_))
    columns = (call_table.c.started_at, table.c.id, table.c.created_at, table.c.delete_at)
    query = _ready(tenant_id).where(call_table.c.started_at >= started, later).with_only_columns(*columns)
    rows = tx.execute(query.order_by(call_table.c.started_at, table.c.id).limit(limit)).all()
    sooner = {row.id: row.created_at + days * _DAY for row in rows}
    changed = [row.id for row in rows if row.delete_at is None or row.delete_at > sooner[row.id]]
    for one in changed:
        mine = update(table).where(table.c.tenant_id == tenant_id, table.c.id == one)
        tx.execute(mine.values(delete_at=sooner[one]))
    return len(changed), (rows[-1].started_at, rows[-1].id) if len(rows) == limit else None


def _ready(tenant_id: str) -> Select[Any]:
    """By way of the tenant's calls, for which there is an index."""
    joined = call_table.join(
        table, and_(table.c.call_id == call_table.c.id, table.c.tenant_id == call_table.c.tenant_id)
    )
    mine = (call_table.c.tenant_id == tenant_id, call_table.c.has_recording, table.c.state == "ready")
    return select(table).select_from(joined).where(*mine)


def any_tenant_keep(tx: Connection, calls: Iterable[Call], formats: Mapping[str, Format]) -> None:
    """Writes a row for each recording of these calls that is not settled yet, as it is now.

    `formats`: the format of each tenant's policy, by tenant id.
    """
    unsettled = ("recording", "processing")
    rows = [_row(call, one, formats) for call in calls for one in call.recordings if one.state in unsettled]
    upsert(tx, table, rows, key=["id"])


def any_tenant_processing(tx: Connection) -> list[StoredRecording]:
    """Recordings whose call is over and whose sound is still to be made ready, oldest first."""
    query = select(table).where(table.c.state == "processing").order_by(table.c.created_at, table.c.id)
    return [_stored(row) for row in tx.execute(query)]


def any_tenant_states(tx: Connection, files: Iterable[str]) -> dict[str, str]:
    """The state of each of these raw files' recordings, by file; files nobody knows are left out."""
    query = select(table.c.file, table.c.state).where(table.c.file.in_(list(files)))
    return {row.file: row.state for row in tx.execute(query)}


def any_tenant_due(tx: Connection, now: datetime, limit: int) -> list[StoredRecording]:
    """Ready recordings whose time is up, the longest overdue first."""
    query = select(table).where(table.c.state == "ready", table.c.delete_at <= to_ms(now))
    return [_stored(row) for row in tx.execute(query.order_by(table.c.delete_at).limit(limit))]


def _row(call: Call, one: Recording, formats: Mapping[str, Format]) -> dict[str, Any]:
    return {
        "id": one.id,
        "tenant_id": call.tenant_id,
        "call_id": call.id,
        "state": one.state,
        "file": one.file,
        "customer_first": one.customer_first,
        "format": one.format or formats.get(call.tenant_id, "mp3"),
        "created_at": to_ms(call.started_at),
    }


def _stored(row: Row[Any]) -> StoredRecording:
    return StoredRecording(
        id=row.id,
        tenant_id=row.tenant_id,
        call_id=row.call_id,
        state=cast("RecordingState", row.state),
        file=row.file,
        customer_first=row.customer_first,
        format=cast("Format", row.format),
        path=row.path,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        duration_s=None if row.duration_s is None else float(row.duration_s),
        reason=cast("Reason | None", row.reason),
        created_at=from_ms(row.created_at),
        delete_at=None if row.delete_at is None else from_ms(row.delete_at),
    )

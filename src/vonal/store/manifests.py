"""Manifests of days: made from the events while these are kept, stored before they are deleted."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import BigInteger, Connection, Row, Select, and_, func, literal_column, or_, select, text

from vonal.domain.manifest import SETTLED, Manifest, chained, is_final
from vonal.store.sql import EPOCH, from_ms, to_ms, upsert
from vonal.store.tables import call, event, manifest

DAY_MS = 86_400_000
_RECORDS = text("type = 'call.completed'")  # in these very words, else the partial index is not used
_DAY = literal_column(str(DAY_MS), BigInteger)  # not a parameter: PostgreSQL would take two of these for two values
_PIECE = 1000  # ids read at a time


class Day(Struct, frozen=True, kw_only=True):
    """A day that has records; `forgotten`: only the manifest is kept of them."""

    date: str
    records: int
    final: bool
    forgotten: bool


def of_day(tenant_id: str, tx: Connection, day: date, *, now: datetime) -> tuple[Manifest, bool]:
    """The tenant's manifest of the day, and whether it was stored because events of the day are no longer kept.

    `now`: until when the facts have been taken in.
    """
    known_until = _known_until(tenant_id, tx, now)
    stored = select(manifest).where(manifest.c.tenant_id == tenant_id, manifest.c.date == day.isoformat())
    if (row := tx.execute(stored).first()) is not None:
        return _manifest(row, known_until), True
    return chained(tenant_id, day, _ids(tenant_id, tx, day), known_until=known_until), False


def ids_of_day(
    tenant_id: str, tx: Connection, day: date, *, after: str | None = None, limit: int
) -> tuple[list[str], str | None]:
    """The ids of the day's records by (timestamp, id), and the last of them when there are more.

    `after`: continues behind this id. Raises ValueError when it is none of the tenant's records.
    """
    query = _records(tenant_id, day)
    if after is not None:
        before = select(event.c.at).where(event.c.tenant_id == tenant_id, event.c.id == after, _RECORDS)
        at = tx.execute(before).scalar()
        if at is None:
            raise ValueError("not the id of a record")
        query = query.where(or_(event.c.at > at, and_(event.c.at == at, event.c.id > after)))
    ids = list(tx.execute(query.limit(limit + 1)).scalars())
    return ids[:limit], ids[limit - 1] if len(ids) > limit else None


def listing(
    tenant_id: str, tx: Connection, *, from_: date | None, until: date | None, limit: int, now: datetime
) -> tuple[list[Day], str | None]:
    """Days with records, newest first, from `from_` to before `until`; and the last of them when there are more."""
    days = {**_counted(tenant_id, tx, from_, until, limit + 1), **_stored(tenant_id, tx, from_, until, limit + 1)}
    known_until = _known_until(tenant_id, tx, now)
    found = [
        Day(date=day, records=records, final=is_final(date.fromisoformat(day), known_until), forgotten=forgotten)
        for day, (records, forgotten) in sorted(days.items(), reverse=True)
    ]
    return found[:limit], found[limit - 1].date if len(found) > limit else None


def keep(tenant_id: str, tx: Connection, made: Manifest) -> None:
    """Stores the manifest of a day whose events are about to be deleted; one that is stored stays as it is."""
    row = {
        "tenant_id": tenant_id,
        "date": made.date,
        "records": made.records,
        "first_id": made.first_id,
        "last_id": made.last_id,
        "chain": made.chain,
    }
    stored = select(manifest.c.date).where(manifest.c.tenant_id == tenant_id, manifest.c.date == made.date)
    if tx.execute(stored).first() is None:
        upsert(tx, manifest, [row], key=["tenant_id", "date"])


def day_of(ms: int) -> date:
    """The UTC day of a time in the store."""
    return (EPOCH + timedelta(milliseconds=ms)).date()


def _known_until(tenant_id: str, tx: Connection, now: datetime) -> datetime:
    """Until when every record is there: a call that is not completed may still tell of any moment since it began."""
    # In these very words, else the partial index is not used. The empty text keeps both databases from walking through
    # all calls of the tenant in its place.
    of_tenant = call.c.tenant_id.concat("") == tenant_id
    unfinished = select(func.min(call.c.started_at)).where(text("state <> 'completed'"), of_tenant)
    began = tx.execute(unfinished).scalar()
    return min(now - SETTLED, from_ms(began)) if began is not None else now - SETTLED


def _ids(tenant_id: str, tx: Connection, day: date) -> Iterator[str]:
    rows = tx.execute(_records(tenant_id, day).execution_options(yield_per=_PIECE))
    yield from rows.scalars()


def _records(tenant_id: str, day: date) -> Select[Any]:
    begin = _begin(day)
    of_day = (event.c.tenant_id == tenant_id, _RECORDS, event.c.at >= begin, event.c.at < begin + DAY_MS)
    return select(event.c.id).where(*of_day).order_by(event.c.at, event.c.id)


def _begin(day: date) -> int:
    return to_ms(datetime.combine(day, time(), UTC))


def _counted(
    tenant_id: str, tx: Connection, from_: date | None, until: date | None, limit: int
) -> dict[str, tuple[int, bool]]:
    number = (event.c.at // _DAY).label("number")
    query = select(number, func.count().label("records")).where(event.c.tenant_id == tenant_id, _RECORDS)
    if from_:
        query = query.where(event.c.at >= _begin(from_))
    if until:
        query = query.where(event.c.at < _begin(until))
    rows = tx.execute(query.group_by(number).order_by(number.desc()).limit(limit))
    return {day_of(row.number * DAY_MS).isoformat(): (row.records, False) for row in rows}


def _stored(
    tenant_id: str, tx: Connection, from_: date | None, until: date | None, limit: int
) -> dict[str, tuple[int, bool]]:
    query = select(manifest.c.date, manifest.c.records).where(manifest.c.tenant_id == tenant_id, manifest.c.records > 0)
    if from_:
        query = query.where(manifest.c.date >= from_.isoformat())
    if until:
        query = query.where(manifest.c.date < until.isoformat())
    rows = tx.execute(query.order_by(manifest.c.date.desc()).limit(limit))
    return {row.date: (row.records, True) for row in rows}


def _manifest(row: Row[Any], known_until: datetime) -> Manifest:
    return Manifest(
        date=row.date,
        tenant=row.tenant_id,
        records=row.records,
        first_id=row.first_id,
        last_id=row.last_id,
        chain=row.chain,
        final=is_final(date.fromisoformat(row.date), known_until),
    )

"""What a day held: its number of records, and a chain over their ids, so that nobody can leave one out unnoticed. Pure.

A record is a `call.completed`. Its day is the UTC day of the envelope's `timestamp`: the one thing about a record that
the CRM holds as well, whenever it arrived, and whatever the tenant's time zone was called then.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct

SETTLED = timedelta(minutes=10)  # a record is told at most a minute after the call's end; the rest is for clocks


class Manifest(Struct, frozen=True, kw_only=True):
    """A tenant's day. `chain` is hexadecimal; `final`: the day is over, and none of its records is still to come."""

    date: str
    tenant: str
    records: int
    first_id: str | None
    last_id: str | None
    chain: str
    final: bool


def chained(tenant_id: str, day: date, ids: Iterable[str], *, known_until: datetime) -> Manifest:
    """The manifest of the records with these `ids`, which come in the order of (timestamp, id).

    h0 = SHA-256 of `vonal:TENANT:DATE`; each record makes it SHA-256 of (h, its id as UTF-8).
    """
    link = hashlib.sha256(f"vonal:{tenant_id}:{day.isoformat()}".encode()).digest()
    records, first, last = 0, None, None
    for one in ids:
        link = hashlib.sha256(link + one.encode()).digest()
        records, first, last = records + 1, first or one, one
    return Manifest(
        date=day.isoformat(),
        tenant=tenant_id,
        records=records,
        first_id=first,
        last_id=last,
        chain=link.hex(),
        final=is_final(day, known_until),
    )


def is_final(day: date, known_until: datetime) -> bool:
    """Whether no record of the day is to be expected any more, when all that happened before `known_until` is told."""
    return known_until - datetime.combine(day, time(), UTC) >= timedelta(days=1)

"""How many calls there were: counted in the index of `call_key`, over a time that is short."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, text

from vonal.domain.call import Direction, Disposition
from vonal.store.call_keys import EVERY_CALL, facets, meaning, of_extension
from vonal.store.sql import to_ms

HOUR_MS = 3_600_000


class Counted(Struct, frozen=True, kw_only=True):
    """So many completed calls began in this hour, counted from the beginning of the time asked for."""

    hour: int
    direction: Direction
    disposition: Disposition | None
    calls: int


def by_hour(
    tenant_id: str, tx: Connection, *, since: datetime, until: datetime, own: str | None = None
) -> list[Counted]:
    """Of the tenant, or of the calls in which the extension `own` took part."""
    every = ", ".join(map(str, facets()))
    query = text(
        f"SELECT facet, (started_at - :since) / {HOUR_MS} AS hour, count(*) AS calls FROM call_key "  # noqa: S608
        f"WHERE tenant_id = :tenant AND key = :key AND facet IN ({every}) "
        "AND started_at >= :since AND started_at < :until GROUP BY facet, hour"
    )
    key = EVERY_CALL if own is None else of_extension(own)
    given = {"tenant": tenant_id, "key": key, "since": to_ms(since), "until": to_ms(until)}
    found = []
    for row in tx.execute(query, given):
        direction, disposition = meaning(row.facet)
        found.append(Counted(hour=row.hour, direction=direction, disposition=disposition, calls=row.calls))
    return found

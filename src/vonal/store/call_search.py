"""Finding calls: which ones a list shows, newest first, in a few steps however many there are.

A list is put together from the rows of `call_key`, which lie in the order of time: one run of them for each key and
facet, of which only the newest are read. Where several keys must hold at once (an agent's own calls with one number),
the rarest is read, and the others are looked up for each of its calls; such a page may end early, with a cursor.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Connection, TextClause, text

from vonal.domain.call import Direction, Disposition
from vonal.store.call_keys import EVERY_CALL, facets, number_of, of_extension, of_number
from vonal.store.sql import to_ms

MOST_KEYS = 8  # any of which will do
LOOK = 500  # calls read at once, where several keys must hold; at first only as many as two pages
MOST_LOOKED_AT = 5000  # then the page ends
PROBED = 2000  # so far is counted which key is rarest
FEW = 200  # one that is so rare will do
_LATEST = 10**15  # ms: later than any call
_LAST_LETTER = "\U0010ffff"
_ORDER = "ORDER BY started_at DESC, call_id DESC"
_SINCE = "started_at >= :since"


class CallFilter(Struct, frozen=True, kw_only=True):
    """Which calls; None and () let all through. `extensions` and `numbers` (at either end, E.164): any of up to 8.

    `own`: an extension that must have taken part as well, whatever else is asked for.
    """

    from_: datetime | None = None
    until: datetime | None = None
    direction: Direction | None = None
    disposition: Disposition | None = None
    has_recording: bool | None = None
    extensions: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    own: str | None = None


class Place(NamedTuple):
    """Where a call stands in the order of time: its start in ms UTC, and its id."""

    started_at: int
    call_id: str


class _Shape(NamedTuple):
    """What decides the text of a query; everything else is a parameter."""

    facets: tuple[int, ...]
    keys: int  # how many of the driving group
    others: tuple[int, ...]  # and of those that must hold too
    under_way: tuple[str, ...]  # conditions on calls that are not completed


def newest(
    tenant_id: str, tx: Connection, wanted: CallFilter, *, before: Place | None, limit: int
) -> tuple[list[Place], Place | None]:
    """Up to `limit` calls, newest first, and the place behind which the next page begins (None: there is no more)."""
    groups = _groups(wanted)
    under_way, given = _under_way(wanted)
    given |= {"tenant": tenant_id, "since": to_ms(wanted.from_) if wanted.from_ else 0}
    start = min(before or Place(_LATEST, ""), Place(to_ms(wanted.until) if wanted.until else _LATEST, ""))
    if not groups and not under_way:
        return _page(_look(tx, _plain(), given, start, limit + 1), limit)
    only = facets(wanted.direction, wanted.disposition, has_recording=wanted.has_recording)
    if len(groups) > 1:
        groups = _rarest_first(tenant_id, tx, groups)
    first, *others = groups or [(EVERY_CALL,)]
    shape = _Shape(only, len(first), tuple(map(len, others)), under_way)
    given |= {f"key{n}": key for n, key in enumerate(first)}
    given |= {f"other{g}_{n}": key for g, keys in enumerate(others) for n, key in enumerate(keys)}
    if not others:
        return _page(_look(tx, _merged(shape), given, start, limit + 1), limit)
    return _all_that_hold(tx, shape, given, start, limit)


def numbers_ending(tenant_id: str, tx: Connection, digits: str, *, limit: int) -> list[str]:
    """Numbers of the tenant's calls that end so, up to `limit`."""
    start = last = of_number(digits)
    ends = text("SELECT from_number, to_number FROM call WHERE tenant_id = :tenant AND state <> 'completed'")
    found = {one for row in tx.execute(ends, {"tenant": tenant_id}) for one in row if one and one.endswith(digits)}
    comparison = ">="
    while len(found) < limit:
        query = text(
            f"SELECT min(key) FROM call_key WHERE tenant_id = :tenant AND key {comparison} :last AND key < :end"  # noqa: S608
        )
        key = tx.execute(query, {"tenant": tenant_id, "last": last, "end": start + _LAST_LETTER}).scalar()
        if key is None:
            break
        found.add(number_of(key))
        last, comparison = key, ">"
    return sorted(found)[:limit]


# --- what is asked for -----------------------------------------------------------------------------------------------


def _groups(wanted: CallFilter) -> list[tuple[str, ...]]:
    """Of each group one key must hold. First come those that are rarer where all are frequent."""
    found = [tuple(map(of_extension, wanted.extensions)), tuple(map(of_number, wanted.numbers))]
    if wanted.own is not None:
        found.insert(0, (of_extension(wanted.own),))
    return [keys[:MOST_KEYS] for keys in dict.fromkeys(found) if keys]


def _under_way(wanted: CallFilter) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The same as conditions on calls that are not completed, and their parameters."""
    exact = {"direction": wanted.direction, "disposition": wanted.disposition, "has_recording": wanted.has_recording}
    given: dict[str, Any] = {name: value for name, value in exact.items() if value is not None}
    conditions = [f"{name} = :{name}" for name in given]
    for name, extensions in (("extension", wanted.extensions), ("own", (wanted.own,) if wanted.own else ())):
        conditions += _any_of(f"extensions LIKE :{name}{{}} ESCAPE '!'", len(extensions[:MOST_KEYS]))
        given |= {f"{name}{n}": f"%,{_literally(one)},%" for n, one in enumerate(extensions[:MOST_KEYS])}
    conditions += _any_of(":number{0} IN (from_number, to_number)", len(wanted.numbers[:MOST_KEYS]))
    given |= {f"number{n}": one for n, one in enumerate(wanted.numbers[:MOST_KEYS])}
    return tuple(conditions), given


def _any_of(condition: str, count: int) -> list[str]:
    return [f"({' OR '.join(condition.format(n) for n in range(count))})"] if count else []


def _literally(extension: str) -> str:
    return extension.replace("!", "!!").replace("%", "!%").replace("_", "!_")


# --- reading ---------------------------------------------------------------------------------------------------------


def _look(tx: Connection, query: TextClause, given: dict[str, Any], before: Place, limit: int) -> Sequence[Any]:
    return tx.execute(query, {**given, "at": before.started_at, "id": before.call_id, "limit": limit}).all()


def _page(rows: Sequence[Any], limit: int) -> tuple[list[Place], Place | None]:
    found = [Place(row.started_at, row.call_id) for row in rows]
    return found[:limit], found[limit - 1] if len(found) > limit else None


def _all_that_hold(
    tx: Connection, shape: _Shape, given: dict[str, Any], before: Place, limit: int
) -> tuple[list[Place], Place | None]:
    found: list[Place] = []
    looked, look, query = 0, min(2 * (limit + 1), LOOK), _checked(shape)
    while looked < MOST_LOOKED_AT:
        rows = _look(tx, query, given, before, look)
        found += [Place(row.started_at, row.call_id) for row in rows if row.holds]
        if len(found) > limit:
            return found[:limit], found[limit - 1]
        if len(rows) < look:
            return found, None
        looked, look = looked + look, LOOK
        before = Place(rows[-1].started_at, rows[-1].call_id)
    return found, before


def _rarest_first(tenant_id: str, tx: Connection, groups: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    counted: dict[tuple[str, ...], int] = {}
    for keys in reversed(groups):  # a number is most often the rarest
        counted[keys] = _how_many(tenant_id, tx, keys)
        if counted[keys] <= FEW:
            break
    return sorted(groups, key=lambda keys: counted.get(keys, PROBED * MOST_KEYS))


def _how_many(tenant_id: str, tx: Connection, keys: Iterable[str]) -> int:
    """How many calls have one of these keys, counted up to PROBED each."""
    query = text(
        "SELECT count(*) FROM (SELECT 1 FROM call_key WHERE tenant_id = :tenant AND key = :key "  # noqa: S608
        f"ORDER BY facet LIMIT {PROBED}) AS probed"
    )
    return sum(tx.execute(query, {"tenant": tenant_id, "key": key}).scalar_one() for key in keys)


# --- the queries -----------------------------------------------------------------------------------------------------


@lru_cache
def _plain() -> TextClause:
    return text(
        f"SELECT started_at, id AS call_id FROM call WHERE tenant_id = :tenant AND {_SINCE} "  # noqa: S608
        "AND (started_at, id) < (:at, :id) ORDER BY started_at DESC, id DESC LIMIT :limit"
    )


@lru_cache(maxsize=256)
def _merged(shape: _Shape) -> TextClause:
    return text(f"{_found(shape)} {_ORDER} LIMIT :limit")


@lru_cache(maxsize=256)
def _checked(shape: _Shape) -> TextClause:
    held = " AND ".join(_held(group, count) for group, count in enumerate(shape.others))
    return text(
        f"SELECT started_at, call_id, (facet < 0 OR ({held})) AS holds "  # noqa: S608
        f"FROM ({_found(shape)} {_ORDER} LIMIT :limit) AS mine {_ORDER}"
    )


def _held(group: int, count: int) -> str:
    """Not written with EXISTS, which PostgreSQL would like to answer by reading the whole table once."""
    keys = ", ".join(f":other{group}_{n}" for n in range(count))
    return (
        f"(SELECT 1 FROM call_key AS o WHERE o.tenant_id = :tenant AND o.key IN ({keys}) "  # noqa: S608
        "AND o.facet = mine.facet AND o.started_at = mine.started_at AND o.call_id = mine.call_id LIMIT 1) IS NOT NULL"
    )


def _found(shape: _Shape) -> str:
    """The newest of every run, and those under way, whose facet is -1; each once."""
    runs = [_run(key, facet) for key in range(shape.keys) for facet in shape.facets]
    conditions = "".join(f" AND {one}" for one in shape.under_way)
    under_way = (
        f"SELECT -1 AS facet, started_at, id AS call_id FROM call WHERE tenant_id = :tenant AND state <> 'completed' "  # noqa: S608
        f"AND {_SINCE} AND (started_at, id) < (:at, :id){conditions} ORDER BY started_at DESC, id DESC LIMIT :limit"
    )
    united = " UNION ALL ".join(f"SELECT * FROM ({one}) AS run" for one in (under_way, *runs))  # noqa: S608
    once = " GROUP BY facet, started_at, call_id" if shape.keys > 1 else ""
    return f"SELECT facet, started_at, call_id FROM ({united}) AS found{once}"  # noqa: S608


def _run(key: int, facet: int) -> str:
    return (
        f"SELECT facet, started_at, call_id FROM call_key WHERE tenant_id = :tenant AND key = :key{key} "  # noqa: S608
        f"AND facet = {facet} AND {_SINCE} AND (started_at, call_id) < (:at, :id) {_ORDER} LIMIT :limit"
    )

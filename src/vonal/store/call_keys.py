"""By what completed calls are found: a row for each number and extension that took part, beside one for all calls.

In a row stand the call's key and its facet (direction, disposition and whether it is recorded, in one number), then its
time. So whatever is asked for lies together, newest at an end, and a page takes the same few steps among millions of
calls as among hundreds. Calls under way have no rows: they are few, change often, and are looked through.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

from sqlalchemy import Connection

from vonal.domain.call import Call, Direction, Disposition
from vonal.store import sql
from vonal.store.tables import call_key as table

# Written into the database: never renumbered.
_DIRECTIONS: dict[Direction, int] = {"inbound": 0, "outbound": 1, "internal": 2}
_DISPOSITIONS: dict[Disposition | None, int] = {
    None: 0,
    "answered": 1,
    "no_answer": 2,
    "busy": 3,
    "cancelled": 4,
    "rejected": 5,
    "failed": 6,
}
EVERY_CALL = ""
LONGEST_NUMBER = 64


def of_extension(extension: str) -> str:
    """The key of calls in which the extension took part."""
    return f"x{extension}"


def of_number(number: str) -> str:
    """The key of calls from or to the number: written from its end, for people know how a number ends."""
    return f"n{number[:LONGEST_NUMBER][::-1]}"


def number_of(key: str) -> str:
    """The number that `of_number` made the key of."""
    return key[:0:-1]


def keys_of(call: Call) -> set[str]:
    """All keys of the call."""
    ends = {party.number or party.raw for party in (call.from_, call.to)} - {""}
    return {EVERY_CALL, *map(of_number, ends), *map(of_extension, extensions_of(call))}


def extensions_of(call: Call) -> set[str]:
    """Every extension that took part."""
    found = {leg.extension for leg in call.legs if leg.extension}
    return found | {call.agent.extension} if call.agent else found


def is_recorded(call: Call) -> bool:
    """Whether there is something to hear."""
    return any(one.state == "ready" for one in call.recordings)


@lru_cache(maxsize=256)
def facets(
    direction: Direction | None = None, disposition: Disposition | None = None, *, has_recording: bool | None = None
) -> tuple[int, ...]:
    """The facets of the calls that are so; None lets all through."""
    directions = list(_DIRECTIONS.values()) if direction is None else [_DIRECTIONS[direction]]
    dispositions = list(_DISPOSITIONS.values()) if disposition is None else [_DISPOSITIONS[disposition]]
    recorded = (0, 1) if has_recording is None else (int(has_recording),)
    return tuple(_facet(*one) for one in product(directions, dispositions, recorded))


def meaning(facet: int) -> tuple[Direction, Disposition | None]:
    """Direction and disposition of the calls with this facet."""
    rest = facet // 2
    direction = next(name for name, number in _DIRECTIONS.items() if number == rest // len(_DISPOSITIONS))
    return direction, next(name for name, number in _DISPOSITIONS.items() if number == rest % len(_DISPOSITIONS))


def any_tenant_put(tx: Connection, calls: Iterable[Call]) -> None:
    """Writes the rows of those calls that are completed."""
    done = [call for call in calls if call.state == "completed"]
    again = [row for call in done if call.revision > 1 for row in _rows(call)]
    if again:  # what may have changed since is whether there is something to hear
        mark = sql.placeholder(tx.dialect.name)
        values = [tuple({**row, "facet": row["facet"] ^ 1}.values()) for row in again]
        same = " AND ".join(f"{name} = {mark}" for name in again[0])
        tx.exec_driver_sql(f"DELETE FROM call_key WHERE {same}", values)  # noqa: S608
    sql.insert(tx, table, [row for call in done for row in _rows(call)], ending=sql.NOTHING)


def _rows(call: Call) -> Sequence[dict[str, Any]]:
    facet = _facet(_DIRECTIONS[call.direction], _DISPOSITIONS[call.disposition], int(is_recorded(call)))
    started = sql.to_ms(call.started_at)
    return [
        {"tenant_id": call.tenant_id, "key": key, "facet": facet, "started_at": started, "call_id": call.id}
        for key in sorted(keys_of(call))
    ]


def _facet(direction: int, disposition: int, recorded: int) -> int:
    return (direction * len(_DISPOSITIONS) + disposition) * 2 + recorded

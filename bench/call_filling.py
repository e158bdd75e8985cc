"""Fills a database with a year of calls of one tenant, by SQL, in the order of their times and as Vonal keeps them."""

import time
from typing import Any

import msgspec

import filling
import world

TENANT = "acme"
OWN, RARE = "+3612345678", "299"
CALLS_OF_A_CUSTOMER = 5
EXTENSIONS = 50
SPAN_MS = 365 * 86_400_000
PIECE = 250_000

# A number that looks random, the same for the same call.
_H = "((i * 2654435761) % 4294967296)"
_DIRECTION = f"CASE WHEN {_H} % 20 < 11 THEN 'inbound' WHEN {_H} % 20 < 17 THEN 'outbound' ELSE 'internal' END"
_OUTCOME = f"({_H} / 20 % 1000)"
_DISPOSITION = (
    f"CASE WHEN {_OUTCOME} < 720 THEN 'answered' WHEN {_OUTCOME} < 880 THEN 'no_answer' "
    f"WHEN {_OUTCOME} < 940 THEN 'busy' WHEN {_OUTCOME} < 970 THEN 'cancelled' "
    f"WHEN {_OUTCOME} < 990 THEN 'rejected' ELSE 'failed' END"
)
_EXTENSION = f"CASE WHEN {_H} % 100003 < 3 THEN '{RARE}' ELSE CAST(101 + {_H} / 100 % {EXTENSIONS} AS VARCHAR(8)) END"
_CUSTOMER = f"('+3630' || CAST(5000000 + {_H} / 13 % {{customers}} AS VARCHAR(8)))"
_OUTBOUND = f"{_H} % 20 BETWEEN 11 AND 16"
_CALL = """{numbers}
INSERT INTO call (id, tenant_id, linkedid, state, direction, disposition, started_at, ended_at, from_number, to_number,
                  extensions, has_recording, data)
SELECT id, '{tenant}', id, 'completed', direction, disposition, at, at + 240000,
       CASE WHEN direction = 'inbound' THEN customer WHEN direction = 'outbound' THEN '{own}' ELSE extension END,
       CASE WHEN direction = 'inbound' THEN '{own}' WHEN direction = 'outbound' THEN customer ELSE '101' END,
       ',' || extension || ',', {recorded}, '{{"id":"' || id || '"{data}'
FROM (SELECT {id} AS id, {direction} AS direction, {disposition} AS disposition, {extension} AS extension,
             {customer} AS customer, CAST({first_at} + i * {step} AS BIGINT) AS at, i FROM n) AS made"""
_FACET = """(CASE direction WHEN 'inbound' THEN 0 WHEN 'outbound' THEN 7 ELSE 14 END
 + CASE disposition WHEN 'answered' THEN 1 WHEN 'no_answer' THEN 2 WHEN 'busy' THEN 3 WHEN 'cancelled' THEN 4
                    WHEN 'rejected' THEN 5 ELSE 6 END) * 2 + CASE WHEN has_recording THEN 1 ELSE 0 END"""
_KEYS = f"""INSERT INTO call_key (tenant_id, key, facet, started_at, call_id)
SELECT tenant_id, key, {_FACET}, started_at, id FROM (
  SELECT '' AS key, call.* FROM call
  UNION ALL SELECT 'n' || reverse(from_number), call.* FROM call
  UNION ALL SELECT 'n' || reverse(to_number), call.* FROM call WHERE to_number <> from_number
  UNION ALL SELECT 'x' || replace(extensions, ',', ''), call.* FROM call) AS keyed"""


def fill(url: str, *, rows: int) -> None:
    """Adds so many calls."""
    store = "sqlite" if url.startswith("sqlite") else "postgresql"
    connection = filling.connect(url)
    if store == "sqlite":
        connection.create_function("reverse", 1, lambda text: text[::-1], deterministic=True)
    for first in range(0, rows, PIECE):
        connection.execute(_CALL.format(**_values(store, first=first, end=min(first + PIECE, rows), rows=rows)))
        connection.commit()
    # By a table without row ids in its own order, which is quicker; a heap in the order of time, as it would be.
    connection.execute(_KEYS + (" ORDER BY 1, 2, 3, 4, 5" if store == "sqlite" else " ORDER BY started_at"))
    connection.commit()
    filling.settle(connection, store)


def customer(n: int, rows: int) -> str:
    """One of the customers' numbers."""
    return f"+3630{5_000_000 + n % (rows // CALLS_OF_A_CUSTOMER)}"


def _values(store: str, *, first: int, end: int, rows: int) -> dict[str, Any]:
    hexed = "printf('%08x', {})" if store == "sqlite" else "lpad(to_hex({}), 8, '0')"
    letters = f"{hexed.format('i')} || {hexed.format(_H)}"  # as real ids: first the time, then what is random
    recorded = f"disposition = 'answered' AND {_H} % 3 = 0"
    return {
        "numbers": filling.NUMBERS[store].format(first=first, end=end),
        "tenant": TENANT,
        "own": OWN,
        "id": f"('call_' || {letters} || '0000000000')",
        "direction": _DIRECTION,
        "disposition": _DISPOSITION,
        "extension": _EXTENSION,
        "customer": _CUSTOMER.format(customers=rows // CALLS_OF_A_CUSTOMER),
        "recorded": recorded,
        "first_at": int(time.time() * 1000) - SPAN_MS,
        "step": SPAN_MS // rows,
        "data": _data(),
    }


def _data() -> str:
    """The rest of a call as it is stored, of the usual length; what it says is always the same."""
    made = msgspec.structs.replace(world.call(TENANT, 0), tenant_id=TENANT, state="completed")
    text = msgspec.json.encode(made).decode()
    start = f'{{"id":"{made.id}"'
    assert text.startswith(start)
    return text[len(start) :].replace("'", "''")

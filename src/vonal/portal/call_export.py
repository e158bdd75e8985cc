"""The call log as a file for a spreadsheet, with the same filters, written while it is read."""

import csv
import io
import re
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from litestar.response import Stream

from vonal.domain.audit import Entry
from vonal.domain.call import Call, Party
from vonal.portal import call_filters
from vonal.portal.asked import Asked
from vonal.portal.page import HEADERS
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.portal.words import N_, gettext
from vonal.store import audit, calls
from vonal.store.call_search import CallFilter

MOST_ROWS = 50_000
PAGE = 500
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"  # by it Excel knows that the file is UTF-8
COLUMNS = (
    N_("Started"),
    N_("Direction"),
    N_("Outcome"),
    N_("From"),
    N_("Caller's name"),
    N_("To"),
    N_("Extension"),
    N_("Person"),
    N_("Talk (s)"),
    N_("Total (s)"),
    N_("Recording"),
    N_("Id of the call"),
)
OUTCOMES = {
    "answered": N_("Answered"),
    "no_answer": N_("Not answered"),
    "busy": N_("Busy"),
    "cancelled": N_("Cancelled"),
    "rejected": N_("Rejected"),
    "failed": N_("Failed"),
}
DIRECTIONS = {"inbound": N_("Inbound"), "outbound": N_("Outbound"), "internal": N_("Internal")}
# A cell that begins so is a formula to spreadsheets, and could be a caller's name; a plain number is none.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"\+?[0-9]{1,15}")


async def export(portal: Portal, asked: Asked) -> Stream:
    """The file; that it was taken is noted before the first line leaves."""
    search = await call_filters.read(portal, asked)
    tenant_id = asked.tenant.id
    entry = Entry(
        tenant_id=tenant_id,
        at=time.time_ns() // 1_000_000,
        actor=asked.actor,
        action="export",
        kind="calls",
        name="calls.csv",
        after=search.typed,
    )
    await portal.db.write(lambda tx: audit.add(tenant_id, tx, entry))
    day = datetime.now(ZoneInfo(asked.tenant.timezone)).date()
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="calls-{tenant_id}-{day}.csv"'}
    lines = _lines(portal, asked, search.wanted)
    return Stream(lines, media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(portal: Portal, asked: Asked, wanted: CallFilter | None) -> AsyncIterator[bytes]:
    say = partial(gettext, asked.language)
    separator = ";" if asked.language == "hu" else ","
    yield _packed([[say(one) for one in COLUMNS]], separator, start=BOM)
    cursor, written = None, 0
    while wanted is not None and written < MOST_ROWS:
        limit = min(PAGE, MOST_ROWS - written)
        look = partial(calls.listing, asked.tenant.id, wanted=wanted, after=cursor, limit=limit)
        found, cursor = await portal.db.read(look)
        yield _packed([list(_cells(one, asked)) for one in found], separator)
        written += len(found)
        if cursor is None:
            return
    if wanted is not None:
        more = say("There are more calls; choose a shorter time to get them all.")
        yield _packed([[more]], separator)


def _cells(call: Call, asked: Asked) -> Iterator[str]:
    say = partial(gettext, asked.language)
    end = call.ended_at or call.started_at
    yield call.started_at.astimezone(ZoneInfo(asked.tenant.timezone)).strftime("%Y-%m-%d %H:%M:%S")
    yield say(DIRECTIONS[call.direction])
    yield say(OUTCOMES[call.disposition]) if call.disposition else ""
    yield _number(call.from_)
    yield call.from_.name or ""
    yield _number(call.to)
    yield call.agent.extension if call.agent else ""
    yield (call.agent.name or "") if call.agent else ""
    yield str(round(call.talk_s))
    yield str(round((end - call.started_at).total_seconds()))
    yield say("yes") if any(one.state == "ready" for one in call.recordings) else ""
    yield call.id


def _number(party: Party) -> str:
    return party.number or party.raw


def _packed(rows: list[list[str]], separator: str, *, start: str = "") -> bytes:
    text = io.StringIO(start)
    text.seek(0, io.SEEK_END)
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(map(_harmless, row) for row in rows)
    return text.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


ROUTES = (Route(path="/calls.csv", handler=export, needs="export"),)

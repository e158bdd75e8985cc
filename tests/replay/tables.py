"""Call scenarios as text tables that a telephony engineer can read, and the way to make them from a journal.

    python tests/replay/tables.py JOURNAL.dsv > tests/replay/scenarios/NAME.txt

One row per channel event; columns are separated by ` | `. Times count from the first row; `id` and `call` are
Asterisk's uniqueid and linkedid. After the line `=>` stands what must come of it, one event per line.
"""

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vonal.calls.people import People
from vonal.calls.tracker import other_call, track
from vonal.domain.call import Call, Party, call_id
from vonal.domain.directory import Extension, Number, Tenant
from vonal.domain.events import CallEvent
from vonal.domain.journal import JournalRow
from vonal.telephony import journal

SCENARIOS = Path(__file__).parent / "scenarios"
START = datetime(2026, 11, 22, 9, 15, tzinfo=UTC)
ACME = Tenant(
    id="acme",
    country="HU",
    extensions=[
        Extension(number="101", name="Kovács Anna", email="anna@acme.example"),
        Extension(number="102", name="Nagy Béla"),
        Extension(number="103", name="Szabó Csaba"),
        Extension(number="105", name="Tóth Dóra"),
    ],
    numbers=[Number(number="+3612345678", name="Központ", ring=["101"])],
)
PEOPLE = People(node="test", tenants={"acme": ACME}, mint=lambda _tenant, _call, file: f"rec_{file}")


@dataclass
class Scenario:
    rows: list[JournalRow]
    expected: list[str]


def load(path: Path) -> Scenario:
    told, _, expected = path.read_text(encoding="utf-8").partition("\n=>\n")
    rows = [_row(line) for line in told.splitlines() if line and not line.startswith("#")]
    return Scenario(rows, expected.splitlines())


def play(rows: list[JournalRow], calls: dict[str, Call] | None = None) -> tuple[dict[str, Call], list[CallEvent]]:
    """What the tracker makes of the rows: the calls by id, and all events in order."""
    calls = dict(calls or {})
    events = []
    for row in rows:
        if row.linkedid.startswith("call_"):
            calls.setdefault(row.linkedid, requested(row.linkedid))
    for row in rows:
        key = call_id(PEOPLE.node, row.linkedid)
        other = other_call(row, PEOPLE.node)
        call, made = track(calls.get(key), row, PEOPLE, calls.get(other) if other else None)
        if call is not None:
            calls[key] = call
        events += made
    return calls, events


def requested(call: str) -> Call:
    """A click-to-call as the API leaves it in the store before it dials."""
    to = Party(number="+36301234567", raw="06301234567")
    agent = PEOPLE.agent("acme", "101")
    return Call(
        id=call,
        tenant_id="acme",
        linkedid=call,
        state="requested",
        direction="outbound",
        origin="click_to_call",
        from_=Party(raw="101", name=agent.name),
        to=to,
        started_at=START,
        agent=agent,
    )


def summary(event: CallEvent) -> str:
    """An event as one line: when, its number in which call, what, and what the call is like."""
    data = event.data
    call, talk = data["call"], data["times"]["talk_s"]
    at = (event.at - START).total_seconds()
    parts = [f"{at:.3f}", f"#{event.sequence}", event.type, call["direction"], call["disposition"] or "-"]
    parts.append(f"{data['from']['number'] or data['from']['raw']} -> {data['to']['number'] or data['to']['raw']}")
    parts.append(f"agent={data['agent']['extension'] if data['agent'] else '-'}")
    if event.type in ("call.ended", "call.completed"):
        legs = (f"{leg['extension'] or leg['kind']}:{leg['disposition']}:{leg['cause']}" for leg in data["legs"])
        parts.append(f"talk={talk:.3f} by={call['ended_by']} cause={call['cause']} refused={call['refused']}")
        parts.append(f"legs={','.join(legs)} recordings={len(data['recordings'])}")
    parts += [f"{one['type']} {one['from']} -> {one['to']}" for one in data["transfers"]]
    return " | ".join(parts)


def _row(line: str) -> JournalRow:
    at, event, name, channel, call, exten, app, number, caller, cause, disposition, extra = line.split(" | ")
    return JournalRow(
        event=event.strip(),
        at=START + timedelta(seconds=float(at)),
        channel=channel.strip(),
        channel_name=name.strip() and f"PJSIP/{name.strip()}",
        linkedid=call.strip(),
        exten=exten.strip(),
        app=app.strip(),
        caller_number=number.strip(),
        caller_name=json.loads(caller),
        cause=int(cause) if cause.strip() != "-" else None,
        disposition=disposition.strip() if disposition.strip() != "-" else None,
        extra=json.loads(extra),
    )


def _table(rows: list[JournalRow]) -> str:
    start = rows[0].at
    lines = []
    for row in rows:
        name = row.channel_name.removeprefix("PJSIP/")
        cells = [f"{(row.at - start).total_seconds():8.3f}", f"{row.event:<16}", f"{name:<23}"]
        cells += [f"{row.channel:<14}", f"{row.linkedid:<14}", f"{row.exten:<13}", f"{row.app:<15}"]
        cells += [f"{row.caller_number:<12}", json.dumps(row.caller_name, ensure_ascii=False)]
        cells += [str(row.cause if row.cause is not None else "-"), row.disposition or "-"]
        lines.append(" | ".join([*cells, json.dumps(row.extra, ensure_ascii=False)]))
    return "\n".join(lines)


def _main(path: str) -> None:
    table = _table(list(journal.parse(Path(path).read_bytes())))
    found = [_row(line) for line in table.splitlines()]
    head = "# at | event | channel | id | call | exten | app | caller's number | name | cause | disposition | details"
    sys.stdout.write("\n".join([head, table, "=>", *map(summary, play(found)[1]), ""]))


if __name__ == "__main__":
    _main(sys.argv[1])

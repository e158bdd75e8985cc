"""`vonal calls`: the record of calls, as the operator reads it."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection

from vonal import config
from vonal.cli.output import Json, print_items, print_json, print_table, shown
from vonal.config import SettingsError
from vonal.domain.call import Call, Direction, Disposition, Party
from vonal.domain.directory import Tenant
from vonal.domain.errors import DirectoryError
from vonal.domain.events import wire
from vonal.store import calls as store
from vonal.store import directory
from vonal.store.calls import CallFilter
from vonal.store.database import Database
from vonal.store.opening import open_database

COLUMNS = ("started", "tenant", "direction", "from", "to", "agent", "outcome", "talk", "recording", "id")
LOOK_SECONDS = 0.5
LOOK_BACK = 500  # calls; more never start between two looks
ARROWS = {"inbound": "→ in", "outbound": "← out", "internal": "↔ inside"}


def calls(  # noqa: PLR0913 - each is an option of the command
    *,
    tenant: Annotated[str | None, typer.Option(help="only this tenant's; default all")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="started then or later: 2026-11-22 or 2026-11-22T09:30")
    ] = None,
    until: Annotated[str | None, typer.Option(help="started before")] = None,
    direction: Annotated[Direction | None, typer.Option(help="seen from the tenant")] = None,
    disposition: Annotated[Disposition | None, typer.Option(help="how it ended")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="the newest so many")] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="then go on: each call as it ends, until Ctrl-C")
    ] = False,
    as_json: Json = False,
) -> None:
    """List calls, oldest first, in the tenant's local time. With --follow, JSON is one call on each line."""
    earliest, latest = _moment(from_, "--from"), _moment(until, "--until")
    with closing(open_database(config.load())) as db:
        tenants = _tenants(db, tenant)
        wanted = {
            one.id: CallFilter(
                from_=_utc(earliest, one),
                until=_utc(latest, one),
                direction=direction,
                disposition=disposition,
            )
            for one in tenants
        }
        found = db.read_now(partial(_newest, wanted=wanted, limit=max(limit, LOOK_BACK) if follow else limit))
        _show(found[-limit:], tenants, as_json=as_json, follow=follow)
        if follow:
            for call in _ended(db, wanted, known=found):
                _show([call], tenants, as_json=as_json, follow=True)


def _tenants(db: Database, tenant: str | None) -> list[Tenant]:
    known = db.read_now(directory.any_tenant_load).tenants
    found = [one for one in known if tenant in (None, one.id)]
    if tenant is not None and not found:
        names = ", ".join(one.id for one in known) or "none yet; `vonal apply` makes them"
        raise DirectoryError([("--tenant", f"there is no tenant {tenant}; known are: {names}")])
    return found


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as fault:
        raise SettingsError(
            f"{option} {text}: expected a date or time such as 2026-11-22 or 2026-11-22T09:30"
        ) from fault


def _utc(moment: datetime | None, tenant: Tenant) -> datetime | None:
    """Without a zone, it is meant in the tenant's."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(tenant.timezone))).astimezone(UTC)


def _newest(tx: Connection, *, wanted: dict[str, CallFilter], limit: int) -> list[Call]:
    found = [call for tenant, only in wanted.items() for call in store.listing(tenant, tx, only, limit=limit)[0]]
    return sorted(found, key=lambda call: (call.started_at, call.id))[-limit:]


def _ended(db: Database, wanted: dict[str, CallFilter], *, known: Iterable[Call]) -> Iterator[Call]:
    """Each call once, as soon as it is over with all its recordings; those that were over at first are left out."""
    told = {call.id for call in known if call.state == "completed"}
    open_ = {call.id for call in known if call.state != "completed"}
    while True:
        time.sleep(LOOK_SECONDS)
        found = {call.id: call for call in db.read_now(partial(_newest, wanted=wanted, limit=LOOK_BACK))}
        found |= db.read_now(partial(store.any_tenant_find, call_ids=open_ - found.keys()))
        over = {call_id for call_id, call in found.items() if call.state == "completed"}
        yield from (found[call_id] for call_id in found if call_id in over - told)
        told = told & found.keys() | over
        open_ = found.keys() - over


def _show(found: Iterable[Call], tenants: list[Tenant], *, as_json: bool, follow: bool) -> None:
    zones = {one.id: ZoneInfo(one.timezone) for one in tenants}
    if as_json and follow:
        for call in found:
            print_json(_wire(call))
    elif as_json:
        print_items([_wire(call) for call in found])
    elif follow:
        for call in found:
            typer.echo("  ".join(shown(cell) for cell in _row(call, zones[call.tenant_id])))
    else:
        rows = [_row(call, zones[call.tenant_id]) for call in found]
        print_table(COLUMNS, rows, empty="No such calls.")


def _wire(call: Call) -> dict[str, object]:
    running = call.state in ("requested", "live")
    return {"tenant": call.tenant_id, **wire(call, datetime.now(UTC) if running else None)}


def _row(call: Call, zone: ZoneInfo) -> tuple[str, ...]:
    return (
        call.started_at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S"),
        call.tenant_id,
        ARROWS[call.direction],
        _party(call.from_),
        _party(call.to),
        call.agent.extension if call.agent else "",
        call.disposition or call.state,
        f"{int(call.talk_s) // 60}:{int(call.talk_s) % 60:02}" if call.answered_at else "",
        ", ".join(one.state for one in call.recordings),
        call.id,
    )


def _party(party: Party) -> str:
    number = "anonymous" if party.anonymous else party.number or party.raw
    return f"{number} {party.name}" if party.name else number

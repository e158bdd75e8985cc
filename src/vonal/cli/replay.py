"""`vonal deliveries --replay-webhook`: all that a webhook was sent between two times, again."""

import sys
from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.progress import Progress

from vonal.cli.output import print_json
from vonal.delivery import replay
from vonal.store.database import Database
from vonal.store.replays import Range


def replay_webhook(db: Database, named: str, *, since: str | None, until: str | None, yes: bool, as_json: bool) -> None:
    """Asks, then owes the deliveries again; `named` is TENANT/ID."""
    tenant_id, slash, webhook_id = named.partition("/")
    if not slash or since is None:
        raise typer.BadParameter("give TENANT/ID, and --from", param_hint="--replay-webhook")
    now = datetime.now(UTC)
    range_ = replay.wanted(webhook_id, _moment(since, "--from"), _moment(until, "--until", now), None, now=now)
    found = replay.count(db, tenant_id, range_)
    if found and not yes and sys.stdin.isatty():
        typer.confirm(f"Send {found} deliveries of {named} again?", abort=True, err=True)
    done = _replayed(db, tenant_id, range_, now=now, total=found)
    if as_json:
        print_json({"replayed": done})
    else:
        typer.echo(f"{done} deliveries of {named} will be sent again.")


def _replayed(db: Database, tenant_id: str, range_: Range, *, now: datetime, total: int) -> int:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Owing again", total=total)
        return replay.replay(db, tenant_id, range_, now=now, told=lambda done: progress.update(bar, completed=done))


def _moment(text: str | None, option: str, default: datetime | None = None) -> datetime:
    if text is None and default is not None:
        return default
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError as fault:
        raise typer.BadParameter(
            f"{text} is no time, such as 2026-11-22 or 2026-11-22T10:00:00Z", param_hint=option
        ) from fault
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

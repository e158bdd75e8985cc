"""`vonal apply FILE`: makes the directory as a YAML file says."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import msgspec
import typer
from rich.console import Console

from vonal import config
from vonal.config import Settings
from vonal.directory import apply as applying
from vonal.directory import effect, reading
from vonal.directory.apply import Changes
from vonal.domain.directory import Directory
from vonal.domain.errors import DirectoryError
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.webhooks import check as webhook_check
from vonal.webhooks.guard import fault_of_url

FAULTY = 2


def apply(
    file: Annotated[str, typer.Argument(metavar="FILE", help="the YAML file; - reads it from standard input")],
    *,
    check: Annotated[bool, typer.Option("--check", help="only say what would change")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="also remove what the file does not list: it is the whole truth")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="remove without asking")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="answer as JSON")] = False,
) -> None:
    """Make the tenants, extensions, numbers, webhooks … of a YAML file so: all of it or, with one fault, nothing."""
    settings = config.load()
    try:
        document = reading.read(_source(file))
        db = open_database(settings)
        try:
            if prune and not yes and not check:
                _confirm(applying.apply(db, document, prune=True, check=True, extra_checks=[webhook_check.faults]))
            changes = applying.apply(db, document, prune=prune, check=check, extra_checks=[webhook_check.faults])
            in_effect = None if check else _in_effect(settings, db, changes.version)
        finally:
            db.close()
    except DirectoryError as fault:
        _refuse(fault, as_json=as_json)
    _report(changes, check=check, in_effect=in_effect, as_json=as_json)
    _warn(document.directory, settings)


def _warn(directory: Directory, settings: Settings) -> None:
    """Of webhooks that nothing will be sent to: the operator may mean to open their network later."""
    for number, tenant in enumerate(directory.tenants):
        for index, hook in enumerate(tenant.webhooks):
            if reason := fault_of_url(hook.url, settings.webhook_allow):
                typer.echo(f"Warning: tenants[{number}].webhooks[{index}].url: {reason}", err=True)


def _source(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read(reading.MAX_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(reading.MAX_BYTES + 1)
    except OSError as fault:
        raise DirectoryError([("", f"{file}: {fault.strerror or fault}")]) from fault


def _confirm(changes: Changes) -> None:
    removed = [one for one in changes.items if one.action == "remove"]
    if not removed or not sys.stdin.isatty():
        return
    for line in changes.summary():
        typer.echo(line, err=True)
    typer.confirm(f"Remove {len(removed)} of these for good?", abort=True, err=True)


def _in_effect(settings: Settings, db: Database, version: int) -> bool:
    with Console(stderr=True).status("The running service takes it in …"):
        return effect.wait_until_in_effect(db, version, runs=lambda: effect.service_runs(settings, db))


def _refuse(fault: DirectoryError, *, as_json: bool) -> NoReturn:
    if as_json:
        faults = [{"path": path, "reason": reason} for path, reason in fault.faults]
        typer.echo(msgspec.json.encode({"faults": faults}).decode())
    else:
        typer.echo(str(fault), err=True)
        typer.echo("Nothing was changed.", err=True)
    raise typer.Exit(FAULTY) from fault


def _report(changes: Changes, *, check: bool, in_effect: bool | None, as_json: bool) -> None:
    if as_json:
        answer = {"check": check, "version": changes.version, "in_effect": in_effect, "changes": changes.items}
        typer.echo(msgspec.json.encode(answer).decode())
        return
    for line in changes.summary():
        typer.echo(line)
    if not changes.items:
        typer.echo("Nothing to change.")
    elif check:
        typer.echo("Only checked: nothing was changed.")
    else:
        typer.echo("In effect." if in_effect else "Stored; it takes effect when the service starts.")

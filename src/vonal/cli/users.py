"""`vonal users`: the people who sign in to the portal, added, listed and barred by hand."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from vonal import config
from vonal.cli.output import examples
from vonal.domain.errors import DirectoryError
from vonal.domain.users import ROLES, Language, Role
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.users import by_command
from vonal.users.by_command import Shown

FAULTY = 2
Json = Annotated[bool, typer.Option("--json", help="answer as JSON")]
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="with which the person signs in")]

app = typer.Typer(help="People who sign in to the portal: add, list, reset, disable, remove.", no_args_is_help=True)


@app.command(
    epilog=examples(
        'vonal users add kata@example.com --name "Kiss Kata" --operator',
        'vonal users add anna@acme.example --name "Kovács Anna" --tenant acme --role owner --language hu',
        'vonal users add bela@acme.example --name "Nagy Béla" --tenant acme --role agent --extension 102',
    )
)
def add(  # noqa: PLR0913 - each is an option of the command
    email: EmailArgument,
    *,
    name: Annotated[str, typer.Option("--name", help="how the person is called")],
    tenant: Annotated[str, typer.Option("--tenant", help="the tenant's id; without one, give --operator")] = "",
    role: Annotated[str, typer.Option("--role", help=f"in the tenant: {', '.join(ROLES)}")] = "owner",
    extension: Annotated[str, typer.Option("--extension", help="the person's own; an agent must have one")] = "",
    operator: Annotated[bool, typer.Option("--operator", help="runs the service, sees all tenants")] = False,
    language: Annotated[str, typer.Option("--language", help="hu or en")] = "en",
    as_json: Json = False,
) -> None:
    """Add somebody, and print the link with which the password is chosen: good for 7 days, once, and shown this once.

    Somebody who is there already gets a place in one more tenant, or becomes an operator; no link is made then.
    """
    with _database() as (db, base_url):
        token = by_command.add(
            db,
            email=email,
            name=name,
            language=_language(language),
            operator=operator,
            place=(tenant, _role(role), extension or None) if tenant else None,
            now=_now(),
        )
    _print_link(email, token and f"{base_url}/welcome/{token}", as_json=as_json, days=7)


@app.command("list", epilog=examples("vonal users list", "vonal users list --tenant acme --json"))
def list_(
    *, tenant: Annotated[str, typer.Option("--tenant", help="only its people")] = "", as_json: Json = False
) -> None:
    """List who may sign in: where, as what, and with or without a second factor."""
    with _database() as (db, _):
        found = [one for one in by_command.everybody(db) if not tenant or one.user.in_tenant(tenant)]
    if as_json:
        _print_json({"items": [_shown(one) for one in found], "next_cursor": None})
        return
    table = Table("e-mail", "name", "may see", "second factor", "state")
    for one in found:
        places = [f"{place.tenant_id} ({place.role})" for place in one.user.memberships]
        table.add_row(
            one.user.email,
            one.user.name,
            ", ".join((["everything (operator)"] if one.user.operator else []) + places),
            "yes" if one.second_factor else "no",
            one.state,
        )
    Console().print(table)


@app.command(epilog=examples("vonal users reset anna@acme.example"))
def reset(
    email: EmailArgument,
    *,
    factors: Annotated[bool, typer.Option("--factors", help="remove the second factors, too")] = False,
    as_json: Json = False,
) -> None:
    """Print a link with which a new password is chosen: good for one hour, once. The old one works until then.

    With --factors the second factors are removed, and all sessions ended: for somebody who has lost his phone.
    """
    with _database() as (db, base_url):
        token = by_command.reset(db, email=email, factors=factors, now=_now())
    _print_link(email, f"{base_url}/reset/{token}", as_json=as_json, days=0)


@app.command(epilog=examples("vonal users disable anna@acme.example", "vonal users disable anna@acme.example --undo"))
def disable(
    email: EmailArgument,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="let the person in again")] = False,
    as_json: Json = False,
) -> None:
    """Bar somebody from signing in, and end all sessions at once; nothing is forgotten."""
    with _database() as (db, _):
        by_command.disable(db, email=email, now=_now(), undo=undo)
    if as_json:
        _print_json({"email": email, "disabled": not undo})
    else:
        typer.echo(f"{email} may sign in again." if undo else f"{email} is signed out everywhere, and may not sign in.")


@app.command(epilog=examples("vonal users remove anna@acme.example", "vonal users remove anna@acme.example --yes"))
def remove(
    email: EmailArgument,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Remove somebody, with password, second factors and sessions. What was done stays in the audit log."""
    if not yes:
        typer.confirm(f"Remove {email}?", abort=True, err=True)
    with _database() as (db, _):
        by_command.remove(db, email=email, now=_now())
    if as_json:
        _print_json({"email": email, "removed": True})
    else:
        typer.echo(f"{email} is removed.")


@contextmanager
def _database() -> Iterator[tuple[Database, str]]:
    settings = config.load()
    db = open_database(settings)
    try:
        yield db, settings.base_url
    except DirectoryError as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(FAULTY) from fault
    finally:
        db.close()


def _role(text: str) -> Role:
    found = next((one for one in ROLES if one == text), None)
    if found is None:
        raise DirectoryError([("role", f"{text} is none of {', '.join(ROLES)}")])
    return found


def _language(text: str) -> Language:
    if text not in ("hu", "en"):
        raise DirectoryError([("language", f"{text} is none of hu, en")])
    return "hu" if text == "hu" else "en"


def _shown(one: Shown) -> dict[str, Any]:
    return {
        "email": one.user.email,
        "name": one.user.name,
        "language": one.user.language,
        "operator": one.user.operator,
        "tenants": [
            {"tenant": place.tenant_id, "role": place.role, "extension": place.extension}
            for place in one.user.memberships
        ],
        "second_factor": one.second_factor,
        "state": one.state,
    }


def _print_link(email: str, link: str | None, *, as_json: bool, days: int) -> None:
    if as_json:
        _print_json({"email": email, "link": link})
    elif link is None:
        typer.echo(f"{email} signs in as before, and may see more now.", err=True)
    else:
        typer.echo(link)
        good = f"{days} days" if days else "one hour"
        typer.echo(f"For {email}, good for {good}, and once. It cannot be shown again.", err=True)


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(msgspec.json.encode(answer).decode())


def _now() -> int:
    return time.time_ns() // 1_000_000

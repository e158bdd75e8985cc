"""`vonal keys`: API keys of machines, made, listed and ended by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from vonal import config
from vonal.cli.output import examples
from vonal.directory import keys as directory_keys
from vonal.domain.directory import SCOPES, Scope
from vonal.domain.errors import DirectoryError
from vonal.domain.principal import Credential
from vonal.store.database import Database
from vonal.store.opening import open_database

FAULTY = 2
Json = Annotated[bool, typer.Option("--json", help="answer as JSON")]
TenantOption = Annotated[str, typer.Option("--tenant", help="the tenant's id")]
NameOption = Annotated[str, typer.Option("--name", help="what the key is called")]

keys = typer.Typer(help="API keys of machines: make, list, revoke.", no_args_is_help=True)


@keys.command(
    epilog=examples(
        "vonal keys create --tenant acme --name crm",
        "vonal keys create --tenant acme --name report --scope read --network 192.0.2.0/24",
    )
)
def create(
    *,
    tenant: TenantOption,
    name: NameOption,
    scope: Annotated[
        list[str], typer.Option("--scope", help=f"what it may do: {', '.join(SCOPES)}; repeat; default all")
    ] = [],  # noqa: B006 - Typer reads it, nobody changes it
    network: Annotated[
        list[str], typer.Option("--network", help="where it may come from, CIDR; repeat; default everywhere")
    ] = [],  # noqa: B006 - as above
    as_json: Json = False,
) -> None:
    """Make an API key. It is shown this once: only its hash is stored."""
    with _database() as db:
        scopes = _scopes(scope) or SCOPES
        key, made = directory_keys.create(db, tenant, name=name, scopes=scopes, networks=network)
    if as_json:
        _print_json({**_shown(made), "key": key})
    else:
        typer.echo(key)
        typer.echo(f"Key {name} of tenant {tenant}. Keep it: it cannot be shown again.", err=True)


@keys.command("list", epilog=examples("vonal keys list --tenant acme"))
def list_(*, tenant: TenantOption, as_json: Json = False) -> None:
    """List a tenant's API keys: names and what they may do."""
    with _database() as db:
        found = directory_keys.existing(db, tenant)
    if as_json:
        _print_json({"items": [_shown(one) for one in found], "next_cursor": None})
        return
    table = Table("name", "scopes", "networks", "made by")
    for one in found:
        table.add_row(
            one.name, " ".join(one.scopes), " ".join(one.networks) or "everywhere", "keys" if one.by_command else "file"
        )
    Console().print(table)


@keys.command(epilog=examples("vonal keys revoke --tenant acme --name report"))
def revoke(*, tenant: TenantOption, name: NameOption, as_json: Json = False) -> None:
    """End an API key, at once."""
    with _database() as db:
        directory_keys.revoke(db, tenant, name)
    if as_json:
        _print_json({"tenant": tenant, "name": name, "revoked": True})
    else:
        typer.echo(f"Key {name} of tenant {tenant} is no longer accepted.")


@contextmanager
def _database() -> Iterator[Database]:
    db = open_database(config.load())
    try:
        yield db
    except DirectoryError as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(FAULTY) from fault
    finally:
        db.close()


def _scopes(texts: list[str]) -> list[Scope]:
    scopes: list[Scope] = [one for one in SCOPES if one in texts]
    if unknown := set(texts) - set(scopes):
        raise DirectoryError([("scope", f"{min(unknown)} is none of {', '.join(SCOPES)}")])
    return scopes


def _shown(one: Credential) -> dict[str, Any]:
    return {
        "tenant": one.tenant_id,
        "name": one.name,
        "scopes": one.scopes,
        "networks": one.networks,
        "by_command": one.by_command,
    }


def _print_json(answer: dict[str, Any]) -> None:
    typer.echo(msgspec.json.encode(answer).decode())

"""`vonal secrets`: how stored secrets are sealed, and a new key for them."""

from contextlib import closing
from typing import Annotated

import typer
from msgspec import Struct
from sqlalchemy import Connection

from vonal import config
from vonal.cli.output import Json, examples, print_json, print_table
from vonal.store import sealing
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.store.secret import append_secret
from vonal.store.vault import any_tenant_vault

app = typer.Typer(
    help="Secrets at rest: phone secrets, trunk passwords and webhook credentials are stored sealed. "
    "Look by which key, or make a new one.",
    no_args_is_help=True,
)


class KeyRows(Struct, frozen=True, kw_only=True):
    """One key, and how many rows it seals; `known`: it is among the service's secrets."""

    key: str
    known: bool
    rows: int


class Status(Struct, frozen=True, kw_only=True):
    """All keys, oldest first, those that are missing last; `newest` seals what is new; `plain` rows are not sealed."""

    newest: str
    keys: list[KeyRows]
    plain: int


@app.command(epilog=examples("vonal secrets status", "vonal secrets status --json"))
def status(*, as_json: Json = False) -> None:
    """Show the keys, and how many rows each one seals. Exits 1 when rows are sealed by a key that is missing."""
    with closing(open_database(config.load())) as db:
        found = _status(db)
    if as_json:
        print_json(found)
    else:
        rows = [(one.key, _said(one, found.newest), str(one.rows)) for one in found.keys]
        print_table(("key", "", "rows"), rows, empty="No keys.")
        if found.plain:
            typer.echo(f"{found.plain} rows are not sealed: the service seals them at its next start.")
    if any(not one.known for one in found.keys):
        raise typer.Exit(1)


@app.command(epilog=examples("vonal secrets rotate", "vonal secrets rotate --yes --json"))
def rotate(*, yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False, as_json: Json = False) -> None:
    """Make a new secret, append it to secret.key, and seal all stored secrets anew with its key.

    A running service goes on without a restart. The earlier secrets stay in the file: recording ids that CRMs hold were
    made with them, and stay valid. Make a backup of secret.key afterwards.
    """
    settings = config.load()
    if not yes and not settings.secret_key:
        where = settings.data_dir / "secret.key"
        typer.confirm(f"Append a new secret to {where}, and seal everything anew with it?", abort=True, err=True)
    with closing(open_database(settings)) as db:
        # The key is on disk before the first row needs it. Killed in between, the next start seals the rest.
        append_secret(settings)
        rows, found = db.submit(sealing.any_tenant_seal_anew).result(), _status(db)
    if as_json:
        print_json({"key": found.newest, "rows": rows})
        return
    typer.echo(f"{rows} rows are sealed with the new key {found.newest}.")
    typer.echo("Recording ids made before stay valid. Back secret.key up now: without it none of this opens.")


def _status(db: Database) -> Status:
    def look(tx: Connection) -> tuple[list[str], dict[str | None, int]]:
        vault = any_tenant_vault(tx)
        return (vault.key_ids if vault else []), sealing.any_tenant_rows_by_key(tx)

    known, rows = db.read_now(look)
    named = [*known, *sorted(one for one in rows if one is not None and one not in known)]
    keys = [KeyRows(key=one, known=one in known, rows=rows.get(one, 0)) for one in named]
    return Status(newest=known[-1], keys=keys, plain=rows.get(None, 0))


def _said(one: KeyRows, newest: str) -> str:
    if not one.known:
        return "missing: put it back into secret.key"
    return "newest: seals what is new" if one.key == newest else "opens what is old"

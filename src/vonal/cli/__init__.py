"""The operator's edge: `vonal`. Each command tells a fault in one line and exits 2 for the asker's, 1 for ours."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from vonal.cli import apply, calls, deliveries, demo, doctor, engine, keys, secrets, serve, users, webhooks
from vonal.cli.output import examples, told

app = typer.Typer(
    name="vonal",
    help="Joins a phone system to the CRM: click-to-call, screen pop, and every call with its recording, nothing lost.",
    epilog=examples("vonal demo", "vonal apply acme.yaml", "vonal serve", "vonal calls --tenant acme --follow"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(
    epilog=examples("vonal demo", "VONAL_DATA_DIR=/tmp/demo vonal demo"),
)(demo.demo)
app.command(epilog=serve.EPILOG)(serve.serve)
app.command(
    epilog=examples(
        "vonal apply acme.yaml", "vonal apply acme.yaml --check", "vonal apply everything.yaml --prune", "vonal apply -"
    )
)(apply.apply)
app.command(
    epilog=examples(
        "vonal calls --tenant acme --from 2026-11-22 --direction inbound",
        "vonal calls --disposition no_answer --limit 10",
        "vonal calls --follow --json",
    )
)(calls.calls)
app.command(
    epilog=examples("vonal doctor", "vonal doctor --webhook acme/call-log", "vonal doctor --json"),
)(doctor.doctor)
app.command(
    epilog=examples(
        "vonal deliveries --tenant acme --webhook call-log --state parked",
        "vonal deliveries --call call_… --attempts",
        "vonal deliveries --replay dlv_…",
        "vonal deliveries --replay-webhook acme/call-log --from 2026-11-22 --until 2026-11-23",
    )
)(deliveries.deliveries)
app.command(
    epilog=examples("vonal webhooks", "vonal webhooks --tenant acme --json"),
)(webhooks.webhooks)
app.add_typer(keys.keys, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(secrets.app, name="secrets")
app.add_typer(engine.app, name="engine")


def main() -> None:
    """The program `vonal`."""
    try:
        app()
    except Exception as fault:
        known = told(fault)
        if known is None:
            raise
        text, code = known
        typer.echo(text, err=True)
        sys.exit(code)


def _show_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"vonal {version('vonal')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _show_version(wanted=value), is_eager=True, help="the version"
        ),
    ] = False,
) -> None:
    """Joins a phone system to the CRM: click-to-call, screen pop, and every call with its recording, nothing lost."""

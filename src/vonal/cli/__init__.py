"""The operator's edge (being written)."""

import asyncio
import sys

import typer

from vonal.cli import apply as applying
from vonal.cli import engine

app = typer.Typer()
app.add_typer(engine.app, name="engine")
app.command()(applying.apply)


@app.command()
def serve() -> None:
    from vonal import app as vonal_app
    from vonal import config

    asyncio.run(vonal_app.serve(config.load()))


def main() -> None:
    app()

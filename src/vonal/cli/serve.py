"""`vonal serve`: the service, in the foreground, until it is told to stop."""

import asyncio
import resource
from typing import Annotated, Literal

import typer
import uvloop
from rich.markup import escape

from vonal import config, logs
from vonal.cli.output import examples
from vonal.config import Settings

_SETTINGS = "\n\n".join(
    f"{name}: {escape(meaning)}{escape(f' ({default})' if default else '')}"
    for name, default, meaning in Settings.describe()
)
_EXAMPLES = examples(
    "vonal serve", "VONAL_LISTEN=0.0.0.0:8080 VONAL_LOG=json vonal serve", "vonal serve --role delivery"
)
EPILOG = f"""{_EXAMPLES}

\N{ZERO WIDTH SPACE}

Settings, as environment variables or, in lower case, in vonal.toml:

{_SETTINGS}"""


def serve(
    *,
    role: Annotated[
        Literal["all", "telephony", "delivery"],
        typer.Option(help="what this process does; the parts work beside one PostgreSQL"),
    ] = "all",
) -> None:
    """Run the service: Asterisk, API, and delivery. SIGTERM or Ctrl-C drains it: no call is cut."""
    from vonal import app  # noqa: PLC0415 - the whole service, for which no other command need wait
    from vonal.app import garbage  # noqa: PLC0415 - as above

    settings = config.load()
    logs.configure(settings.log)
    garbage.collect_seldom()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (most, most)
    )  # each request under way, and each kept connection, is a file
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.serve(settings, role=role))

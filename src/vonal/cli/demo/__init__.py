"""`vonal demo`: everything on one machine, ready to click."""

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import typer
import uvloop

from vonal import logs
from vonal.cli import engine
from vonal.cli.demo import cast, place
from vonal.config import Settings
from vonal.domain.errors import EngineUnavailable
from vonal.telephony.binary import locate

if TYPE_CHECKING:
    from vonal.cli.demo.stage import Demo

LOG = "demo.log"


def demo() -> None:
    """Try everything here: service, portal, Asterisk, a simulated carrier with customers, and a small CRM to click.

    No call leaves the machine. Ctrl-C ends it all. The data stays in ./data/demo, or in VONAL_DATA_DIR.
    """
    settings = place.load()
    _get_engine(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (settings.data_dir / LOG).open("a", encoding="utf-8") as log:
        logs.configure(settings.log, stream=log)
        with contextlib.suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_play(settings))


def invitation(demo: "Demo") -> str:
    """What is printed when everything is ready: the pages, and three requests to paste."""
    calls, key = f"{demo.api}/api/v1", f"-H 'X-API-Key: {cast.API_KEY}'"
    newest = f"$(curl -s {key} '{calls}/calls?has_recording=true&limit=1' | grep -o 'rec_[a-z2-7]*' | head -n 1)"
    number = f"06{cast.CUSTOMERS[0].number.removeprefix('+36')}"
    return f"""
  Open {demo.api} and sign in as {cast.OWNER}, password {cast.OWNER_PASSWORD}:
  the portal of a company with a month of made-up calls.

  Beside it open {demo.url}: a small CRM. Click a number there, and watch the call in the portal.

  Or be the CRM yourself. Kovács Anna's phone (101) rings, then Kiss Anna's:
    curl '{calls}/click-to-call?extension=101&number={number}&user={cast.USER}&password={cast.PASSWORD}'

  Her newest calls:
    curl -u {cast.USER}:{cast.PASSWORD} '{calls}/calls?limit=5'

  The newest recording, as a file:
    curl -OJ {key} "{calls}/recordings/{newest}"

  What happens inside: {demo.settings.data_dir / LOG}. Ctrl-C ends everything.
"""


def _get_engine(settings: Settings) -> None:
    try:
        locate(settings.asterisk, settings.engine_dir)
    except EngineUnavailable:
        if settings.asterisk != "embedded":
            raise
        typer.echo("Asterisk is not here yet: getting it, once.")
        engine.install()


async def _play(settings: Settings) -> None:
    from vonal.cli.demo.stage import Demo  # noqa: PLC0415 - the whole service, for which other commands need not wait

    playing = asyncio.current_task()
    assert playing  # noqa: S101 - a coroutine always runs in a task
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, playing.cancel)
    async with Demo(settings, say=typer.echo) as stage:
        typer.echo(invitation(stage))
        await stage.watch()

"""`vonal engine`: gets the embedded Asterisk, says how it is, ends the running one."""

import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from vonal import config
from vonal.cli.output import examples
from vonal.config import Settings
from vonal.domain.errors import EngineUnavailable, TelephonyUnavailable
from vonal.telephony.ari import Ari
from vonal.telephony.binary import locate
from vonal.telephony.engine import running
from vonal.telephony.engine_install import Progress
from vonal.telephony.engine_install import install as get

STAGES = {
    "waiting": "another install is at work; waiting",
    "index": "reading the list of packages",
    "download": "downloading",
    "unpack": "unpacking",
    "check": "checking",
}
GRACE = 10.0  # seconds

app = typer.Typer(help="The embedded Asterisk: get it, look at it, end it.", no_args_is_help=True)


@dataclass(frozen=True)
class Status:
    """What `status` tells. `pid` is of the running one, which `vonal serve` adopts when it `answers`."""

    setting: str
    engine_dir: str
    program: str | None
    version: str | None
    fault: str | None
    data_dir: str
    pid: int | None
    started_at: str | None
    answers: bool
    channels: int | None


@app.command(epilog=examples("vonal engine install", "VONAL_ENGINE_DIR=/opt/vonal/engine vonal engine install"))
def install(
    *,
    again: Annotated[bool, typer.Option("--again", help="Get the newest one, also when one is there.")] = False,
) -> None:
    """Gets Asterisk into VONAL_ENGINE_DIR, without root. May be broken off and run again: it goes on from there."""
    folder = config.load().engine_dir
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = _Shown(bar)
        binary = get(folder, progress=shown.show, again=again)
    typer.echo(f"Asterisk {binary.version} is ready in {folder}")


@app.command(epilog=examples("vonal engine status", "vonal engine status --json"))
def status(*, as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Says which Asterisk is used, and whether one runs for this data folder. Exits 1 when there is none to run."""
    found = asyncio.run(_status(config.load()))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        Console(soft_wrap=True).print(_table(found))
    if found.fault:
        raise typer.Exit(1)


@app.command(epilog=examples("vonal engine stop", "vonal engine stop --yes"))
def stop(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, also when calls are up.")] = False,
) -> None:
    """Ends the Asterisk of this data folder, and the calls in it. A running `vonal serve` starts it again."""
    settings = config.load()
    process = running(_folder(settings))
    if not process:
        typer.echo(f"no Asterisk runs for {settings.data_dir}")
        return
    channels = asyncio.run(_channels(settings))
    if channels != 0 and not yes:
        what = "it does not answer; calls may be up" if channels is None else f"{channels} channels of calls are up"
        typer.confirm(f"Asterisk (pid {process.pid}): {what}. End it?", abort=True)
    asyncio.run(process.end(grace=GRACE))
    typer.echo(f"Asterisk (pid {process.pid}) has ended")


class _Shown:
    """One bar per stage of an install."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def show(self, progress: Progress) -> None:
        if progress.stage not in self._tasks:
            self._tasks[progress.stage] = self._bar.add_task(STAGES[progress.stage], total=None)
        task = self._tasks[progress.stage]
        self._bar.update(task, completed=progress.done, total=progress.total or None)


async def _status(settings: Settings) -> Status:
    process = running(_folder(settings))
    channels = await _channels(settings) if process else None
    program = version = fault = None
    try:
        binary = locate(settings.asterisk, settings.engine_dir)
        program, version = binary.argv[-1], binary.version
    except EngineUnavailable as found:
        fault = found.detail
    return Status(
        setting=settings.asterisk,
        engine_dir=str(settings.engine_dir),
        program=program,
        version=version,
        fault=fault,
        data_dir=str(settings.data_dir),
        pid=process.pid if process else None,
        started_at=process.started_at.isoformat(timespec="seconds") if process else None,
        answers=channels is not None,
        channels=channels,
    )


async def _channels(settings: Settings) -> int | None:
    """How many channels are up in the running Asterisk; None when it does not answer us."""
    try:
        password = (_folder(settings) / "ari.secret").read_text().strip()
        async with Ari(f"http://127.0.0.1:{settings.ari_port}", password=password) as ari:
            return len(await ari.channels())
    except (OSError, TelephonyUnavailable):
        return None


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "engine"


def _table(found: Status) -> Table:
    table = Table(show_header=False, box=None)
    state = "answers, will be adopted" if found.answers else "does not answer"
    rows = {
        "Asterisk": found.program or found.fault,
        "version": found.version,
        "data folder": found.data_dir,
        "running": f"pid {found.pid} since {found.started_at}, {state}" if found.pid else "no",
        "channels": None if found.channels is None else str(found.channels),
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, escape(value))
    return table

"""`vonal doctor`: looks at everything that must be right, and says what to do about what is not."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from vonal import config
from vonal.cli import checks, checks_service
from vonal.cli.checks import Finding, Port
from vonal.cli.output import Json, print_items
from vonal.config import Settings
from vonal.directory.effect import LOCK_FILE
from vonal.telephony.process import Process

SIGNS = {"ok": "[green]✓[/]", "warn": "[yellow]![/]", "fail": "[red]✗[/]"}


def doctor(
    *,
    webhook: Annotated[
        str | None, typer.Option(metavar="TENANT/ID", help="also send a webhook.test to this webhook")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check database, Asterisk, ports, clock, host name, TLS and a delivery. Exits 1 when something must be done."""
    settings = config.load()
    found = []
    for one in findings(settings, webhook=webhook):
        found.append(one)
        if not as_json:
            _print(one)
    if as_json:
        print_items(found)
    if any(one.state == "fail" for one in found):
        raise typer.Exit(1)


def findings(settings: Settings, *, webhook: str | None = None) -> Iterator[Finding]:
    """Every finding, as soon as it is there."""
    yield from checks.data_folder(settings)
    database, service = checks_service.database(settings)
    yield database
    yield Finding(check="service", state="ok", found="running" if service else "not running; `vonal serve` starts it")
    asterisk, process = checks_service.asterisk(settings, service=service)
    yield from asterisk
    yield from checks.ports(_ports(settings, process))
    yield checks.sound_ports(settings)
    yield checks.clock()
    yield checks.host_name()
    yield checks_service.public_address(settings, service=service)
    yield checks_service.delivery()
    if settings.mail_url:
        yield checks_service.mail(settings)
    if webhook is not None:
        yield checks_service.webhook(settings, webhook)


def _ports(settings: Settings, process: Process | None) -> Iterator[Port]:
    service = checks.holding(settings.data_dir / LOCK_FILE)
    asterisk = frozenset({process.pid} if process else ())
    (host, api), (sip_host, sip) = settings.listen, settings.sip_listen
    yield Port(setting="VONAL_LISTEN", host=host, port=api, protocol="tcp", owners=service)
    yield Port(setting="VONAL_SIP_LISTEN", host=sip_host, port=sip, protocol="udp", owners=asterisk)
    yield Port(setting="VONAL_SIP_LISTEN", host=sip_host, port=sip, protocol="tcp", owners=asterisk)
    yield Port(setting="VONAL_ARI_PORT", host="127.0.0.1", port=settings.ari_port, protocol="tcp", owners=asterisk)


def _print(one: Finding) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"{SIGNS[one.state]} [bold]{escape(one.check)}[/]: {escape(one.found)}")
    if one.do:
        console.print(f"    → {escape(one.do)}")

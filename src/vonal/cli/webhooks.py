"""`vonal webhooks`: where all tenants' events go, and how those webhooks are doing."""

from contextlib import closing
from typing import Annotated

import typer
from msgspec import structs

from vonal import config
from vonal.cli.output import Json, print_items, print_table
from vonal.domain.directory import Webhook
from vonal.store import webhook_health
from vonal.store.opening import open_database
from vonal.store.webhook_health import MOST_COUNTED, Health

COLUMNS = ("tenant", "webhook", "state", "waiting", "last", "failing since (UTC)", "next try (UTC)", "method", "host")


def webhooks(
    *,
    tenant: Annotated[str | None, typer.Option(help="only this tenant's; default all")] = None,
    as_json: Json = False,
) -> None:
    """List webhooks and how they are doing. `vonal doctor --webhook TENANT/ID` sends one a test."""
    with closing(open_database(config.load())) as db:
        found = [one for one in db.read_now(webhook_health.any_tenant_all) if tenant in (None, one[0])]
    if as_json:
        print_items([_machine(*one) for one in found])
    else:
        print_table(COLUMNS, [_row(*one) for one in found], empty="No webhooks.")


def _machine(tenant_id: str, webhook: Webhook, health: Health) -> dict[str, object]:
    told = {"tenant": tenant_id, "id": webhook.id, "method": webhook.method, "host": _host(webhook)}
    return {**told, "events": webhook.events, **structs.asdict(health)}


def _row(tenant_id: str, webhook: Webhook, health: Health) -> tuple[str, ...]:
    waiting = f"{MOST_COUNTED}+" if health.waiting >= MOST_COUNTED else str(health.waiting)
    last = health.last_error or str(health.last_status or "")
    times = (_time(health.failing_since), _time(health.next_try_at))
    return (tenant_id, webhook.id, health.state, waiting, last, *times, webhook.method, _host(webhook))


def _host(webhook: Webhook) -> str:
    """Without path and query: they may hold a secret."""
    return webhook.url.partition("://")[2].partition("/")[0].partition("?")[0]


def _time(iso: str | None) -> str:
    return iso.replace("T", " ").partition(".")[0] if iso else ""

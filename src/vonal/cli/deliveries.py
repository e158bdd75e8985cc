"""`vonal deliveries`: what was sent to webhooks, as the operator reads it, and sending it again."""

from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer

from vonal import config
from vonal.cli import replay as ranges
from vonal.cli.output import Json, print_json, print_table
from vonal.domain.delivery import State
from vonal.store import deliveries as store
from vonal.store.database import Database
from vonal.store.deliveries import Delivery, DeliveryFilter
from vonal.store.opening import open_database

COLUMNS = ("created (UTC)", "tenant", "webhook", "event", "state", "attempts", "last", "next (UTC)", "id")
ATTEMPT_COLUMNS = ("sent (UTC)", "delivery", "attempt", "status", "fault", "took", "answer")


def deliveries(  # noqa: PLR0913 - each is an option of the command
    *,
    tenant: Annotated[str | None, typer.Option(help="only this tenant's; default all")] = None,
    webhook: Annotated[str | None, typer.Option(help="only to this webhook")] = None,
    state: Annotated[State | None, typer.Option(help="where it stands")] = None,
    call: Annotated[str | None, typer.Option(help="only of this call: call_…")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="the newest so many")] = 20,
    attempts: Annotated[bool, typer.Option("--attempts", help="each attempt, and what was answered")] = False,
    replay: Annotated[str | None, typer.Option(metavar="ID", help="send this delivery again: dlv_…")] = None,
    replay_webhook: Annotated[
        str | None, typer.Option(metavar="TENANT/ID", help="send all of this webhook between two times again")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="with --replay-webhook: made then or later (UTC), at most 30 days ago")
    ] = None,
    until: Annotated[str | None, typer.Option(help="with --replay-webhook: made before; default now")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="send again without asking")] = False,
    as_json: Json = False,
) -> None:
    """List deliveries to webhooks, oldest first, or send some again. A running service sends them within a second."""
    with closing(open_database(config.load())) as db:
        if replay_webhook is not None:
            ranges.replay_webhook(db, replay_webhook, since=from_, until=until, yes=yes, as_json=as_json)
            return
        if replay is not None:
            _replay(db, replay, as_json=as_json)
            return
        found, cursor = _newest(db, tenant, DeliveryFilter(webhook=webhook, state=state, call=call), limit=limit)
    if as_json:
        print_json({"items": found, "next_cursor": cursor})
    elif attempts:
        print_table(ATTEMPT_COLUMNS, [row for one in found for row in _attempt_rows(one)], empty="No attempts.")
    else:
        print_table(COLUMNS, map(_row, found), empty="No such deliveries.")


def _newest(
    db: Database, tenant: str | None, wanted: DeliveryFilter, *, limit: int
) -> tuple[list[Delivery], str | None]:
    look = store.any_tenant_listing if tenant is None else partial(store.listing, tenant)
    found, cursor = db.read_now(partial(look, wanted=wanted, limit=limit))
    return found[::-1], cursor


def _replay(db: Database, delivery_id: str, *, as_json: bool) -> None:
    again = partial(store.any_tenant_replay, delivery_id=delivery_id, now=datetime.now(UTC))
    delivery = db.submit(again).result()
    if as_json:
        print_json(delivery)
    else:
        typer.echo(f"{delivery.id} ({delivery.type} to {delivery.webhook} of {delivery.tenant_id}) will be sent again")


def _row(one: Delivery) -> tuple[str, ...]:
    last = one.last_error or (str(one.last_status) if one.last_status else "")
    counted = str(len(one.attempts))
    return (
        _time(one.created_at),
        one.tenant_id,
        one.webhook,
        one.type,
        one.state,
        counted,
        last,
        _time(one.next_at),
        one.id,
    )


def _attempt_rows(delivery: Delivery) -> list[tuple[str, ...]]:
    return [
        (
            _time(one.at),
            delivery.id,
            str(one.n),
            str(one.status or one.error),
            one.fault or "",
            f"{one.took_ms} ms",
            " ".join((one.answer or "").split())[:120],
        )
        for one in delivery.attempts
    ]


def _time(iso: str | None) -> str:
    return iso.replace("T", " ").partition(".")[0] if iso else ""

"""Sending again all that a webhook was sent between two times, in order, the event ids as they were."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from vonal.domain.audit import COMMAND, Actor, Entry
from vonal.domain.delivery import State
from vonal.domain.errors import InvalidRequest, WebhookNotFound
from vonal.domain.events import iso
from vonal.store import audit, deliveries, directory, replays, webhook_health
from vonal.store.database import Database
from vonal.store.deliveries import REPLAYABLE, Delivery
from vonal.store.replays import Range
from vonal.store.sql import from_ms, to_ms

MOST = 100_000  # deliveries in one go
PIECE = 1000  # deliveries in one transaction, so that nobody waits for the writer
FORESEEN = timedelta(minutes=5)  # somebody's clock may be ahead of ours


def wanted(
    webhook_id: str, since: datetime, until: datetime, states: tuple[State, ...] | None, *, now: datetime
) -> Range:
    """The range, known to be sound. Raises InvalidRequest."""
    if since >= until:
        raise InvalidRequest("from must be before until.", param="from")
    if since < now - REPLAYABLE - FORESEEN:
        raise InvalidRequest(f"Deliveries can be sent again for {REPLAYABLE.days} days.", param="from")
    if states is not None and ("open" in states or not states):
        raise InvalidRequest("What is open will be sent anyway; name other states.", param="states")
    return Range(webhook_id=webhook_id, since=to_ms(since), until=to_ms(min(until, now + FORESEEN)), states=states)


def count(db: Database, tenant_id: str, range_: Range) -> int:
    """How many deliveries there are to be sent again. Blocks.

    Raises WebhookNotFound, and InvalidRequest when they are too many, or the webhook takes nothing.
    """
    db.read_now(partial(_require_webhook, tenant_id, webhook_id=range_.webhook_id))
    found = len(db.read_now(partial(replays.find, tenant_id, wanted=range_, limit=MOST + 1)))
    if found > MOST:
        raise InvalidRequest(f"These are more than {MOST} deliveries; ask for a shorter time.", param="until")
    return found


def replay(
    db: Database,
    tenant_id: str,
    range_: Range,
    *,
    now: datetime,
    told: Callable[[int], None] = lambda _: None,
    by: Actor = COMMAND,
) -> int:
    """Owes them again; `told` hears after each piece how many are done. Blocks. Raises as `count` does.

    What was open all along is not counted.
    """
    if total := count(db, tenant_id, range_):
        db.submit(partial(_note, tenant_id, entry=_entry(tenant_id, range_, now, by, total))).result()
    done, after = 0, 0
    while found := db.read_now(partial(replays.find, tenant_id, wanted=range_, after=after, limit=PIECE)):
        after = found[-1]
        # One time for all pieces: what is due at the same time is sent in the order of the log.
        again = partial(replays.open_again, tenant_id, positions=found, now=to_ms(now))
        done += db.submit(again).result()
        told(done)
    return done


def again(tenant_id: str, tx: Connection, delivery_id: str, *, now: datetime, by: Actor) -> Delivery:
    """Owes one delivery again, and notes by whom. Raises as `vonal.store.deliveries.replay` does."""
    done = deliveries.replay(tenant_id, tx, delivery_id, now=now)
    entry = Entry(
        tenant_id=tenant_id,
        at=to_ms(now),
        actor=by,
        action="replay",
        kind="delivery",
        name=done.id,
        after={"webhook": done.webhook, "event": done.type, "call": done.call_id},
    )
    audit.add(tenant_id, tx, entry)
    return done


def _entry(tenant_id: str, range_: Range, now: datetime, by: Actor, found: int) -> Entry:
    asked = {
        "from": iso(from_ms(range_.since)),
        "until": iso(from_ms(range_.until)),
        "states": range_.states,
        "deliveries": found,
    }
    return Entry(
        tenant_id=tenant_id,
        at=to_ms(now),
        actor=by,
        action="replay",
        kind="webhook",
        name=range_.webhook_id,
        after=asked,
    )


def _note(tenant_id: str, tx: Connection, *, entry: Entry) -> None:
    audit.add(tenant_id, tx, entry)


def _require_webhook(tenant_id: str, tx: Connection, *, webhook_id: str) -> None:
    found = [one for one in directory.webhooks(tenant_id, tx) if one.id == webhook_id]
    if not found:
        raise WebhookNotFound("There is no webhook of this id.", param="id")
    if webhook_health.of(tenant_id, tx, found)[webhook_id].state == "disabled":
        raise InvalidRequest("The webhook is disabled, because it answered 410; change it first.", param="id")

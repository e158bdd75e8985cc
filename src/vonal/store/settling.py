"""Writes down what became of attempts, in one transaction: attempts, the deliveries' states, the lanes' clocks."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from vonal.domain.delivery import EVENTS_OWN_FAULT, LaneState, Settled
from vonal.store import notices, shards, sql
from vonal.store.deliveries import NUMBER_OF, SWITCHED_OFF
from vonal.store.lanes import fingerprint, is_open, of_lane, open_of
from vonal.store.tables import DISABLED, DROPPED, PARKED, attempt, lane, webhook
from vonal.store.tables import delivery as table

GIVEN_UP = "the webhook has been down for too long"


def any_tenant_settle(tx: Connection, results: Sequence[Settled], *, node: str | None = None) -> None:
    """Writes the outcomes. A delivery closed meanwhile (by time, say) stays closed, unless the webhook took it.

    `node`: the process that sent them, if it shares the lanes with others; what it sent under a lease that it has lost
    since is left to the one that has it now.
    """
    if node is not None:
        held = shards.any_tenant_ours(tx, node=node, shards={one.shard for one in results})
        results = [one for one in results if held.get(one.shard) == one.epoch]
    tried = [_attempt(one) for one in results if one.outcome is not None]
    sql.insert(tx, attempt, tried, ending=sql.NOTHING)
    for source, values in sql.sources(tx, table, [_change(one) for one in results]) if results else ():
        tx.exec_driver_sql(f"WITH v ({_COLUMNS}) AS ({source}) {_UPDATE}", values)
    clocks = {one.owed.lane: one.lane for one in results if one.lane is not None}
    sql.upsert(tx, lane, [_clock(key, state) for key, state in clocks.items()], key=["tenant_id", "webhook_id"])
    for one in results:
        _follow_up(one.owed.lane[0], tx, one)


def _follow_up(tenant_id: str, tx: Connection, one: Settled) -> None:
    webhook_id = one.owed.webhook_id
    if one.state == "disabled":
        _disable(tenant_id, tx, webhook_id, now=one.done_at)
    if one.revived:
        _revive(tenant_id, tx, webhook_id, now=one.done_at)
    if one.given_up_before is not None:
        _give_up(tenant_id, tx, webhook_id, before=one.given_up_before, now=one.done_at)
    if one.notice is not None:
        detail = _detail(one)
        notices.add(tenant_id, tx, type=one.notice, webhook_id=webhook_id, detail=detail, at=one.done_at)


# What the webhook took counts as delivered even if it was closed meanwhile; else what is closed stays as it is.
_KEPT = "CASE WHEN v.state = 1 OR delivery.state = 0 THEN v.{0} ELSE delivery.{0} END"
_COLUMNS = "id, state, attempts, tries, due_at, done_at, last_status, last_error"
_CHANGED = [f"{name} = v.{name}" for name in ("attempts", "tries", "due_at", "last_status", "last_error")]
_CHANGED += [f"{name} = {_KEPT.format(name)}" for name in ("state", "done_at")]
_UPDATE = f"UPDATE delivery SET {', '.join(_CHANGED)} FROM v WHERE delivery.id = v.id"  # noqa: S608 - our own names


def _change(one: Settled) -> dict[str, Any]:
    """In the order of _COLUMNS."""
    outcome, made = one.outcome, 0 if one.outcome is None else 1
    return {
        "id": one.owed.id,
        "state": NUMBER_OF[one.state],
        "attempts": one.owed.attempts + made,
        "tries": one.owed.tries + made,
        "due_at": one.due_at,
        "done_at": None if one.state == "open" else one.done_at,
        "last_status": outcome.status if outcome else None,
        "last_error": one.note or (outcome.error if outcome else None),
    }


def _attempt(one: Settled) -> dict[str, Any]:
    outcome = one.outcome
    assert outcome is not None  # noqa: S101 - only what was tried comes here
    return {
        "tenant_id": one.owed.event.tenant_id,
        "delivery_id": one.owed.id,
        "n": one.owed.attempts + 1,
        "at": one.at,
        "took_ms": outcome.took_ms,
        "status": outcome.status,
        "error": outcome.error,
        "fault": outcome.fault,
        "answer": outcome.answer,
    }


def _clock(key: tuple[str, str], state: LaneState) -> dict[str, Any]:
    return {
        "tenant_id": key[0],
        "webhook_id": key[1],
        "fails": state.fails,
        "next_at": state.next_at,
        "failing_since": state.failing_since,
    }


def _detail(one: Settled) -> str:
    if one.notice == "webhook.up" or one.outcome is None:
        return ""
    return str(one.outcome.status or one.outcome.error or "")


def _disable(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    data = tx.execute(select(webhook.c.data).where(webhook.c.tenant_id == tenant_id, webhook.c.id == webhook_id))
    row = {
        "tenant_id": tenant_id,
        "webhook_id": webhook_id,
        "fails": 0,
        "next_at": 0,
        "failing_since": None,
        "disabled_at": now,
        "disabled_digest": fingerprint(tenant_id, tx, webhook_id, data.scalar() or ""),
    }
    sql.upsert(tx, lane, [row], key=["tenant_id", "webhook_id"])
    held = update(table).where(*open_of(tenant_id, webhook_id)).values(done_at=now, last_error=SWITCHED_OFF)
    tx.execute(held.where(table.c.expires_at.is_not(None)).values(state=DROPPED))
    tx.execute(held.where(table.c.expires_at.is_(None)).values(state=DISABLED))


def _revive(tenant_id: str, tx: Connection, webhook_id: str, *, now: int) -> None:
    status = func.coalesce(table.c.last_status, 0)
    back_off = update(table).where(*of_lane(table, tenant_id, webhook_id), is_open, table.c.due_at > now)
    tx.execute(back_off.where(status.not_in(EVENTS_OWN_FAULT)).values(due_at=now))


def _give_up(tenant_id: str, tx: Connection, webhook_id: str, *, before: int, now: int) -> None:
    old = update(table).where(*open_of(tenant_id, webhook_id), table.c.created_at <= before)
    tx.execute(old.values(state=PARKED, done_at=now, last_error=GIVEN_UP))

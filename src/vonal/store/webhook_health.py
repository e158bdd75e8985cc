"""How webhooks are doing: what their people and the operator see of lanes and queues."""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, func, literal_column, select

from vonal.domain.delivery import DOWN
from vonal.domain.directory import Webhook
from vonal.domain.events import iso
from vonal.store import directory
from vonal.store.sql import from_ms
from vonal.store.tables import delivery as table
from vonal.store.tables import lane

HealthState = Literal["up", "failing", "down", "disabled", "paused"]
MOST_COUNTED = 10_000
LOOKED_THROUGH = 1000  # of a tenant's newest deliveries, for a webhook's last answer
_is_open = table.c.state == literal_column("0")  # a literal: only then do both databases use the partial index


class Health(Struct, frozen=True, kw_only=True):
    """`failing`: its last attempt failed; `down`: several in a row. `disabled`: it answered 410. `paused`: not enabled.

    `waiting`: open deliveries, counted up to 10 000. `next_try_at`: no record is tried before. Times are ISO 8601.
    """

    state: HealthState
    failing_since: str | None
    next_try_at: str | None
    waiting: int
    last_status: int | None
    last_error: str | None


def of(tenant_id: str, tx: Connection, webhooks: Iterable[Webhook]) -> dict[str, Health]:
    """The health of these webhooks of the tenant, by id."""
    rows = tx.execute(select(lane).where(lane.c.tenant_id == tenant_id))
    lanes = {row.webhook_id: row for row in rows}
    return {one.id: _health(tenant_id, tx, one, lanes.get(one.id)) for one in webhooks}


def any_tenant_all(tx: Connection) -> list[tuple[str, Webhook, Health]]:
    """(tenant, webhook, health) of all webhooks there are, for the operator."""
    found = []
    for tenant in sorted(directory.any_tenant_load(tx).tenants, key=lambda one: one.id):
        healths = of(tenant.id, tx, tenant.webhooks)
        found += [(tenant.id, one, healths[one.id]) for one in sorted(tenant.webhooks, key=lambda one: one.id)]
    return found


def _health(tenant_id: str, tx: Connection, webhook: Webhook, row: Row[Any] | None) -> Health:
    fails = row.fails if row else 0
    waiting = _waiting(tenant_id, tx, webhook.id)
    last = _last(tenant_id, tx, webhook.id, failing=fails > 0)
    return Health(
        state=_state(webhook, fails=fails, disabled=bool(row and row.disabled_at)),
        failing_since=iso(from_ms(row.failing_since)) if row and row.failing_since else None,
        next_try_at=iso(from_ms(row.next_at)) if row and fails and row.next_at and waiting else None,
        waiting=waiting,
        last_status=last.last_status if last else None,
        last_error=last.last_error if last else None,
    )


def _state(webhook: Webhook, *, fails: int, disabled: bool) -> HealthState:
    if disabled:
        return "disabled"
    if not webhook.enabled:
        return "paused"
    return "down" if fails >= DOWN else "failing" if fails else "up"


def _waiting(tenant_id: str, tx: Connection, webhook_id: str) -> int:
    # The last condition is always so; by it SQLite prefers the index of what is open.
    mine: Select[Any] = select(literal_column("1")).where(*_of(tenant_id, webhook_id), _is_open, table.c.due_at >= 0)
    return int(tx.execute(select(func.count()).select_from(mine.limit(MOST_COUNTED).subquery())).scalar_one())


def _last(tenant_id: str, tx: Connection, webhook_id: str, *, failing: bool) -> Row[Any] | None:
    """The newest delivery that was tried; looked for where it is found at once, be the log as long as it may."""
    columns = (table.c.position, table.c.webhook_id, table.c.attempts, table.c.last_status, table.c.last_error)
    newest = select(*columns).where(table.c.tenant_id == tenant_id).order_by(table.c.position.desc())
    looks = [newest.limit(LOOKED_THROUGH).subquery()]
    if failing:  # what was tried is due later than what was not
        open_ = select(*columns, table.c.due_at).where(*_of(tenant_id, webhook_id), _is_open, table.c.due_at >= 0)
        looks.insert(0, open_.order_by(table.c.due_at.desc()).limit(LOOKED_THROUGH // 10).subquery())
    for look in looks:
        order = look.c.due_at if "due_at" in look.c else look.c.position
        tried = select(look).where(look.c.webhook_id == webhook_id, look.c.attempts > 0)
        if row := tx.execute(tried.order_by(order.desc()).limit(1)).first():
            return row
    return None


def _of(tenant_id: str, webhook_id: str) -> tuple[Any, Any]:
    return table.c.tenant_id == tenant_id, table.c.webhook_id == webhook_id

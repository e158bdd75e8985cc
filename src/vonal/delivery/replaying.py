"""Sending a time's deliveries again while somebody watches how far it has come."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from vonal.delivery import replay
from vonal.domain.audit import Actor
from vonal.domain.errors import VonalError
from vonal.store.database import Database
from vonal.store.replays import Range

log = structlog.get_logger(__name__)

REMEMBERED = 1000  # webhooks whose last replay can be asked about


@dataclass(kw_only=True)
class Progress:
    """How far it has come: `done` of `total` are owed again. `trouble` says why it ended early."""

    total: int
    done: int = 0
    finished: bool = False
    trouble: str = ""


class Replays:
    """The replays that this process has started, by tenant and webhook."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], Progress] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, tenant_id: str, webhook_id: str) -> Progress | None:
        """The webhook's last one."""
        return self._last.get((tenant_id, webhook_id))

    async def start(self, db: Database, tenant_id: str, range_: Range, *, now: datetime, by: Actor) -> Progress:
        """Begins, unless one is under way. Raises as `replay.count` does."""
        key = (tenant_id, range_.webhook_id)
        if (running := self._last.get(key)) and not running.finished:
            return running
        total = await asyncio.to_thread(partial(replay.count, db, tenant_id, range_))
        progress = Progress(total=total)
        self._last[key] = progress
        self._last.move_to_end(key)
        while len(self._last) > REMEMBERED:
            self._last.popitem(last=False)
        task = asyncio.create_task(_run(db, tenant_id, range_, progress, now=now, by=by))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return progress


async def _run(db: Database, tenant_id: str, range_: Range, progress: Progress, *, now: datetime, by: Actor) -> None:
    def told(done: int) -> None:
        progress.done = done

    again = partial(replay.replay, db, tenant_id, range_, now=now, told=told, by=by)
    try:
        await asyncio.to_thread(again)
    except VonalError as fault:
        progress.trouble = fault.detail
    except Exception:
        log.exception("replay_failed", tenant=tenant_id, webhook=range_.webhook_id)
        progress.trouble = "?"
    finally:
        progress.finished = True

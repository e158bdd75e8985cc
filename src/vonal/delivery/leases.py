"""Which lanes this process may work off: all of them, or with several processes on PostgreSQL a leased share.

A lease outlives the process that holds it by at most LEASE_S. A process that cannot renew it breaks off what is under
way before it runs out, and asks again right before the first byte of each request; what it settles later is refused
by the epoch (`vonal.store.settling`). So everything is sent at least once, and by two at once only when a process is
frozen between that last look and the write, and thawed after its lease is over: one request at most, and what of a
long one was under way by then.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from vonal.delivery.lane import SHARDS
from vonal.store import shards
from vonal.store.database import Database

LEASE_S = 15.0
USED = 0.8  # of a lease that cannot be renewed, the rest is for the difference of two clocks
RENEWALS = 5  # during one lease


class Leases(Protocol):
    """`node` names the process to the others; None when there are none."""

    node: str | None

    def epoch(self, shard: int) -> int | None:
        """The lease's number, None while another process has the shard."""
        ...

    def is_leaving(self, shard: int) -> bool:
        """Nothing new is begun in it: it goes to another process."""
        ...

    @property
    def renew_s(self) -> float:
        """How often to renew."""
        ...

    def remaining_s(self) -> float:
        """How long what is held may be used without another renewal; 0 when it may not."""
        ...

    async def renew(self, is_quiet: Callable[[int], bool]) -> set[int]:
        """Prolongs, takes, and hands over what `is_quiet`; returns the shards that are lost."""
        ...

    async def give_up(self) -> None:
        """Others may have everything."""
        ...


class AllLanes:
    """One process has the database for itself."""

    node: str | None = None
    renew_s = float("inf")

    def epoch(self, _shard: int) -> int | None:
        return 0

    def is_leaving(self, _shard: int) -> bool:
        return False

    def remaining_s(self) -> float:
        return float("inf")

    async def renew(self, _is_quiet: Callable[[int], bool]) -> set[int]:
        return set()

    async def give_up(self) -> None:
        return


class NoLanes(AllLanes):
    """A process that delivers nothing itself."""

    def epoch(self, _shard: int) -> int | None:
        return None


class SharedLanes:
    """A fair share of the lanes, beside other processes. No two of them have the same `node`."""

    def __init__(self, db: Database, node: str, *, lease_s: float = LEASE_S) -> None:
        self._db = db
        self.node: str | None = node
        self._lease_s = lease_s
        self.renew_s = lease_s / RENEWALS
        self._held: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._until = 0.0
        self._fresh = True

    def epoch(self, shard: int) -> int | None:
        return self._held.get(shard) if time.monotonic() < self._until else None

    def is_leaving(self, shard: int) -> bool:
        return shard in self._leaving

    def remaining_s(self) -> float:
        return max(self._until - time.monotonic(), 0.0)

    async def renew(self, is_quiet: Callable[[int], bool]) -> set[int]:
        began = time.monotonic()
        release = {shard for shard in self._leaving if is_quiet(shard)}
        work = partial(
            shards.any_tenant_renew,
            node=self.node or "",
            lease_ms=round(self._lease_s * 1000),
            release=release,
            fresh=self._fresh,
        )
        held = await self._db.write(work)
        self._fresh = False
        self._until = began + self._lease_s * USED
        lost = {shard for shard, epoch in self._held.items() if held.epochs.get(shard) != epoch}
        self._held = held.epochs
        self._leaving = set(sorted(held.epochs, key=_scattered)[: held.surplus])
        return lost

    async def give_up(self) -> None:
        self._held = {}
        await self._db.write(partial(shards.any_tenant_release_all, node=self.node or ""))


def _scattered(shard: int) -> int:
    return shard * 37 % SHARDS  # the same order every time, so that those chosen to leave are chosen again

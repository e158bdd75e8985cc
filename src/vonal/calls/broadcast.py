"""Tells those who read a tenant's events that there are new ones."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from vonal.domain.errors import RateLimited

MOST_LISTENERS = 20  # of one tenant: programs
MOST_WATCHING = 500  # people


class Broadcast:
    """Who listens to which tenant. Used on one event loop."""

    def __init__(self) -> None:
        self._listening: dict[str, set[asyncio.Event]] = {}
        self._watching: dict[str, set[asyncio.Event]] = {}

    def listen(self, tenant_id: str) -> AbstractContextManager[asyncio.Event]:
        """The event is set whenever the tenant's events have grown. Raises RateLimited when too many listen already."""
        return _among(self._listening, tenant_id, most=MOST_LISTENERS)

    def watch(self, tenant_id: str) -> AbstractContextManager[asyncio.Event]:
        """The same for people at a screen, who are many and take no program's place."""
        return _among(self._watching, tenant_id, most=MOST_WATCHING)

    def ring(self, tenant_ids: Iterable[str]) -> None:
        """These tenants have new events, and they are stored."""
        for tenant_id in tenant_ids:
            for listening in (self._listening, self._watching):
                for bell in listening.get(tenant_id, ()):
                    bell.set()

    def listeners(self, tenant_id: str) -> int:
        """How many listen now."""
        return len(self._listening.get(tenant_id, ()))


@contextmanager
def _among(everybody: dict[str, set[asyncio.Event]], tenant_id: str, *, most: int) -> Iterator[asyncio.Event]:
    listening = everybody.setdefault(tenant_id, set())
    if len(listening) >= most:
        raise RateLimited(f"A tenant may have {most} streams open.", retry_after=5)
    bell = asyncio.Event()
    listening.add(bell)
    try:
        yield bell
    finally:
        listening.discard(bell)
        if not listening and everybody.get(tenant_id) is listening:
            del everybody[tenant_id]

"""Tells those who read a tenant's events that there are new ones."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from vonal.domain.errors import RateLimited

MOST_LISTENERS = 20  # of one tenant


class Broadcast:
    """Who listens to which tenant. Used on one event loop."""

    def __init__(self) -> None:
        self._listening: dict[str, set[asyncio.Event]] = {}

    @contextmanager
    def listen(self, tenant_id: str) -> Iterator[asyncio.Event]:
        """The event is set whenever the tenant's events have grown. Raises RateLimited when too many listen already."""
        listening = self._listening.setdefault(tenant_id, set())
        if len(listening) >= MOST_LISTENERS:
            raise RateLimited(f"A tenant may have {MOST_LISTENERS} streams open.", retry_after=5)
        bell = asyncio.Event()
        listening.add(bell)
        try:
            yield bell
        finally:
            listening.discard(bell)
            if not listening and self._listening.get(tenant_id) is listening:
                del self._listening[tenant_id]

    def ring(self, tenant_ids: Iterable[str]) -> None:
        """These tenants have new events, and they are stored."""
        for tenant_id in tenant_ids:
            for bell in self._listening.get(tenant_id, ()):
                bell.set()

    def listeners(self, tenant_id: str) -> int:
        """How many listen now."""
        return len(self._listening.get(tenant_id, ()))

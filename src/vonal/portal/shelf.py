"""What is kept on the server for a while under a name that nobody can guess: an undo, a phone's settings.

It is forgotten when the process ends; none of it travels to a browser.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, TypeVar

SECONDS = 900.0
MOST = 1000
T = TypeVar("T")


class Shelf:
    """`clock`: seconds, never going back."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[float, str, Any]] = {}

    def put(self, tenant_id: str, value: Any) -> str:
        """Keeps it for the tenant for a quarter of an hour; returns its name."""
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        name = secrets.token_urlsafe(16)
        self._kept[name] = (self._clock() + SECONDS, tenant_id, value)
        return name

    def look(self, name: str, wanted: type[T], *, tenant_id: str | None = None) -> T | None:
        """What is kept under the name, if it is of this kind and, where one is given, this tenant's."""
        until, owner, value = self._kept.get(name, (0.0, "", None))
        if until <= self._clock():
            self._kept.pop(name, None)
            return None
        return value if isinstance(value, wanted) and tenant_id in (None, owner) else None

    def take(self, name: str, wanted: type[T], *, tenant_id: str) -> T | None:
        """`look`, and it is gone."""
        found = self.look(name, wanted, tenant_id=tenant_id)
        if found is not None:
            self._kept.pop(name, None)
        return found

"""How often something may be done: a sliding window per key."""

from collections import deque
from math import ceil

from vonal.domain.errors import RateLimited

SWEEP_AT = 10_000  # keys held in memory before those that are free again are let go


class Limiter:
    """At most `amount` in any `seconds`. What is refused does not count, so asking again never lengthens the wait."""

    def __init__(self, amount: int, *, seconds: float, what: str) -> None:
        self._amount = amount
        self._seconds = seconds
        self._what = what
        self._taken: dict[str, deque[float]] = {}

    def take(self, key: str, *, now: float) -> None:
        """Counts one for `key` at `now` (seconds of a steady clock). Raises RateLimited when there is no room."""
        taken = self._taken.setdefault(key, deque())
        while taken and taken[0] <= now - self._seconds:
            taken.popleft()
        if len(taken) >= self._amount:
            wait = max(1, ceil(taken[0] + self._seconds - now))
            raise RateLimited(f"{self._what}: at most {self._amount} in {self._seconds:g} s.", retry_after=wait)
        taken.append(now)
        if len(self._taken) > SWEEP_AT:
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        self._taken = {key: taken for key, taken in self._taken.items() if taken[-1] > now - self._seconds}

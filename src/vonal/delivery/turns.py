"""Turns of webhooks that may be dead: so many requests a second fail at most, however many webhooks are down. No I/O.

A webhook that has not proved to work since the process began, is down, or gives answers without an end asks for a turn
before it is read of and sent to. Those of which nothing is known come first, the latest to ask before the others: a
webhook that works is owed something fresh, and is done with this at once. The others are asked in the order in which
they wait.
"""

from dataclasses import dataclass, field

from vonal.delivery.lane import Lane

PER_S = 25
AT_ONCE = 10  # after a while in which nobody asked


@dataclass(eq=False)
class Turns:
    """`ask`; `next` says whose turn it is, who then has one until the next request."""

    _unknown: dict[Lane, None] = field(default_factory=dict)
    _down: dict[Lane, None] = field(default_factory=dict)
    _left: float = AT_ONCE
    _counted_at: int = 0

    def ask(self, lane: Lane) -> None:
        """The lane wants a turn."""
        if lane.is_down or lane.endless:
            self._down.setdefault(lane)
        else:
            self._unknown.pop(lane, None)
            self._unknown[lane] = None

    def is_waiting(self, lane: Lane) -> bool:
        """Whether the lane has asked in vain so far."""
        return lane in self._unknown or lane in self._down

    def next(self, now: int) -> Lane | None:
        """Whose turn it is at `now` (ms of a clock that is never set); None: nobody's, or it is too early."""
        self._left = min(self._left + (now - self._counted_at) * PER_S / 1000, AT_ONCE)
        self._counted_at = now
        if self._left < 1 or not (self._unknown or self._down):
            return None
        self._left -= 1
        lane = self._unknown.popitem()[0] if self._unknown else next(iter(self._down))
        self._down.pop(lane, None)
        lane.has_turn = True
        return lane

    def drop(self, lane: Lane) -> None:
        """The lane is another process's."""
        self._unknown.pop(lane, None)
        self._down.pop(lane, None)

    def give_back(self) -> None:
        """The request was taken: it counts for nothing."""
        self._left += 1

    def wait_s(self) -> float | None:
        """How long after `next` gave nobody to ask it again; None when nobody waits."""
        return max(1 - self._left, 0) / PER_S if self._unknown or self._down else None

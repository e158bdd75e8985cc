"""The delivery's time, in ms."""

import time


class Clock:
    """The machine's."""

    def now(self) -> int:
        """UTC, as the machine has it; it may be set."""
        return time.time_ns() // 1_000_000

    def steady(self) -> int:
        """Since some moment; it is never set."""
        return time.monotonic_ns() // 1_000_000

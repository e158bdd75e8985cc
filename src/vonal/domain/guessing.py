"""How guessing is slowed down: how long a counter of failed attempts is locked after each. Pure; times in ms."""

from msgspec import Struct

LOCK_MS = 15 * 60_000
FORGET_MS = 24 * 3600 * 1000


class Limits(Struct, frozen=True, kw_only=True):
    """After `free` failures in a row each further one costs a pause, twice as long each time; `most` cost a lock."""

    free: int
    most: int
    growing: bool = False  # each further lock is twice as long, up to a day

    def pause(self, fails: int) -> int:
        """For how long nothing is tried after so many failures."""
        if fails >= self.most:
            return LOCK_MS << min((fails - self.most) // self.most, 7) if self.growing else LOCK_MS
        return 0 if fails < self.free else 1000 << min(fails - self.free, 6)

    def locks(self, fails: int) -> bool:
        """Whether it is this failure that locks."""
        return fails >= self.most


# One who mistypes knows his password the fifth time. What comes from everywhere is counted too, but so generously that
# it takes many machines to lock somebody, and never him where he is at home.
ACCOUNT_HERE = Limits(free=4, most=10)
ACCOUNT_ANYWHERE = Limits(free=100, most=100)
ADDRESS = Limits(free=50, most=50)
# Six digits are few: with three codes valid at a time, this leaves less than one chance in 10,000 a day.
FACTOR_HERE = Limits(free=3, most=6)
FACTOR_ANYWHERE = Limits(free=12, most=12, growing=True)

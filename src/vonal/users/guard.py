"""Stands before everything that can be guessed: passwords and second factors of people, by account and by address.

An attempt is counted as a failure before it is looked at, and taken back when it was right: so of many that come at
once no more are let through than of those that come one after the other. Unknown accounts are counted like known ones.
"""

import hashlib
import ipaddress
import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import Connection

from vonal.domain.errors import RequestError
from vonal.domain.guessing import (
    ACCOUNT_ANYWHERE,
    ACCOUNT_HERE,
    ADDRESS,
    FACTOR_ANYWHERE,
    FACTOR_HERE,
    FORGET_MS,
    Limits,
)
from vonal.store import guessing as store
from vonal.store.database import Database
from vonal.store.guessing import Guesses

HOME = "home:"
HOME_MS = 60 * 24 * 3600 * 1000  # so long a network at which somebody has signed in is his
_NETWORKS = {4: 24, 6: 56}  # what one household or office has
_ADDRESSES = {4: 32, 6: 64}  # what one machine has


class Attempt(Struct, frozen=True, kw_only=True):
    """One that was let through: the `counters` have these values by it. `locked`: nothing more is, should it fail."""

    counters: dict[str, int]
    home: str
    locked: bool


class TooMany(RequestError):
    """Too many wrong guesses; `retry_after` says when one may be made again."""

    status, code, title, retryable = 429, "rate_limited", "Too many attempts", True


class Guard:
    """`clock` is in ms UTC."""

    def __init__(self, db: Database, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._db, self._clock = db, clock

    async def password(self, account: str, address: str) -> Attempt:
        """Lets a password for the account (an e-mail address) be tried from there. Raises TooMany."""
        return await self._let(f"account:{_digest(account)}", address, here=ACCOUNT_HERE, anywhere=ACCOUNT_ANYWHERE)

    async def factor(self, user_id: str, address: str) -> Attempt:
        """Lets a second factor of the user be tried from there. Raises TooMany."""
        return await self._let(f"factor:{user_id}", address, here=FACTOR_HERE, anywhere=FACTOR_ANYWHERE)

    async def address(self, address: str) -> Attempt:
        """Lets something be tried from there that belongs to no account. Raises TooMany."""
        counter = f"address:{_network(address, _ADDRESSES)}"
        return await self._db.write(partial(_begin, limits={counter: ADDRESS}, home="", now=self._clock()))

    async def right(self, attempt: Attempt) -> None:
        """The attempt was right."""
        await self._db.write(partial(_right, attempt=attempt, now=self._clock()))

    async def _let(self, account: str, address: str, *, here: Limits, anywhere: Limits) -> Attempt:
        network = _network(address, _NETWORKS)
        limits = {
            f"{account}@{network}": here,
            account: anywhere,
            f"address:{_network(address, _ADDRESSES)}": ADDRESS,
        }
        home = f"{HOME}{account}@{network}"
        return await self._db.write(partial(_begin, limits=limits, home=home, now=self._clock()))


def any_tenant_forget(tx: Connection, *, now: int) -> None:
    """Deletes what has been without meaning for long."""
    store.any_tenant_forget(tx, before=now - FORGET_MS, homes=HOME, homes_before=now - HOME_MS)


def _begin(tx: Connection, *, limits: dict[str, Limits], home: str, now: int) -> Attempt:
    counted = dict(limits)
    if home and store.any_tenant_last_at(tx, home) is not None:
        # Where he is at home nobody can lock him out by guessing elsewhere: what is counted everywhere does not matter.
        counted = {who: one for who, one in limits.items() if "@" in who or who.startswith("address:")}
    before = store.any_tenant_read(tx, list(counted))
    if waits := [one.locked_until - now for one in before.values() if one.locked_until > now]:
        raise TooMany("Too many attempts. Wait a little, then try again.", retry_after=-(-max(waits) // 1000))
    after = {who: _counted(before[who], limit, now) for who, limit in counted.items()}
    store.any_tenant_write(tx, after)
    locked = any(counted[who].locks(one.fails) for who, one in after.items() if not who.startswith("address:"))
    return Attempt(counters={who: one.fails for who, one in after.items()}, home=home, locked=locked)


def _counted(before: Guesses, limits: Limits, now: int) -> Guesses:
    fails = (before.fails if now - before.last_at < FORGET_MS else 0) + 1
    if not limits.growing and fails > limits.most:
        fails = limits.free + 1 if limits.free < limits.most else 1  # its lock is over: it begins anew
    return Guesses(fails=fails, last_at=now, locked_until=now + limits.pause(fails))


def _right(tx: Connection, *, attempt: Attempt, now: int) -> None:
    # What stands for him alone begins anew; what others share with him only gives back this one attempt.
    own = [who for who in attempt.counters if "@" in who]
    shared = store.any_tenant_read(tx, [who for who in attempt.counters if who not in own])
    given_back = {
        who: replace(
            one,
            fails=max(0, one.fails - 1),
            locked_until=0 if one.fails <= attempt.counters[who] else one.locked_until,
        )
        for who, one in shared.items()
    }
    store.any_tenant_write(tx, given_back)
    store.any_tenant_clear(tx, own)
    if attempt.home:
        store.any_tenant_write(tx, {attempt.home: Guesses(last_at=now)})


def _digest(account: str) -> str:
    """People type passwords where addresses belong, so what they type is not stored."""
    return hashlib.sha256(account.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _network(address: str, lengths: dict[int, int]) -> str:
    try:
        seen = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(seen, ipaddress.IPv6Address) and seen.ipv4_mapped:
        seen = seen.ipv4_mapped
    return str(ipaddress.ip_network((seen, lengths[seen.version]), strict=False))

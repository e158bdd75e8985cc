"""Guessing passwords and codes: slowed down, then locked, and nobody locks another out where he is at home."""

import asyncio
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import select

from vonal.domain.users import User
from vonal.store import sealing, tables, user_secrets, users
from vonal.store.database import Database
from vonal.store.user_secrets import UserSecrets
from vonal.store.vault import Vault
from vonal.users import guard as guards
from vonal.users.guard import Guard, TooMany

HERE, THERE = "192.0.2.7", "198.51.100.9"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000

    def __call__(self) -> int:
        return self.now


async def fails(guard: Guard, clock: Clock, times: int, *, address: str, account: str = "a@example.com") -> int:
    """Guesses as often as it may, waiting as long as it must; how long that took, ms."""
    begun = clock.now
    for _ in range(times):
        try:
            await guard.password(account, address)
        except TooMany as fault:
            clock.now += fault.retry_after * 1000
            await guard.password(account, address)
    return clock.now - begun


async def test_guesses_take_longer_and_longer_and_then_a_quarter_of_an_hour(database: Database) -> None:
    clock = Clock()
    guard = Guard(database, clock=clock)
    assert await fails(guard, clock, 4, address=HERE) == 0
    assert await fails(guard, clock, 6, address=HERE) == (1 + 2 + 4 + 8 + 16 + 32) * 1000
    with pytest.raises(TooMany) as fault:
        await guard.password("a@example.com", HERE)
    assert fault.value.retry_after == 15 * 60
    with pytest.raises(TooMany):  # it survives a restart, and neighbours in the network share it
        await Guard(database, clock=clock).password("a@example.com", "192.0.2.200")


async def test_what_is_right_begins_anew(database: Database) -> None:
    clock = Clock()
    guard = Guard(database, clock=clock)
    await fails(guard, clock, 3, address=HERE)
    await guard.right(await guard.password("a@example.com", HERE))
    assert await fails(guard, clock, 4, address=HERE) == 0


async def test_many_at_once_are_no_more_than_one_after_the_other(database: Database) -> None:
    guard = Guard(database, clock=Clock())
    tried = await asyncio.gather(*(guard.password("a@example.com", HERE) for _ in range(40)), return_exceptions=True)
    assert sum(not isinstance(one, TooMany) for one in tried) == 4


async def test_who_guesses_from_everywhere_locks_nobody_out_at_home(database: Database) -> None:
    clock = Clock()
    guard = Guard(database, clock=clock)
    await guard.right(await guard.password("a@example.com", HERE))
    for one in range(130):  # as many machines as it takes to lock the account everywhere
        try:
            await guard.password("a@example.com", f"203.0.{one}.1")
        except TooMany:
            break
    with pytest.raises(TooMany):
        await guard.password("a@example.com", THERE)
    await guard.right(await guard.password("a@example.com", HERE))


async def test_one_address_guesses_at_many_accounts_for_a_while_only(database: Database) -> None:
    clock = Clock()
    guard = Guard(database, clock=clock)
    for one in range(50):
        await guard.password(f"{one}@example.com", HERE)
    with pytest.raises(TooMany):
        await guard.password("one-more@example.com", HERE)
    await guard.password("a@example.com", THERE)


async def test_what_is_old_is_forgotten_but_where_somebody_is_at_home(database: Database) -> None:
    clock = Clock()
    guard = Guard(database, clock=clock)
    await guard.right(await guard.password("a@example.com", HERE))
    await guard.password("b@example.com", THERE)
    await database.write(partial(guards.any_tenant_forget, now=clock.now + 2 * 24 * 3600 * 1000))
    left = await database.read(lambda tx: tx.execute(select(tables.guessing.c.who)).scalars().all())
    assert [one.startswith(guards.HOME) for one in left] == [True]


def test_what_people_sign_in_with_is_sealed_and_sealed_anew(database_url: str) -> None:
    keys = [b"a-first-secret-of-the-service"]
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with closing(Database(url, owner=True, vault=Vault(lambda: keys))) as db:
        user = User(id="usr_a", email="a@example.com", name="A")
        db.submit(partial(users.any_tenant_add, person=user, at=0)).result()
        given = UserSecrets(password_hash="$argon2id$x", totp="JBSWY3DPEHPK3PXP", recovery=("h",))
        db.submit(partial(user_secrets.any_tenant_change, user_id="usr_a", change=lambda _: given)).result()
        (old,) = db.read_now(sealing.any_tenant_rows_by_key)
        assert old is not None
        keys.append(b"a-second-secret-of-the-service")
        assert db.submit(sealing.any_tenant_seal_anew).result() == 1
        (new,) = db.read_now(sealing.any_tenant_rows_by_key)
        assert new not in (None, old)
        assert db.read_now(partial(user_secrets.any_tenant_of, user_id="usr_a")) == given

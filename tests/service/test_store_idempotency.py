"""Idempotency keys in the store."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from vonal.config import Settings
from vonal.store import idempotency
from vonal.store.database import Database
from vonal.store.idempotency import Claim

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


async def _claim(db: Database, tenant: str, call: str, now: datetime = NOW) -> str:
    claimed = await db.write(lambda tx: idempotency.claim(tenant, tx, "key", Claim("print", call), now=now))
    return claimed.call_id


async def test_who_comes_first_has_the_key_for_a_day(database: Database) -> None:
    assert await _claim(database, "acme", "call_1") == "call_1"
    assert await _claim(database, "acme", "call_2") == "call_1"
    assert await _claim(database, "other", "call_3") == "call_3"
    assert await _claim(database, "acme", "call_4", NOW + timedelta(hours=23, minutes=59)) == "call_1"
    assert await _claim(database, "acme", "call_5", NOW + timedelta(hours=24)) == "call_5"


async def test_a_freed_key_can_be_taken_again(database: Database) -> None:
    await _claim(database, "acme", "call_1")
    await database.write(lambda tx: idempotency.forget("other", tx, "call_1"))
    assert await _claim(database, "acme", "call_2") == "call_1"
    await database.write(lambda tx: idempotency.forget("acme", tx, "call_1"))
    assert await _claim(database, "acme", "call_2") == "call_2"


async def test_old_keys_are_purged_and_young_ones_kept(database: Database) -> None:
    await _claim(database, "acme", "call_1")
    await _claim(database, "other", "call_2", NOW + timedelta(hours=1))
    assert await database.write(lambda tx: idempotency.any_tenant_purge(tx, now=NOW + timedelta(hours=24))) == 1
    found = await database.read(lambda tx: idempotency.find("other", tx, "key", now=NOW + timedelta(hours=2)))
    assert found == Claim("print", "call_2")


def test_of_two_processes_at_the_same_time_one_gets_the_key(database_url: str) -> None:
    url = Settings(database_url=database_url).sqlalchemy_url
    both = [Database(url, owner=True), Database(url)]

    def race(n: int) -> set[str]:
        def claim(db: Database) -> str:
            mine = Claim("print", f"call_{id(db)}")
            return db.submit(lambda tx: idempotency.claim("acme", tx, f"key-{n}", mine, now=NOW)).result().call_id

        with ThreadPoolExecutor(2) as pool:
            return set(pool.map(claim, both))

    assert [len(race(n)) for n in range(20)] == [1] * 20
    for db in both:
        db.close()

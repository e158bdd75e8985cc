"""Manifests: a CRM can work them out by itself, and a forged or a short one is noticed."""

import hashlib
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet
from msgspec import structs

from api_house import OTHER_KEY, House
from documents import ROOT
from sample_calls import answered_call, event
from vonal.calls.signing import Signer
from vonal.domain.events import CallEvent, iso
from vonal.domain.manifest import chained
from vonal.store import events, manifests

PATH = "/api/v1/manifests"
DAY = datetime(2026, 1, 15, tzinfo=UTC)


def records(number: int, *, at: datetime = DAY, tenant: str = "acme") -> list[CallEvent]:
    """`call.completed` of so many calls: from the day's first moment, several in each millisecond."""
    return [
        event("call.completed", answered_call(tenant), at=at + timedelta(milliseconds=n // 3)) for n in range(number)
    ]


def store(house: House, told: list[CallEvent]) -> list[str]:
    """The events' ids as the CRM sorts them: by timestamp and id."""
    house.db.submit(lambda tx: events.any_tenant_add(tx, told)).result()
    return [one.id for one in sorted(told, key=lambda one: (iso(one.at), one.id))]


def chain(ids: list[str], tenant: str = "acme", date: str = "2026-01-15") -> str:
    """As docs/reference/events.md tells it."""
    link = hashlib.sha256(f"vonal:{tenant}:{date}".encode()).digest()
    for one in ids:
        link = hashlib.sha256(link + one.encode()).digest()
    return link.hex()


def test_a_day_is_what_the_crm_works_out_from_its_envelopes(house: House) -> None:
    ids = store(house, records(10)[::-1])
    store(house, [event("call.ended", answered_call(), at=DAY)])
    before = store(house, records(1, at=DAY - timedelta(milliseconds=1)))
    after = store(house, records(1, at=DAY + timedelta(days=1)))
    last = store(house, records(1, at=DAY + timedelta(days=1, milliseconds=-1)))
    foreign = store(house, records(2, tenant="other"))
    with house.client() as client:
        told = client.get(f"{PATH}/2026-01-15").json()
        assert {
            name: told[name] for name in ("date", "tenant", "records", "first_id", "last_id", "chain", "final")
        } == {
            "date": "2026-01-15",
            "tenant": "acme",
            "records": 11,
            "first_id": ids[0],
            "last_id": last[0],
            "chain": chain(ids + last),
            "final": True,
        }
        assert (told["ids"], told["forgotten"]) == (None, False)
        assert client.get(f"{PATH}/2026-01-14").json()["first_id"] == before[0]
        assert client.get(f"{PATH}/2026-01-16").json()["last_id"] == after[0]
        theirs = client.get(f"{PATH}/2026-01-15", headers={"X-API-Key": OTHER_KEY}).json()
        assert (theirs["tenant"], theirs["records"], theirs["chain"]) == ("other", 2, chain(foreign, "other"))


def test_a_day_without_records_says_so(house: House) -> None:
    with house.client() as client:
        for date in ("2026-01-15", "0001-01-01", "9999-12-31"):
            told = client.get(f"{PATH}/{date}", params={"ids": "true"}).json()
            assert (told["records"], told["first_id"], told["chain"], told["ids"]) == (
                0,
                None,
                chain([], date=date),
                [],
            )
            assert told["final"] is (date != "9999-12-31")
        for date in ("2026-02-30", "20260115", "today", "2026-01-15T00:00:00Z", "%00"):
            answer = client.get(f"{PATH}/{date}")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), date


@pytest.mark.parametrize(
    ("now", "final"),
    [(timedelta(hours=23), False), (timedelta(days=1, minutes=9), False), (timedelta(days=1, minutes=10), True)],
)
def test_a_day_is_final_when_its_last_records_must_have_been_told(house: House, now: timedelta, *, final: bool) -> None:
    assert _is_final(house, DAY + now) is final


def test_a_day_is_not_final_while_a_call_that_began_in_it_is_not_completed(house: House) -> None:
    house.keep(structs.replace(answered_call(), state="ended", started_at=DAY + timedelta(hours=23)))
    house.keep(structs.replace(answered_call("other"), state="ended", started_at=DAY - timedelta(days=9)))
    assert not _is_final(house, DAY + timedelta(days=3))
    assert _is_final(house, DAY + timedelta(days=3), day=DAY - timedelta(days=1))


def test_a_day_is_not_final_while_the_journal_waits_to_be_read(house: House) -> None:
    with house.client() as client:
        assert client.get(f"{PATH}/2026-01-15").json()["final"]
        house.facts_until = DAY + timedelta(hours=12)
        assert not client.get(f"{PATH}/2026-01-15").json()["final"]


def _is_final(house: House, now: datetime, *, day: datetime = DAY) -> bool:
    made, _ = house.db.read_now(partial(manifests.of_day, "acme", day=day.date(), now=now))
    return made.final


def test_the_ids_come_in_pages_in_the_order_of_the_chain(house: House) -> None:
    ids = store(house, records(10))
    strange = store(house, records(1, tenant="other"))
    with house.client() as client:
        found, cursor = [], ""
        while cursor is not None:
            page = client.get(f"{PATH}/2026-01-15", params={"ids": "true", "limit": 4, "after": cursor}).json()
            assert len(page["ids"]) <= 4
            found += page["ids"]
            cursor = page["next_cursor"]
        assert found == ids
        wrong = client.get(f"{PATH}/2026-01-15", params={"ids": "true", "after": strange[0]})
        assert (wrong.status_code, wrong.json()["param"]) == (400, "after")


def test_days_are_listed_newest_first(house: House) -> None:
    for day in range(5):
        store(house, records(day + 1, at=DAY + timedelta(days=day)))
    with house.client() as client:
        everything = client.get(PATH).json()
        assert everything["next_cursor"] is None
        assert [(one["date"], one["records"]) for one in everything["items"]] == [
            (f"2026-01-{15 + day}", day + 1) for day in reversed(range(5))
        ]
        page = client.get(PATH, params={"limit": 2}).json()
        rest = client.get(PATH, params={"limit": 3, "after": page["next_cursor"]}).json()
        assert page["items"] + rest["items"] == everything["items"]
        some = client.get(PATH, params={"from": "2026-01-16", "until": "2026-01-18"}).json()
        assert [one["date"] for one in some["items"]] == ["2026-01-17", "2026-01-16"]
        assert client.get(PATH, headers={"X-API-Key": OTHER_KEY}).json()["items"] == []


def test_a_forgotten_day_still_has_its_manifest(house: House) -> None:
    ids = store(house, records(3))
    with house.client() as client:
        before = client.get(f"{PATH}/2026-01-15").json()
        made, _ = house.db.read_now(partial(manifests.of_day, "acme", day=DAY.date(), now=datetime.now(UTC)))
        house.db.submit(partial(manifests.keep, "acme", made=made)).result()
        house.db.submit(lambda tx: tx.exec_driver_sql(f"DELETE FROM event WHERE id = '{ids[1]}'")).result()
        assert client.get(f"{PATH}/2026-01-15").json() == {**before, "forgotten": True}
        assert client.get(f"{PATH}/2026-01-15", params={"ids": "true"}).json()["ids"] is None
        [listed] = client.get(PATH).json()["items"]
        assert listed == {"date": "2026-01-15", "records": 3, "final": True, "forgotten": True}


def test_the_signature_is_over_the_manifest_by_a_published_key(house: House) -> None:
    store(house, records(3))
    with house.client() as client:
        told = client.get(f"{PATH}/2026-01-15").json()
        published = client.get("/api/v1/jwks.json", headers={"X-API-Key": ""})
    assert all("d" not in one for one in published.json()["keys"])
    signed = jws.deserialize_compact(told["jws"], KeySet.import_key_set(published.json()), algorithms=["EdDSA"])
    payload = json.loads(signed.payload)
    assert list(payload) == ["date", "tenant", "records", "first_id", "last_id", "chain", "final"]
    assert payload == {name: told[name] for name in payload}
    assert signed.protected["kid"] == published.json()["keys"][0]["kid"]
    head, _, signature = told["jws"].split(".")
    other = urlsafe_b64encode(json.dumps({**payload, "records": 2}).encode()).decode().rstrip("=")
    with pytest.raises(BadSignatureError):
        jws.deserialize_compact(
            f"{head}.{other}.{signature}", KeySet.import_key_set(published.json()), algorithms=["EdDSA"]
        )


def test_a_new_secret_signs_and_the_old_ones_key_stays_published() -> None:
    old, new = Signer([b"the-first-secret-0"]), Signer([b"the-first-secret-0", b"the-second-secret-1"])
    manifest = chained("acme", DAY.date(), ["evt_a"], known_until=DAY)
    keys = KeySet.import_key_set({"keys": new.public()})
    for signer in (old, new):
        jws.deserialize_compact(signer.sign(manifest), keys, algorithms=["EdDSA"])
    assert old.public() == new.public()[1:]
    assert old.sign(manifest) != new.sign(manifest)
    assert Signer([b"the-first-secret-0"]).sign(manifest) == old.sign(manifest)


def _verified(house: House, ids: list[str]) -> tuple[int, str]:
    script = ROOT / "docs" / "examples" / "manifest" / "verify.py"
    done = subprocess.run(
        [sys.executable, script, house.url, OTHER_KEY, "2026-01-15"],
        input="\n".join(ids),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_example_finds_what_is_missing_and_what_was_tampered_with(house: House) -> None:
    ids = store(house, records(1200, tenant="other"))
    assert _verified(house, list(reversed(ids))) == (0, "2026-01-15: 1200 records, 0 missing, final: True\n")
    code, said = _verified(house, ids[:7] + ids[8:])
    assert (code, said.splitlines()[0]) == (1, f"missing: {ids[7]}")
    made, _ = house.db.read_now(partial(manifests.of_day, "other", day=DAY.date(), now=datetime.now(UTC)))
    house.db.submit(partial(manifests.keep, "other", made=made)).result()
    assert _verified(house, ids)[0] == 0
    assert _verified(house, ids[1:])[0] == 1

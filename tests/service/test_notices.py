"""Notices in the store and over the API: each tenant its own, newest first, for 90 days."""

from functools import partial

import pytest

from api_house import OTHER_KEY, House
from vonal.store import notices
from vonal.store.database import Database

AT = 1_795_000_000_000  # ms; 2026-11-18 11:06:40 UTC


def tell(db: Database, *stories: str, tenant: str = "acme") -> None:
    for second, story in enumerate(stories):
        type_, webhook, *detail = story.split()
        add = partial(notices.add, type=type_, webhook_id=webhook, detail=" ".join(detail), at=AT + second * 1000)
        db.submit(lambda tx, add=add: add(tenant, tx)).result()


def test_notices_are_listed_newest_first_page_by_page(house: House) -> None:
    tell(house.db, "webhook.down log 503", "webhook.up log", "webhook.disabled pop 410")
    with house.client() as client:
        first = client.get("/api/v1/notices", params={"limit": 2}).json()
        last = client.get("/api/v1/notices", params={"limit": 2, "after": first["next_cursor"]}).json()
    assert [(one["type"], one["webhook"], one["detail"]) for one in first["items"] + last["items"]] == [
        ("webhook.disabled", "pop", "410"),
        ("webhook.up", "log", None),
        ("webhook.down", "log", "503"),
    ]
    assert last["items"][0]["at"] == "2026-11-18T11:06:40.000Z"
    assert last["next_cursor"] is None


def test_a_tenant_sees_its_own_notices_only(house: House) -> None:
    tell(house.db, "webhook.down log")
    tell(house.db, "webhook.down theirs", tenant="other")
    with house.client(headers={"X-API-Key": OTHER_KEY}) as client:
        assert [one["webhook"] for one in client.get("/api/v1/notices").json()["items"]] == ["theirs"]


@pytest.mark.parametrize("after", ["x", "-1", "1" * 19, "٣"])
def test_a_cursor_of_no_list_is_refused(house: House, database: Database, after: str) -> None:
    with house.client() as client:
        assert client.get("/api/v1/notices", params={"after": after}).status_code == 400
    with pytest.raises(ValueError, match="cursor"):
        database.read_now(partial(notices.listing, "acme", after=after))


def test_a_long_detail_is_cut(database: Database) -> None:
    tell(database, "webhook.down log " + "x" * 5000)
    (only,), _ = database.read_now(partial(notices.listing, "acme"))
    assert only.detail == "x" * notices.LONGEST_DETAIL


def test_old_notices_are_forgotten(database: Database) -> None:
    tell(database, "webhook.down a", "webhook.down b", "webhook.down c")
    forget = partial(notices.any_tenant_forget, before=AT + 2000)
    assert [database.submit(forget).result() for _ in range(2)] == [2, 0]
    assert [one.webhook for one in database.read_now(partial(notices.listing, "acme"))[0]] == ["c"]


def test_marked_notices_are_no_longer_unmailed(database: Database) -> None:
    tell(database, "webhook.down a", "webhook.down b")
    look = partial(notices.any_tenant_unmailed, before=AT + 5000)
    first, second = database.read_now(look)
    database.submit(partial(notices.any_tenant_mark_mailed, positions=[first.position], at=AT)).result()
    assert database.read_now(look) == [second]
    assert database.read_now(partial(notices.any_tenant_unmailed, before=AT)) == []

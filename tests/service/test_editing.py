"""Changes that people make to the directory: checked, logged and stored as by `vonal apply`, and no more than meant."""

import asyncio
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from api_house import DIRECTORY, KEY, USER
from vonal.directory import access, editing
from vonal.directory.apply import apply
from vonal.directory.editing import ChangedMeanwhile, Editor
from vonal.directory.reading import read
from vonal.domain.audit import Actor, Entry
from vonal.domain.directory import Directory, Extension, Number, Tenant, Trunk
from vonal.domain.errors import DirectoryError, InvalidParts, NotFound
from vonal.domain.principal import Credential
from vonal.store import audit
from vonal.store import directory as store
from vonal.store.database import Database

OWNER = Actor(kind="user", name="owner@acme.example", address="192.0.2.7")


class Office:
    """An editor of the test house's directory, and what came of its edits."""

    def __init__(self, db: Database) -> None:
        apply(db, DIRECTORY)
        self.db, self.versions = db, []
        self.editor = Editor(db, checks=[], taken_in=self._taken_in)

    async def _taken_in(self, version: int) -> None:
        self.versions.append(version)

    def tenant(self, tenant_id: str = "acme") -> Tenant:
        found = self.db.read_now(lambda tx: store.load(tenant_id, tx))
        assert found
        return found

    def credentials(self, tenant_id: str = "acme") -> dict[tuple[str, str], Credential]:
        found = self.db.read_now(lambda tx: store.credentials(tenant_id, tx))
        return {(one.kind, one.name): one for one in found}

    def log(self, tenant_id: str = "acme") -> list[Entry]:
        """What people did, the newest first."""
        found, _ = self.db.read_now(lambda tx: audit.listing(tenant_id, tx))
        return [one for one in found if one.actor.kind == "user"]


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)


def renamed(tenant: Tenant) -> Tenant:
    return replace(tenant, name="Acme Zrt.")


async def test_an_edit_is_stored_logged_with_before_and_after_and_awaited(office: Office) -> None:
    edited = await office.editor.tenant("acme", renamed, by=OWNER)
    assert edited.name == office.tenant().name == "Acme Zrt."
    (entry,) = office.log()
    assert (entry.actor, entry.action, entry.kind) == (OWNER, "change", "tenant")
    assert (entry.before["name"], entry.after["name"]) == ("Acme Kft.", "Acme Zrt.")
    assert office.versions == [2]


async def test_an_edit_that_changes_nothing_writes_nothing(office: Office) -> None:
    await office.editor.tenant("acme", lambda tenant: tenant, by=OWNER)
    assert (office.log(), office.versions) == ([], [])


async def test_a_secret_stands_in_no_entry(office: Office) -> None:
    fresh = Extension(number="104", secret="never-in-the-log")
    await office.editor.tenant("acme", lambda one: replace(one, extensions=[fresh, *one.extensions]), by=OWNER)
    made = access.make("acme", kind="user", name="desk", scopes=["read"], networks=[])
    await office.editor.credentials("acme", access.added(made.credential), by=OWNER)
    told = repr(office.log())
    assert len(office.log()) == 2
    assert "never-in-the-log" not in told
    assert made.secret not in told
    assert made.credential.secret_hash not in told


async def test_credentials_stay_when_the_tenant_is_edited(office: Office) -> None:
    before = office.credentials()
    await office.editor.tenant("acme", renamed, by=OWNER)
    assert office.credentials() == before


async def test_faults_come_back_by_their_place_in_the_tenant_and_nothing_is_stored(office: Office) -> None:
    wrong = [Number(number="+3612345678", ring=["101", "909"]), Number(number="12", ring=["101"])]
    with pytest.raises(InvalidParts) as told:
        await office.editor.tenant("acme", lambda one: replace(one, numbers=wrong, outbound=None), by=OWNER)
    assert [path for path, _ in told.value.faults] == ["numbers[0].ring[1]", "numbers[1].number"]
    assert len(office.tenant().numbers) == 2
    assert office.log() == []


async def test_a_tenant_that_is_gone_is_not_found(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.editor.tenant("nobody", renamed, by=OWNER)
    with pytest.raises(NotFound):
        await office.editor.credentials("nobody", lambda stored: stored, by=OWNER)


async def test_edits_at_the_same_time_lose_nothing_of_each_other(office: Office, database: Database) -> None:
    other = Editor(database, checks=[], taken_in=office._taken_in)  # as of another process

    def adding(number: str) -> editing.TenantEdit:
        return lambda tenant: replace(
            tenant, extensions=[Extension(number=number, secret="a-secret"), *tenant.extensions]
        )

    edits = [(office.editor if n % 2 else other).tenant("acme", adding(f"2{n}"), by=OWNER) for n in range(8)]
    await asyncio.gather(*edits)
    assert {one.number for one in office.tenant().extensions} >= {f"2{n}" for n in range(8)} | {"101"}


def test_a_form_of_what_has_changed_since_is_refused() -> None:
    shown = editing.digest(Extension(number="101", name="Anna", secret="one-secret"))
    editing.unchanged(Extension(number="101", name="Anna", secret="another-secret"), shown)  # no part of the form
    with pytest.raises(ChangedMeanwhile):
        editing.unchanged(Extension(number="101", name="Béla", secret="one-secret"), shown)


async def test_a_key_is_added_and_removed_without_touching_the_others(office: Office) -> None:
    before = office.credentials()
    made = access.make("acme", kind="key", name="desk", scopes=["read", "call"], networks=["192.0.2.0/24"])
    await office.editor.credentials("acme", access.added(made.credential), by=OWNER)
    assert office.credentials() == {**before, ("key", "desk"): made.credential}
    assert (made.credential.scopes, made.secret[-4:]) == (("call", "read"), made.credential.ends)
    await office.editor.credentials("acme", access.without("key", "desk"), by=OWNER)
    assert office.credentials() == before
    assert [(one.action, one.kind, one.name) for one in office.log()] == [
        ("remove", "api_key", "desk"),
        ("add", "api_key", "desk"),
    ]


@pytest.mark.parametrize("kind", ["user", "key"])
async def test_what_is_made_by_hand_outlives_a_file_that_lists_others(office: Office, kind: str) -> None:
    made = access.make("acme", kind=kind, name="desk", scopes=["read"], networks=[])
    await office.editor.credentials("acme", access.added(made.credential), by=OWNER)
    apply(office.db, DIRECTORY)
    apply(office.db, DIRECTORY, prune=True)
    assert office.credentials()[kind, "desk"] == made.credential
    assert ("key", "crm") in office.credentials()


async def test_a_file_may_not_take_over_an_api_user_made_by_hand(office: Office) -> None:
    made = access.make("acme", kind="user", name="desk", scopes=["read"], networks=[])
    await office.editor.credentials("acme", access.added(made.credential), by=OWNER)
    taken = b"tenants: [{id: acme, country: HU, api_users: [{user: desk, password: of-the-file}]}]"
    with pytest.raises(DirectoryError, match="was made in the portal"):
        apply(office.db, read(taken))
    silent = b"tenants: [{id: acme, country: HU, name: Acme}]"
    assert apply(office.db, read(silent)).summary() == ["~ tenant acme"]


async def test_rights_change_and_the_secret_stays(office: Office) -> None:
    before = office.credentials()["user", USER]
    edit = access.with_rights("user", USER, scopes=["read"], networks=["192.0.2.1"], seen=lambda _: None)
    await office.editor.credentials("acme", edit, by=OWNER)
    assert office.credentials()["user", USER] == replace(before, scopes=("read",), networks=("192.0.2.1",))
    assert [(one.action, one.name) for one in office.log()] == [("change", USER)]


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 129}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": "a\u202eb"}, ["name"]),
        ({"scopes": []}, ["scopes"]),
        ({"scopes": ["read", "all"]}, ["scopes"]),
        ({"networks": ["192.0.2.0/24", "here"]}, ["networks[1]"]),
        ({"name": "", "scopes": [], "networks": [""]}, ["name", "scopes", "networks[0]"]),
    ],
)
def test_a_faulty_key_is_refused_with_all_its_faults(given: dict[str, object], paths: list[str]) -> None:
    with pytest.raises(InvalidParts) as told:
        access.make("acme", kind="key", **{"name": "a", "scopes": ["read"], "networks": [], **given})
    assert [path for path, _ in told.value.faults] == paths


async def test_a_taken_name_and_too_many_are_refused(office: Office) -> None:
    def named(name: str) -> access.Made:
        return access.make("acme", kind="key", name=name, scopes=["read"], networks=[])

    with pytest.raises(InvalidParts, match="is taken"):
        await office.editor.credentials("acme", access.added(named("crm").credential), by=OWNER)

    def many(stored: Iterable[Credential]) -> list[Credential]:
        return [*stored, *(named(f"n{n}").credential for n in range(access.MOST))]

    await office.editor.credentials("acme", many, by=OWNER)
    with pytest.raises(InvalidParts, match="delete those"):
        await office.editor.credentials("acme", access.added(named("desk").credential), by=OWNER)


async def test_trunks_and_tenants_come_and_go_one_at_a_time(office: Office) -> None:
    new = Tenant(id="new", country="HU", extensions=[Extension(number="10", secret="a-secret")])
    spare = Trunk(id="spare", address="sip.spare.example")
    await office.editor.directory(
        lambda all_: Directory(trunks=[*all_.trunks, spare], tenants=[new, *all_.tenants]), by=OWNER
    )
    made = access.make("new", kind="key", name="desk", scopes=["read"], networks=[])
    await office.editor.credentials("new", access.added(made.credential), by=OWNER)
    await office.editor.directory(
        lambda all_: replace(all_, tenants=[one for one in all_.tenants if one.id != "new"]), by=OWNER
    )
    left = office.db.read_now(store.any_tenant_parts)
    assert not [part for part in left if part.tenant_id == "new"]
    assert [one.name for one in left if one.kind == "trunk"] == ["carrier", "spare"]
    assert ("user", USER) in office.credentials()
    assert KEY not in repr(left)
    assert {(one.action, one.kind) for one in office.log("new")} == {
        (action, kind) for action in ("add", "remove") for kind in ("tenant", "extension", "api_key")
    }


async def test_a_trunk_that_somebody_calls_out_by_is_not_removed(office: Office) -> None:
    with pytest.raises(InvalidParts) as told:
        await office.editor.directory(lambda all_: replace(all_, trunks=[]), by=OWNER)
    assert [path for path, _ in told.value.faults] == ["acme.outbound.trunk"]


async def test_a_number_of_another_tenant_is_refused(office: Office) -> None:
    def edit(tenant: Tenant) -> Tenant:
        return replace(tenant, numbers=[Number(number="+3612345678", ring=["101"])])

    with pytest.raises(InvalidParts, match="belongs to tenant acme"):
        await office.editor.tenant("other", edit, by=OWNER)

"""The directory's rows, and who is found by which credentials."""

import pytest
import yaml
from typer.testing import CliRunner

from directories import directory, example, second_tenant
from vonal.cli.keys import keys as keys_command
from vonal.directory import keys, reading
from vonal.directory.apply import apply
from vonal.directory.credentials import REMEMBERED_SECONDS, Authenticator
from vonal.domain.errors import AuthFailed, DirectoryError
from vonal.domain.passwords import hash_key
from vonal.domain.principal import Principal
from vonal.store import directory as store
from vonal.store.database import Database


def apply_two(database: Database, **of_beta: object) -> None:
    data = example()
    data["tenants"].append(second_tenant(**of_beta))
    apply(database, directory(data))


@pytest.fixture
def authenticate(database: Database) -> Authenticator:
    return Authenticator(database)


def test_a_tenants_functions_see_nothing_of_another(database: Database) -> None:
    apply_two(database)
    with database.engine.connect() as tx:
        assert [one.id for one in store.webhooks("acme", tx)] == ["call-log", "screen-pop"]
        assert store.webhooks("beta", tx) == []
        assert store.credentials("beta", tx) == []
        beta = store.load("beta", tx)
        assert beta is not None
        assert [one.number for one in beta.extensions] == ["101"]
        assert [one.number for one in beta.numbers] == ["+3617654321"]
        assert store.load("gamma", tx) is None


def test_taking_apart_and_putting_together_are_each_others_inverse() -> None:
    wanted = directory()
    assert store.parts_of(store.directory_of(store.parts_of(wanted))) == store.parts_of(wanted)


async def test_a_user_and_a_key_are_found_with_their_rights(authenticate: Authenticator, database: Database) -> None:
    apply_two(
        database,
        api_users=[{"user": "api", "password": "beta-password", "scopes": ["read"], "networks": ["192.0.2.0/24"]}],
        api_keys=[{"name": "k", "key": "vk_test_beta_beta_beta", "scopes": ["call"]}],
    )
    user = await authenticate(user="api", password="beta-password")
    assert user == Principal(
        tenant_id="beta", kind="user", name="api", scopes=frozenset({"read"}), networks=("192.0.2.0/24",)
    )
    assert (await authenticate(key="vk_test_beta_beta_beta")).scopes == {"call"}
    assert (await authenticate(key="vk_test_0123456789abcdef")).tenant_id == "acme"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "crm", "password": "wrong"},
        {"user": "nobody", "password": "s3cret-pw"},
        {"user": "crm", "password": ""},
        {"user": "crm"},
        {"user": "crm\x00", "password": "s3cret-pw"},
        {"user": "crm", "password": "s3cret-pw\x00"},
        {"user": "crm\ud800", "password": "s3cret-pw\ud800"},
        {"user": "x" * 100_000, "password": "x" * 100_000},
        {"user": "' OR 1=1 --", "password": "' OR 1=1 --"},
        {"key": "vk_test_0123456789abcdeF"},
        {"key": ""},
        {"key": "\ud800"},
        {},
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(
    authenticate: Authenticator, database: Database, wrong: dict[str, str]
) -> None:
    apply(database, directory())
    with pytest.raises(AuthFailed) as raised:
        await authenticate(**wrong)
    assert raised.value.detail == "The credentials are not known here."


async def test_the_same_user_in_two_tenants_is_told_apart_by_the_password(
    authenticate: Authenticator, database: Database
) -> None:
    apply_two(database, api_users=[{"user": "crm", "password": "beta-password"}])
    assert (await authenticate(user="crm", password="s3cret-pw")).tenant_id == "acme"
    assert (await authenticate(user="crm", password="beta-password")).tenant_id == "beta"


async def test_a_login_that_fits_in_two_tenants_fits_in_none(authenticate: Authenticator, database: Database) -> None:
    apply_two(database, api_users=[{"user": "crm", "password": "beta-password"}])
    twin = database.read_now(lambda tx: store.credentials("acme", tx))[0]
    database.submit(lambda tx: store.any_tenant_save(tx, {store.PartId("beta", "api_user", "crm"): twin})).result()
    with pytest.raises(AuthFailed):
        await authenticate(user="crm", password="s3cret-pw")


async def test_a_right_password_is_remembered_until_it_is_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, checked = [0.0], []
    from vonal.directory import credentials

    real = credentials.matches
    monkeypatch.setattr(credentials, "matches", lambda *args: checked.append(1) or real(*args))
    authenticate = Authenticator(database, clock=lambda: now[0])
    apply(database, directory())
    for _ in range(3):
        await authenticate(user="crm", password="s3cret-pw")
    assert len(checked) == 1
    now[0] = REMEMBERED_SECONDS + 1
    await authenticate(user="crm", password="s3cret-pw")
    assert len(checked) == 2
    data = example()
    data["tenants"][0]["api_users"][0]["password"] = "changed-pw"
    apply(database, directory(data))
    with pytest.raises(AuthFailed):
        await authenticate(user="crm", password="s3cret-pw")
    await authenticate(user="crm", password="changed-pw")


async def test_an_unknown_user_costs_a_password_check_like_a_known_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vonal.directory import credentials

    checked = []
    monkeypatch.setattr(credentials, "matches", lambda *_: bool(checked.append(1)))
    apply(database, directory())
    for user in ("crm", "nobody"):
        with pytest.raises(AuthFailed):
            await Authenticator(database)(user=user, password="wrong")
        assert len(checked) == 1
        checked.clear()


def test_a_principal_knows_where_it_may_come_from() -> None:
    free = Principal(tenant_id="a", kind="key", name="k", scopes=frozenset({"call"}))
    bound = Principal(
        tenant_id="a", kind="key", name="k", scopes=frozenset(), networks=("192.0.2.0/24", "2001:db8::/32")
    )
    assert free.may_come_from("")
    assert free.may("call")
    assert not free.may("read")
    assert [bound.may_come_from(one) for one in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1")] == [True] * 3
    assert [bound.may_come_from(one) for one in ("192.0.3.7", "::1", "", "testclient")] == [False] * 4


async def test_a_key_made_by_command_works_at_once_and_outlives_an_apply(
    authenticate: Authenticator, database: Database
) -> None:
    apply(database, directory())
    key, made = keys.create(database, "acme", name="by-hand", scopes=["read"], networks=["192.0.2.0/24"])
    assert key.startswith("vk_live_")
    assert made.secret_hash == hash_key(key)
    assert (await authenticate(key=key)).scopes == {"read"}
    assert apply(database, directory(), prune=True).items == ()
    assert (await authenticate(key=key)).networks == ("192.0.2.0/24",)
    keys.revoke(database, "acme", "by-hand")
    with pytest.raises(AuthFailed):
        await authenticate(key=key)


def test_a_key_made_by_command_can_be_taken_over_by_the_file(database: Database) -> None:
    apply(database, directory())
    key, _ = keys.create(database, "acme", name="by-hand", scopes=["read"])
    data = example()
    data["tenants"][0]["api_keys"].append({"name": "by-hand", "key": "vk_test_another_key_0000"})
    with pytest.raises(DirectoryError, match="a key of this name was made by hand"):
        apply(database, directory(data))
    data["tenants"][0]["api_keys"][1]["key"] = key
    assert apply(database, directory(data)).summary() == ["tenant acme: ~1 API key"]
    assert apply(database, directory()).summary() == ["tenant acme: -1 API key"]


@pytest.mark.parametrize(
    ("tenant", "name", "networks", "expected"),
    [
        ("gamma", "k", [], "tenant gamma does not exist"),
        ("acme", "crm", [], "name: is taken by another"),
        ("acme", "", [], "name: is empty"),
        ("acme", "k", ["10.0.0.1/8"], "10.0.0.1/8 is no network"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(
    database: Database, tenant: str, name: str, networks: list[str], expected: str
) -> None:
    apply(database, directory())
    with pytest.raises(DirectoryError, match=expected):
        keys.create(database, tenant, name=name, scopes=["read"], networks=networks)


def test_the_keys_command_shows_a_key_once(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VONAL_DATABASE_URL", database_url)
    apply(database, directory())
    run = lambda *arguments: CliRunner().invoke(keys_command, [*arguments, "--tenant", "acme"])  # noqa: E731
    made = yaml.safe_load(run("create", "--name", "crm2", "--scope", "call", "--json").stdout)
    assert (made["scopes"], made["name"]) == (["call"], "crm2")
    listed = run("list", "--json")
    assert [one["name"] for one in yaml.safe_load(listed.stdout)["items"]] == ["crm", "crm2"]
    assert made["key"] not in listed.stdout
    assert run("create", "--name", "crm3", "--scope", "fly").exit_code == 2
    assert run("revoke", "--name", "crm2").exit_code == 0
    assert run("revoke", "--name", "crm2").exit_code == 2


def test_a_document_and_its_directory_are_applied_alike(database: Database) -> None:
    apply(database, directory())
    text = yaml.safe_dump(example(), allow_unicode=True)
    assert apply(database, reading.read(text.encode()), prune=True).items == ()

"""`vonal apply`: what becomes of the stored directory."""

import fcntl
import json
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from typer.testing import CliRunner

from certificates import Authority
from directories import EXAMPLE, directory, example, second_tenant
from vonal.cli.apply import apply as apply_command
from vonal.config import Settings
from vonal.directory import check, effect, reading
from vonal.directory.apply import apply
from vonal.domain.directory import Directory
from vonal.domain.errors import DirectoryError
from vonal.store import directory as store
from vonal.store import settings as store_settings
from vonal.store.database import Database


def document(data: dict[str, Any]) -> reading.Document:
    return reading.read(yaml.safe_dump(data, allow_unicode=True).encode())


def stored(database: Database) -> store.Parts:
    return database.read_now(store.any_tenant_parts)


def version(database: Database) -> int:
    return database.read_now(store_settings.any_tenant_directory_version)


def without_credentials(wanted: Directory) -> Directory:
    tenants = [msgspec.structs.replace(one, api_users=[], api_keys=[]) for one in wanted.tenants]
    return msgspec.structs.replace(wanted, tenants=tenants)


def test_what_is_applied_is_what_is_loaded_without_credentials(database: Database) -> None:
    changes = apply(database, directory())
    assert changes.summary() == [
        "+ trunk carrier",
        "+ tenant acme: +2 extensions, +1 number, +2 webhooks, +1 API user, +1 API key",
    ]
    assert changes.version == version(database) == 1
    loaded = database.read_now(store.any_tenant_load)
    wanted = without_credentials(directory())
    webhooks = sorted(wanted.tenants[0].webhooks, key=lambda one: one.id)
    assert loaded == msgspec.structs.replace(
        wanted, tenants=[msgspec.structs.replace(wanted.tenants[0], webhooks=webhooks)]
    )


def test_applying_again_changes_nothing_not_even_a_hash(database: Database) -> None:
    apply(database, directory())
    before = stored(database)
    assert apply(database, directory()).items == ()
    assert stored(database) == before
    assert version(database) == 1


def test_no_password_and_no_key_of_a_machine_is_stored(database: Database) -> None:
    apply(database, directory())
    rows = database.read_now(
        lambda tx: [
            *map(repr, tx.exec_driver_sql("SELECT * FROM api_user").all()),
            *map(repr, tx.exec_driver_sql("SELECT * FROM api_key").all()),
            *map(repr, tx.exec_driver_sql("SELECT * FROM tenant").all()),
        ]
    )
    assert len(rows) == 3
    assert "$argon2id$" in rows[0]
    assert not any("s3cret-pw" in row or "vk_test_0123456789abcdef" in row for row in rows)


def test_one_fault_and_nothing_is_changed(database: Database) -> None:
    apply(database, directory())
    before = stored(database)
    data = example()
    data["tenants"][0]["name"] = "Another"
    data["tenants"].append(second_tenant(numbers=[{"number": "+3617654321", "ring": ["109"]}]))
    with pytest.raises(DirectoryError, match=r"^tenants\[1\]\.numbers\[0\]\.ring\[0\]: extension 109 does not exist$"):
        apply(database, document(data))
    assert stored(database) == before
    assert version(database) == 1


def _with_certificate(days: int) -> dict[str, Any]:
    own = Authority().issue("vonal", days=days)
    data = example()
    data["tenants"][0]["webhooks"][1]["tls"] = {"certificate": own.certificate, "key": own.key}
    return data


def test_certificate_and_key_of_a_webhook_are_stored_as_they_stand_in_the_file(database: Database) -> None:
    data = _with_certificate(days=1)
    apply(database, document(data))
    [tenant] = database.read_now(store.any_tenant_load).tenants
    [tls] = [one.tls for one in tenant.webhooks if one.tls]
    assert {"certificate": tls.certificate, "key": tls.key} == data["tenants"][0]["webhooks"][1]["tls"]


def test_a_stored_certificate_that_has_grown_old_refuses_no_file_that_is_about_something_else(
    database: Database,
) -> None:
    old = _with_certificate(days=-1)
    database.submit(lambda tx: store.any_tenant_save(tx, store.parts_of(directory(old)))).result()
    file = example()
    del file["tenants"][0]["webhooks"]
    file["tenants"][0]["name"] = "Another"
    assert apply(database, document(file)).items
    for prune in (False, True):
        with pytest.raises(DirectoryError, match=r"^tenants\[0\]\.webhooks\[1\]\.tls\.certificate: has expired"):
            apply(database, document(old), prune=prune)


def test_a_list_in_the_file_is_the_whole_truth_about_that_part(database: Database) -> None:
    apply(database, directory())
    data = example()
    tenant = data["tenants"][0]
    tenant["extensions"].append({"number": "103"})
    tenant["webhooks"] = tenant["webhooks"][1:]
    tenant["numbers"][0]["timeout"] = 30
    changes = apply(database, document(data))
    assert changes.summary() == ["tenant acme: +1 extension, ~1 number, -1 webhook"]
    assert [(one.action, one.kind, one.name) for one in changes.items] == [
        ("add", "extension", "103"),
        ("change", "number", "+3612345678"),
        ("remove", "webhook", "screen-pop"),
    ]


def test_what_the_file_does_not_name_stays(database: Database) -> None:
    apply(database, directory())
    before = stored(database)
    changes = apply(database, document({"tenants": [{"id": "acme", "country": "HU"}]}))
    assert changes.items == ()
    apply(database, document({"tenants": [second_tenant()]}))
    assert before.items() <= stored(database).items()


def test_a_named_field_of_a_tenant_is_set_back_when_its_value_is_null(database: Database) -> None:
    apply(database, directory())
    apply(database, document({"tenants": [{"id": "acme", "country": "HU", "outbound": None}]}))
    tenant = database.read_now(lambda tx: store.load("acme", tx))
    assert tenant is not None
    assert tenant.outbound is None
    assert tenant.recording.mode == "all"


def test_with_prune_the_file_is_the_whole_truth(database: Database) -> None:
    apply(database, directory())
    changes = apply(database, document({"tenants": [second_tenant()]}), prune=True)
    assert changes.summary()[0] == "- trunk carrier"
    assert changes.summary()[1].startswith("- tenant acme: -2 extensions")
    assert {part.tenant_id for part in stored(database)} == {"beta"}


def test_prune_also_empties_what_a_listed_tenant_does_not_give(database: Database) -> None:
    apply(database, directory())
    apply(database, document({"tenants": [{"id": "acme", "country": "HU"}]}), prune=True)
    assert list(stored(database)) == [("acme", "tenant", "acme")]


def test_check_changes_nothing_and_tells_the_same(database: Database) -> None:
    would = apply(database, directory(), check=True)
    assert stored(database) == {}
    assert version(database) == 0
    assert apply(database, directory()).items == would.items


def test_a_fault_in_a_stored_part_says_that_the_file_does_not_give_it(database: Database) -> None:
    apply(database, directory())
    with pytest.raises(DirectoryError) as raised:
        apply(database, document({"tenants": [{"id": "acme", "country": "HU", "extensions": [{"number": "101"}]}]}))
    assert raised.value.faults == [
        (
            "tenants[0].numbers[0].ring[1]",
            "extension 102 does not exist (as stored: the file does not give numbers)",
        )
    ]


def test_a_number_moves_from_one_tenant_to_another_in_one_file(database: Database) -> None:
    data = example()
    data["tenants"].append(second_tenant())
    apply(database, document(data))
    acme, beta = data["tenants"]
    acme["numbers"][0]["number"], beta["numbers"][0]["number"] = "+3617654321", "+3612345678"
    acme["outbound"]["caller_id"] = "+3617654321"
    apply(database, document(data))
    owners = {part.name: part.tenant_id for part in stored(database) if part.kind == "number"}
    assert owners == {"+3612345678": "beta", "+3617654321": "acme"}


def test_a_number_of_a_tenant_that_the_file_does_not_list_is_taken(database: Database) -> None:
    apply(database, directory())
    data = {"tenants": [second_tenant(numbers=[{"number": "0612345678", "ring": ["101"]}])]}
    with pytest.raises(DirectoryError, match=r"\+3612345678 belongs to tenant acme"):
        apply(database, document(data))


def test_two_keys_may_change_their_names_with_each_other(database: Database) -> None:
    data = example()
    keys = data["tenants"][0]["api_keys"]
    keys.append({"name": "second", "key": "vk_test_another_key_0000"})
    apply(database, document(data))
    keys[0]["name"], keys[1]["name"] = keys[1]["name"], keys[0]["name"]
    assert apply(database, document(data)).summary() == ["tenant acme: ~2 API keys"]


def test_the_login_of_a_stored_tenant_cannot_be_given_to_another(database: Database) -> None:
    apply(database, directory())
    users = [{"user": "crm", "password": "s3cret-pw"}]
    with pytest.raises(
        DirectoryError, match=r"tenants\[0\].api_users\[0\]: tenant acme has the same user with the same"
    ):
        apply(database, document({"tenants": [second_tenant(api_users=users)]}))
    users[0]["password"] = "an0ther-pw"
    apply(database, document({"tenants": [second_tenant(api_users=users)]}))


def test_further_checks_can_be_handed_in(database: Database) -> None:
    with pytest.raises(DirectoryError, match=r"^trunks\[0\]: not today$"):
        apply(database, directory(), extra_checks=[lambda _: [("trunks[0]", "not today")]])
    assert stored(database) == {}


def test_those_who_apply_at_the_same_time_lose_nothing_of_each_other(database: Database) -> None:
    urls = 4
    apply(database, directory())
    start = threading.Barrier(urls)

    def one(index: int) -> None:
        start.wait()
        number = f"+361765430{index}"
        tenant = second_tenant(id=f"tenant-{index}", numbers=[{"number": number, "ring": ["101"]}])
        apply(database, document({"tenants": [tenant]}))

    threads = [threading.Thread(target=one, args=(index,)) for index in range(urls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tenants = {part.name for part in stored(database) if part.kind == "tenant"}
    assert tenants == {"acme", *(f"tenant-{index}" for index in range(urls))}
    assert version(database) == 1 + urls


# --- the command ---


@pytest.fixture
def settings(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("VONAL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("VONAL_DATABASE_URL", database_url)
    return Settings(data_dir=tmp_path / "data", database_url=database_url)


def run(*arguments: str, text: str | None = None) -> Any:
    app = typer.Typer()
    app.command()(apply_command)
    return CliRunner().invoke(app, list(arguments), input=text)


def test_the_command_tells_what_changed(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "directory.yaml"
    file.write_text(EXAMPLE, encoding="utf-8")
    first = run(str(file))
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[1].startswith("+ tenant acme: +2 extensions")
    assert first.stdout.splitlines()[-1] == "Stored; it takes effect when the service starts."
    assert run(str(file)).stdout == "Nothing to change.\n"


def test_the_command_reads_standard_input_and_answers_json(settings: Settings) -> None:
    result = run("-", "--json", "--check", text=EXAMPLE)
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["check"], answer["version"], answer["in_effect"]) == (0, True, 0, None)
    assert {"action": "add", "tenant": "acme", "kind": "extension", "name": "101"} in answer["changes"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            EXAMPLE.replace('ring: ["101", "102"]', 'ring: ["101", "109"]'),
            "tenants[0].numbers[0].ring[1]: extension 109",
        ),
        (EXAMPLE[:380], "line "),
        (EXAMPLE.replace("webhooks:", "webhoks:"), "tenants[0].webhoks: unknown key; did you mean webhooks?"),
        (EXAMPLE.replace("{{ caller }}", "{{ caller }"), "tenants[0].webhooks[0].params.who: "),
        (
            EXAMPLE.replace("hmac, key: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "encrypted, key: short"),
            "tenants[0].webhooks[1].security.key: a key to encrypt with",
        ),
    ],
)
def test_faults_come_without_traceback_and_with_exit_code_2(settings: Settings, text: str, expected: str) -> None:
    result = run("-", text=text)
    assert result.exit_code == 2
    assert result.stderr.startswith(expected)
    assert result.stderr.endswith("Nothing was changed.\n")
    assert "Traceback" not in result.output


def test_a_missing_file_is_told(settings: Settings) -> None:
    result = run("/nowhere/directory.yaml")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        2,
        "/nowhere/directory.yaml: No such file or directory",
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sqlite_file_is_for_its_owner_only(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VONAL_DATA_DIR", str(tmp_path / "fresh"))
    monkeypatch.delenv("VONAL_DATABASE_URL", raising=False)
    assert run("-", text=EXAMPLE).exit_code == 0
    assert stat.S_IMODE((tmp_path / "fresh" / "vonal.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o700


class Service:
    """What the running service does about the directory: it holds the lock, and answers each version."""

    def __init__(self, settings: Settings, database: Database, *, fault: str = "", deaf: bool = False) -> None:
        settings.data_dir.mkdir(exist_ok=True)
        self._file = (settings.data_dir / effect.LOCK_FILE).open("wb")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._database, self._fault, self._deaf = database, fault, deaf
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ended.wait(0.01):
            wanted = version(self._database)
            if not self._deaf and self._database.read_now(store_settings.any_tenant_applied)[0] != wanted:
                self._database.submit(
                    lambda tx, v=wanted: store_settings.any_tenant_mark_applied(tx, v, fault=self._fault)
                ).result()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._file.close()


@pytest.fixture
def start(settings: Settings, database: Database) -> Iterator[Any]:
    started: list[Service] = []

    def begin(**options: Any) -> Service:
        started.append(Service(settings, database, **options))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def test_with_the_service_running_it_is_in_effect_when_the_command_returns(
    settings: Settings, database: Database, start: Any
) -> None:
    start()
    result = run("-", text=EXAMPLE)
    assert result.stdout.splitlines()[-1] == "In effect."
    assert database.read_now(store_settings.any_tenant_applied) == (1, "")


def test_a_service_that_cannot_take_it_in_says_why(settings: Settings, database: Database, start: Any) -> None:
    start(fault="Asterisk does not answer")
    runs = lambda: effect.service_runs(settings, database)  # noqa: E731 - as the command does
    changes = apply(database, directory())
    with pytest.raises(effect.NotInEffect, match="Asterisk does not answer"):
        effect.wait_until_in_effect(database, changes.version, runs=runs)


def test_a_service_that_does_not_answer_is_not_waited_for_for_ever(
    settings: Settings, database: Database, start: Any
) -> None:
    start(deaf=True)
    runs = lambda: effect.service_runs(settings, database)  # noqa: E731 - as the command does
    with pytest.raises(effect.NotInEffect, match="has not taken it in within 0 s"):
        effect.wait_until_in_effect(database, 1, runs=runs, seconds=0.1)


def test_a_service_that_ends_is_not_waited_for(database: Database) -> None:
    answers = iter([True, True, False])
    assert effect.wait_until_in_effect(database, 1, runs=lambda: next(answers)) is False


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_service_on_another_machine_is_known_by_its_sign_of_life(settings: Settings, database: Database) -> None:
    now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    assert not effect.service_runs(settings, database, now=now)
    database.submit(lambda tx: store_settings.any_tenant_mark_seen(tx, now)).result()
    assert effect.service_runs(settings, database, now=now + timedelta(seconds=9))
    assert not effect.service_runs(settings, database, now=now + timedelta(seconds=11))


def test_the_checks_of_a_directory_made_by_a_program_are_the_same(database: Database) -> None:
    data = example()
    data["tenants"][0]["outbound"]["trunk"] = "nobody"
    wanted = directory(data)
    with pytest.raises(DirectoryError):
        apply(database, wanted)
    assert check.faults_of(wanted, check.Surroundings())

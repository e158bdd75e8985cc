"""`vonal doctor` finds what is broken, and says what to do."""

import asyncio
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ports
from directories import directory, example
from receiver import Answer, receiving
from vonal.cli import app, checks, checks_service
from vonal.cli.checks import Finding, Port
from vonal.config import Settings, load
from vonal.directory.apply import apply
from vonal.store.opening import open_database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(
        {
            "VONAL_DATA_DIR": str(tmp_path / "data"),
            "VONAL_ENGINE_DIR": str(load().engine_dir),
            "VONAL_LISTEN": f"127.0.0.1:{ports.free_port()}",
            "VONAL_SIP_LISTEN": f"127.0.0.1:{ports.free_port()}",
            "VONAL_ARI_PORT": str(ports.free_port()),
            "VONAL_WEBHOOK_ALLOW": "127.0.0.0/8",
        }
    )


def port(number: int, *, owners: frozenset[int] = frozenset()) -> Port:
    return Port(setting="VONAL_LISTEN", host="127.0.0.1", port=number, protocol="tcp", owners=owners)


@contextmanager
def listening() -> Iterator[int]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        yield opened.getsockname()[1]


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_a_taken_port_names_who_has_it_and_the_setting() -> None:
    with listening() as number:
        finding = only(checks.ports([port(number)]))
    assert finding.state == "fail"
    assert f"(pid {os.getpid()})" in finding.found
    assert finding.do == "stop it, or change VONAL_LISTEN"


def test_a_port_that_we_have_ourselves_is_well() -> None:
    with listening() as number:
        finding = only(checks.ports([port(number, owners=frozenset({os.getpid()}))]))
    assert (finding.state, finding.found) == ("ok", "ours (VONAL_LISTEN)")


def test_a_free_port_is_well() -> None:
    assert only(checks.ports([port(ports.free_port())])).state == "ok"


def test_a_host_name_that_nobody_knows_fails_with_the_line_to_add() -> None:
    finding = checks.host_name("no-such-host.invalid")
    assert finding.state == "fail"
    assert finding.do == "add a line to /etc/hosts: 127.0.1.1 no-such-host.invalid"


def test_a_host_name_that_is_known_is_well() -> None:
    assert checks.host_name("localhost").state == "ok"


def test_a_folder_that_others_can_read_is_told(settings: Settings) -> None:
    settings.data_dir.mkdir(mode=0o755)
    settings.data_dir.chmod(0o755)
    (settings.data_dir / "secret.key").write_text("secret")
    (settings.data_dir / "secret.key").chmod(0o644)
    finding = next(checks.data_folder(settings))
    assert finding.state == "warn"
    assert "secret.key can be read by others" in finding.found


def test_a_full_disk_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: checks.shutil._ntuple_diskusage(100, 100, 0))
    assert [one.state for one in checks.data_folder(settings)] == ["ok", "fail"]


def test_sound_ports_that_hold_the_sip_port_fail(settings: Settings) -> None:
    _, sip = settings.sip_listen
    wrong = Settings(data_dir=settings.data_dir, sip_listen=("0.0.0.0", sip), rtp_ports=(sip - 10, sip + 10))
    assert checks.sound_ports(wrong).state == "fail"


def test_a_database_that_is_none_fails(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "vonal.db").write_text("This is a shopping list." * 1000)
    finding, service = checks_service.database(settings)
    assert (finding.state, service) == ("fail", False)
    assert finding.do


def test_a_database_server_that_is_not_there_fails_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://vonal:s3cret-pw@127.0.0.1:{ports.free_port()}/vonal"
    finding, _ = checks_service.database(Settings(data_dir=tmp_path, database_url=url))
    assert finding.state == "fail"
    assert "s3cret-pw" not in finding.found + finding.do


def test_a_missing_asterisk_fails_with_the_command_that_gets_it(tmp_path: Path) -> None:
    findings, process = checks_service.asterisk(Settings(data_dir=tmp_path, engine_dir=tmp_path), service=False)
    assert process is None
    assert [(one.state, one.do) for one in findings] == [("fail", "vonal engine install")]


def test_a_service_without_its_asterisk_fails(settings: Settings) -> None:
    findings, _ = checks_service.asterisk(settings, service=True)
    assert findings[-1].state == "fail"


@pytest.mark.parametrize(
    ("listen", "public", "state"),
    [
        ("127.0.0.1", "", "ok"),
        ("0.0.0.0", "", "warn"),
        ("127.0.0.1", "http://vonal.example", "warn"),
        ("127.0.0.1", "https://127.0.0.1:1", "fail"),
    ],
)
def test_an_address_without_tls_or_that_nobody_reaches_is_told(listen: str, public: str, state: str) -> None:
    settings = Settings(listen=(listen, 8080), public_url=public)
    assert checks_service.public_address(settings, service=True).state == state


def test_the_test_delivery_arrives_signed() -> None:
    finding = checks_service.delivery()
    assert finding.state == "ok"
    assert re.search(r"verified in \d+ ms", finding.found)


@pytest.mark.parametrize(("status", "state"), [(204, "ok"), (500, "fail")])
async def test_a_real_webhook_is_tried_once_with_a_test_event(settings: Settings, status: int, state: str) -> None:
    async with receiving() as crm:
        crm.answer(Answer(status=status))
        data = example()
        data["tenants"][0]["webhooks"][1]["url"] = crm.url
        db = await asyncio.to_thread(open_database, settings)
        await asyncio.to_thread(apply, db, directory(data))
        db.close()
        finding = await asyncio.to_thread(checks_service.webhook, settings, "acme/call-log")
        (got,) = crm.requests
    assert finding.state == state
    assert got.json["type"] == "webhook.test"
    assert got.headers["webhook-signature"].startswith("v1,")


def test_a_webhook_that_does_not_exist_fails_with_those_that_do(settings: Settings) -> None:
    db = open_database(settings)
    apply(db, directory())
    db.close()
    finding = checks_service.webhook(settings, "acme/call-lock")
    assert finding.state == "fail"
    assert "acme/call-log" in finding.do


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_ends_with_1_when_something_must_be_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, as_json: bool
) -> None:
    with listening() as taken:
        for name, value in {
            "DATA_DIR": settings.data_dir,
            "LISTEN": f"127.0.0.1:{taken}",
            "SIP_LISTEN": f"127.0.0.1:{ports.free_port()}",
            "ARI_PORT": ports.free_port(),
        }.items():
            monkeypatch.setenv(f"VONAL_{name}", str(value))
        done = CliRunner().invoke(app, ["doctor", *(["--json"] if as_json else [])])
    assert done.exit_code == 1
    if as_json:
        items = json.loads(done.stdout)["items"]
        assert [one["check"] for one in items if one["state"] == "fail"] == [f"port {taken}/tcp"]
    else:
        assert f"port {taken}/tcp: taken by" in done.stdout
        assert "→ stop it, or change VONAL_LISTEN" in done.stdout

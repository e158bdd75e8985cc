"""The pages' requests are made, their files applied, their receivers run: by real programs, over real sockets."""

import asyncio
import ipaddress
import json
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

import api_house
import documents
from documents import Example, examples
from ports import free_port
from sample_calls import answered_call, event
from vonal.cli.demo import cast
from vonal.config import Settings
from vonal.directory import reading
from vonal.domain.delivery import Request
from vonal.domain.directory import SCOPES, Directory, Security, Tenant, Webhook
from vonal.domain.telephony import Ring
from vonal.store.database import Database
from vonal.store.opening import open_database
from vonal.webhooks import envelope
from vonal.webhooks.envelope import Setting
from vonal.webhooks.sender import CurlSender

API = "http://127.0.0.1:8080"
RECORDING = "rec_an0bv4"
REQUESTS = [one for one in examples("sh") if f"{API}/api" in one.text]
FILES = examples("yaml")
RECEIVERS = examples("python", "php", "js")
SECRET = "a-signing-secret-of-32-characters"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


def _each(found: list[Example]):
    return pytest.mark.parametrize("example", found, ids=[one.place for one in found])


@_each(FILES)
def test_a_yaml_example_passes_vonal_apply(example: Example, tmp_path: Path):
    done = subprocess.run(
        [Path(sys.executable).with_name("vonal"), "apply", "-", "--check", "--json"],
        input=documents.directory_file(example),
        env={"VONAL_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["changes"]


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(Settings(data_dir=tmp_path / "data"), owner=True)
    yield opened
    opened.close()


@_each(REQUESTS)
def test_every_request_in_an_example_is_answered_as_shown(
    example: Example, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    directory = _directory(example)
    monkeypatch.setattr(api_house, "DIRECTORY", directory)
    with api_house.running(db) as house:
        for line in documents.commands(example):
            if line.startswith("curl"):
                status, answer = _made(line, house, directory.tenants[0], tmp_path)
                _compare(status, answer, _answer_shown(example))


def _directory(example: Example) -> Directory:
    """The demo's tenant where its credentials are used; else that of the YAML reference, which may do all."""
    if "demo" in example.text:
        return cast.directory(secret=b"demo", webhook_url="https://crm.example", signing_key=SECRET, carrier=(5, 6))
    file = next(one for one in FILES if one.page.name == "yaml.md").text
    directory = reading.read(file.encode()).directory
    tenant = directory.tenants[0]
    users = [replace(one, networks=[]) for one in tenant.api_users]
    keys = [replace(one, networks=[], scopes=list(SCOPES)) for one in tenant.api_keys]
    return replace(directory, tenants=[replace(tenant, api_users=users, api_keys=keys)])


def _made(line: str, house: api_house.House, tenant: Tenant, folder: Path) -> tuple[int, str]:
    """(status, answer) of a request made by curl. Everybody answers at once; `call_…` is a call under way."""
    phones = house.telephony
    phones.registered = {(tenant.id, one.number) for one in tenant.extensions}
    phones.up.clear()
    house.sounds[tenant.id, RECORDING] = api_house.sound_file(folder / "sound.mp3", b"\xff" * 70_000)

    def answered(ring: Ring) -> None:
        house.keep(api_house.in_talk(house.call(ring.call_id, tenant.id)), tell=True)

    phones.on_ring = answered
    if "call_…" in line:
        call = house.keep(api_house.in_talk(answered_call(tenant.id)))
        phones.up[call.linkedid] = (tenant.id, "101")
        phones.talking.add(call.linkedid)
        line = line.replace("call_…", call.id)
    return _curl(line.replace(API, house.url).replace("rec_…", RECORDING), folder)


def _curl(command: str, folder: Path) -> tuple[int, str]:
    words = [*shlex.split(command), "--silent", "--show-error", "--dump-header", "headers"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return int((folder / "headers").read_text().split()[1]), done.stdout


def _answer_shown(example: Example) -> dict | None:
    """The JSON that stands on the page after the request, if any."""
    following = [one for one in examples() if one.page == example.page and one.line > example.line]
    return json.loads(following[0].text) if following and following[0].language == "json" else None


def _compare(status: int, answer: str, shown: dict | None) -> None:
    wanted = shown.get("status") if shown else None
    if isinstance(wanted, int):
        assert shown
        assert (status, json.loads(answer)["code"]) == (wanted, shown["code"])
    else:
        assert 200 <= status < 300, answer
    if shown:
        assert json.loads(answer).keys() == shown.keys()


# --- receivers -------------------------------------------------------------------------------------------------------


@_each(RECEIVERS)
def test_a_receiver_takes_what_is_genuine_and_nothing_else(example: Example, tmp_path: Path):
    with _running(example, tmp_path) as url:
        for method in ("GET", "POST"):
            genuine = _request(f"{url}/calls", method)
            changed = {**genuine.headers, "webhook-id": "evt_another"}
            assert _statuses(
                genuine,
                replace(genuine, headers=changed),
                replace(genuine, url=f"{genuine.url}&more=1", body=genuine.body + b" "),
                _request(f"{url}/calls", method, timestamp=int(time.time()) - 3600),
                _request(f"{url}/calls", method, key="another-secret-0123456789"),
                _request(f"{url}/calls", method, key="another-secret-0123456789", previous_key=SECRET),
                genuine,
            ) == [204, 401, 401, 401, 401, 204, 204]


def _request(
    url: str, method: str, *, timestamp: int | None = None, key: str = SECRET, previous_key: str | None = None
) -> Request:
    webhook = Webhook(
        id="log",
        url=f"{url}?from=docs",
        method=method,  # type: ignore[arg-type]
        events=["call.completed"],
        fields="full",
        security=Security(type="hmac", key=key, previous_key=previous_key),
    )
    setting = Setting(timezone="UTC", base_url="https://vonal.example")
    return envelope.request(event(), webhook, setting, attempt=1, timestamp=timestamp or int(time.time()))


def _statuses(*requests: Request) -> list[int | None]:
    async def send() -> list[int | None]:
        sender = CurlSender(LOOPBACK)
        try:
            return [(await sender.send(one)).status for one in requests]
        finally:
            await sender.close()

    return asyncio.run(send())


@contextmanager
def _running(example: Example, folder: Path) -> Iterator[str]:
    port = free_port()
    name = {"python": "receiver.py", "php": "receiver.php", "js": "receiver.mjs"}[example.language]
    (folder / name).write_text(re.sub(r"\b9000\b", str(port), example.text))
    program = {"python": [sys.executable], "php": ["php", "-S", f"127.0.0.1:{port}"], "js": ["node"]}[example.language]
    process = subprocess.Popen([*program, name], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        _await_listening(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def _await_listening(port: int, process: subprocess.Popen) -> None:
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    raise AssertionError("it does not listen")

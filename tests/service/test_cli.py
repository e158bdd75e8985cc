"""The operator's commands as a shell sees them: what they print, how they end, and that no fault is a traceback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ports
from directories import EXAMPLE
from sample_calls import START, answered_call
from vonal.cli import app
from vonal.cli.demo import place
from vonal.config import Settings
from vonal.domain.call import Party
from vonal.store import calls
from vonal.store.database import Database

VONAL = Path(sys.executable).parent / "vonal"
COMMANDS = [
    ["demo"],
    ["serve"],
    ["apply"],
    ["calls"],
    ["deliveries"],
    ["doctor"],
    *(["keys", one] for one in ("create", "list", "revoke")),
    *(["engine", one] for one in ("install", "status", "stop")),
    *(["secrets", one] for one in ("status", "rotate")),
]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A place of its own: settings of the machine's user do not count."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VONAL_")}
    return {
        **kept,
        "VONAL_DATA_DIR": str(tmp_path / "data"),
        "VONAL_LISTEN": f"127.0.0.1:{ports.free_port()}",
        "VONAL_SIP_LISTEN": f"127.0.0.1:{ports.free_port()}",
        "VONAL_ARI_PORT": str(ports.free_port()),
    }


@pytest.fixture
def run(environ: dict[str, str], tmp_path: Path) -> Run:
    """Runs `vonal …` in an empty folder; `more` are environment variables."""

    def run_it(*words: str, said: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [VONAL, *words],
            env={**environ, **more},
            cwd=tmp_path,
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_it


def refused(done: "subprocess.CompletedProcess[str]", *, code: int = 2) -> str:
    """The one line of a refusal."""
    assert (done.returncode, done.stdout) == (code, ""), done
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def stored(data_dir: Path, *found: object) -> None:
    db = Database(Settings(data_dir=data_dir).sqlalchemy_url)
    db.submit(partial(calls.any_tenant_save, calls=found)).result()
    db.close()


@pytest.fixture
def tenant(run: Run, environ: dict[str, str]) -> Path:
    """The example's tenant, applied; the data folder."""
    assert run("apply", "-", said=EXAMPLE).returncode == 0
    return Path(environ["VONAL_DATA_DIR"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_commands_help_has_examples(command: list[str]) -> None:
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0
    assert f"$ vonal {' '.join(command)}" in done.stdout


def test_apply_warns_of_a_webhook_that_nothing_will_be_sent_to(run: Run) -> None:
    hook = "{id: log, url: 'http://10.1.2.3/calls', events: [call.completed]}"
    done = run("apply", "-", said=f"tenants: [{{id: acme, country: HU, webhooks: [{hook}]}}]")
    assert done.returncode == 0
    assert "Warning: tenants[0].webhooks[0].url: " in done.stderr


def test_the_service_explains_all_its_settings() -> None:
    text = CliRunner().invoke(app, ["serve", "--help"]).stdout
    assert all(name in text for name, _, _ in Settings.describe())


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith("vonal ")


def test_a_bad_setting_is_one_line_and_the_askers_fault(run: Run) -> None:
    line = refused(run("serve", VONAL_LISTEN="everywhere"))
    assert line.startswith("VONAL_LISTEN='everywhere': expected ADDRESS:PORT")


def test_a_password_in_a_bad_setting_is_not_shown(run: Run) -> None:
    line = refused(run("calls", VONAL_DATABASE_URL="mysql://vonal:s3cret@db/vonal"))
    assert "s3cret" not in line


def test_a_taken_port_is_one_line_that_names_the_setting(run: Run, environ: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused(run("serve", VONAL_LISTEN=f"127.0.0.1:{port}"))
    assert f"127.0.0.1:{port}" in line
    assert "VONAL_LISTEN" in line


def test_a_missing_asterisk_says_how_to_get_one(run: Run, tmp_path: Path) -> None:
    line = refused(run("serve", VONAL_ENGINE_DIR=str(tmp_path / "none")), code=1)
    assert "vonal engine install" in line


def test_a_data_folder_that_cannot_be_made_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = refused(run("serve", VONAL_DATA_DIR=str(tmp_path / "file" / "data")))
    assert "VONAL_DATA_DIR" in line


@pytest.mark.parametrize("command", [["serve"], ["calls"]], ids=" ".join)
def test_a_newer_database_is_one_line(run: Run, tenant: Path, command: list[str]) -> None:
    db = Database(Settings(data_dir=tenant).sqlalchemy_url)
    db.submit(lambda tx: tx.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_the_future'")).result()
    db.close()
    assert "newer version" in refused(run(*command), code=1)


def test_a_database_that_is_none_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "vonal.db").write_text("This is a shopping list." * 1000)
    assert "vonal.db" in refused(run("calls"), code=1)


def test_calls_are_listed_in_the_tenants_time_whatever_callers_call_themselves(run: Run, tenant: Path) -> None:
    hostile = Party(number="+36305550123", raw="06305550123", name="[red]\x1b[2J\x07Robert")
    stored(tenant, answered_call(from_=hostile))
    done = run("calls")
    assert done.returncode == 0
    assert "2026-11-22 10:15:47" in done.stdout
    assert "[red]" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout


def test_calls_are_chosen_by_time_direction_outcome_and_number_of_them(
    tenant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VONAL_DATA_DIR", str(tenant))
    days = [answered_call(at=START + timedelta(days=day)) for day in range(3)]
    missed = answered_call(at=START + timedelta(days=1, hours=1), disposition="no_answer")
    stored(tenant, *days, missed)

    def ids(*options: str) -> list[str]:
        done = CliRunner().invoke(app, ["calls", "--json", *options])
        return [one["call"]["id"] for one in json.loads(done.stdout)["items"]]

    assert ids() == [days[0].id, days[1].id, missed.id, days[2].id]
    assert ids("--limit", "2") == [missed.id, days[2].id]
    assert ids("--disposition", "no_answer") == [missed.id]
    assert ids("--direction", "outbound") == []
    assert ids("--from", "2026-11-23T10:15", "--until", "2026-11-24") == [days[1].id, missed.id]
    assert ids("--from", "2026-11-23T10:16", "--until", "2026-11-24") == [missed.id]
    assert ids("--tenant", "acme", "--from", "2026-11-24T09:15:00Z") == [days[2].id]


def test_following_calls_prints_each_once_when_it_is_over(
    environ: dict[str, str], tenant: Path, tmp_path: Path
) -> None:
    before = answered_call(state="completed")
    stored(tenant, before)
    follower = subprocess.Popen(
        [VONAL, "calls", "--follow", "--json"], env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert follower.stdout
        assert json.loads(follower.stdout.readline())["call"]["id"] == before.id
        live = answered_call(at=START + timedelta(hours=1), state="live")
        over = answered_call(at=START + timedelta(hours=2), state="completed")
        stored(tenant, live, over)
        assert json.loads(follower.stdout.readline())["call"]["id"] == over.id
        live.state = "completed"
        stored(tenant, live)
        assert json.loads(follower.stdout.readline())["call"]["id"] == live.id
        follower.send_signal(signal.SIGINT)
        rest, _ = follower.communicate(timeout=20)
        assert rest == ""
        assert follower.returncode == 130
    finally:
        follower.kill()


def test_an_unknown_tenant_is_refused_with_those_that_are_known(run: Run, tenant: Path) -> None:
    assert "known are: acme" in refused(run("calls", "--tenant", "acne"))


def test_a_time_that_is_none_is_refused(run: Run, tenant: Path) -> None:
    assert "--from yesterday: expected" in refused(run("calls", "--from", "yesterday"))


def test_a_reader_that_goes_away_is_no_fault_to_tell(environ: dict[str, str], tenant: Path, tmp_path: Path) -> None:
    stored(tenant, *(answered_call(at=START + timedelta(minutes=one)) for one in range(500)))
    command = f"'{VONAL}' calls --json --limit 500 | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""


def test_an_interrupted_service_ends_without_a_traceback(environ: dict[str, str], tmp_path: Path) -> None:
    service = subprocess.Popen([VONAL, "serve"], env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert service.stderr
    try:
        lines = []
        while not lines or "ready" not in lines[-1]:
            lines.append(service.stderr.readline())
            assert lines[-1], lines
        service.send_signal(signal.SIGINT)
        _, rest = service.communicate(timeout=40)
        assert service.returncode == 0
        assert "drained" in rest
        assert "Traceback" not in rest
    finally:
        service.kill()
        subprocess.run([VONAL, "engine", "stop", "--yes"], env=environ, cwd=tmp_path, capture_output=True, check=True)


def test_the_demo_prints_what_can_be_pasted_and_takes_everything_with_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    demo = subprocess.Popen([VONAL, "demo"], env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert demo.stdout
    try:
        lines: list[str] = []
        while "Ctrl-C" not in "".join(lines[-1:]):
            lines.append(demo.stdout.readline())
            assert lines[-1], lines
        click, listing, newest = [line.strip() for line in lines if line.strip().startswith("curl")]
        started = json.loads(paste(click))
        assert started["status"] == "ringing_agent"
        until(lambda: json.loads(paste(listing))["items"][0]["recordings"][0]["state"] == "ready", seconds=60)
        paste(newest, folder=tmp_path)
        assert [path.suffix for path in tmp_path.glob("*_outbound_*")] == [".mp3"]
        pids = asterisks(tmp_path)
        assert len(pids) == 2
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate(timeout=60)
        assert demo.returncode == 0
        assert "Everything has ended." in rest
        assert asterisks(tmp_path) == []
    finally:
        demo.kill()
        for pid in asterisks(tmp_path):
            os.kill(pid, signal.SIGKILL)


def test_the_demo_moves_aside_when_a_port_is_taken_and_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings, said = place.settled(place.load({"VONAL_LISTEN": f"127.0.0.1:{port}"}))
    assert settings.listen[1] != port
    assert f"Port {port} is taken; API is at {settings.listen[1]} instead." in said


def test_the_demo_never_uses_a_real_services_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vonal.toml").write_text('data_dir = "real"\ndatabase_url = "postgresql://db/real"')
    monkeypatch.chdir(tmp_path)
    settings = place.load({})
    assert (settings.data_dir, settings.database_url) == (tmp_path / "data" / "demo", "")
    assert place.load({"VONAL_DATA_DIR": "here"}).data_dir == tmp_path / "here"


def test_a_second_demo_in_the_same_folder_is_refused(environ: dict[str, str], run: Run, tmp_path: Path) -> None:
    import fcntl

    folder = Path(environ["VONAL_DATA_DIR"])
    folder.mkdir()
    with (folder / "service.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = run("demo")
    assert done.returncode == 2
    assert "a demo or service runs in it" in done.stderr
    assert "Traceback" not in done.stderr


def paste(line: str, *, folder: Path | None = None) -> str:
    """What a shell says to a line."""
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(condition: Callable[[], bool], *, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except IndexError:
            pass  # not there yet
        assert time.monotonic() < end
        time.sleep(0.2)


def asterisks(folder: Path) -> list[int]:
    """The processes that were started for something in the folder."""
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/".encode() in one.read_bytes():
                found.append(int(one.parent.name))
        except OSError:
            continue
    return found

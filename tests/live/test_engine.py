"""Asterisk outlives us, comes back when it dies, and is told plainly when it cannot run."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop
from typer.testing import CliRunner

from ports import free_port
from vonal import config
from vonal.cli.engine import app
from vonal.domain.errors import EngineUnavailable
from vonal.telephony import process
from vonal.telephony.binary import AsteriskBinary, locate
from vonal.telephony.engine import Engine, Port, asterisk_conf, run_folder
from vonal.telephony.engine_install import install
from vonal.telephony.modules import BASE_FILES

PASSWORD = "ari-secret"
STARTER = """
import asyncio, json, sys, time
from pathlib import Path
from vonal.telephony.binary import locate
from vonal.telephony.engine import Engine

async def start(folder, engine_dir, port, password):
    engine = Engine(locate("embedded", Path(engine_dir)), Path(folder), ari_port=int(port), ari_password=password)
    await engine.ensure_running()
    print(json.dumps({"pid": engine.pid}), flush=True)
    time.sleep(600)

asyncio.run(start(*sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def engine_dir() -> Path:
    folder = config.load().engine_dir
    install(folder, progress=lambda _: None)
    return folder


@pytest.fixture(scope="session")
def binary(engine_dir: Path) -> AsteriskBinary:
    return locate("embedded", engine_dir)


def render(binary: AsteriskBinary, folder: Path, port: int) -> None:
    """A configuration that does nothing but answer ARI."""
    files = {
        **BASE_FILES,
        "asterisk.conf": asterisk_conf(binary, folder),
        "modules.conf": "[modules]\nautoload = no\n" + "".join(f"load = {name}\n" for name in binary.modules),
        "logger.conf": "[general]\n[logfiles]\nmessages => notice,warning,error\n",
        "http.conf": f"[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {port}\n",
        "ari.conf": f"[general]\nenabled = yes\n[vonal]\ntype = user\npassword = {PASSWORD}\n",
        "pjsip.conf": f"[udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{free_port()}\n",
        "rtp.conf": "[general]\nrtpstart = 20000\nrtpend = 24000\n",
        "extensions.conf": "",
        "cel.conf": "[general]\nenable = yes\napps = all\nevents = ALL\n",
        "cel_custom.conf": "[mappings]\njournal.dsv => ${CSV_QUOTE(${eventtype})}\n",
    }
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / "etc" / name).write_text(text)


Made = Callable[..., Engine]


@pytest.fixture
async def made(binary: AsteriskBinary, tmp_path: Path) -> AsyncIterator[Made]:
    """Makes engines of one folder (and port), and ends whatever Asterisk is left of them."""
    engines: list[Engine] = []
    port = free_port()

    def make(folder: Path = tmp_path / "engine", **more: object) -> Engine:
        render(binary, folder, port)
        engines.append(Engine(binary, folder, ari_port=port, ari_password=PASSWORD, patience=1.0, **more))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.stop(grace=1)


@contextlib.asynccontextmanager
async def watched(engine: Engine) -> AsyncIterator[asyncio.Queue[int | None]]:
    """Runs `watch`; each restart puts the new pid into the queue."""
    restarts: asyncio.Queue[int | None] = asyncio.Queue()

    async def restarted() -> None:
        restarts.put_nowait(engine.pid)

    watching = asyncio.create_task(engine.watch(restarted))
    try:
        yield restarts
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def test_a_clean_start_answers_ari_and_logs_no_error(made: Made):
    engine = made()
    await engine.ensure_running()

    assert await engine.answers()
    assert not engine.adopted
    log = (engine.folder / "log" / "messages").read_text()
    assert "Asterisk" in log
    assert [line for line in log.splitlines() if "ERROR" in line or "WARNING" in line] == []


async def test_every_module_asked_for_runs(made: Made):
    engine = made()
    await engine.ensure_running()

    lines = (await engine.command("module show") or "").splitlines()
    running = {line.split()[0] for line in lines if " Running " in line}
    assert set(engine.binary.modules) - running == set()


async def test_music_on_hold_and_english_sounds_are_there(made: Made, binary: AsteriskBinary):
    engine = made()
    await engine.ensure_running()

    assert "File: " in (await engine.command("moh show files") or "")
    assert (binary.data_dir / "sounds" / "en" / "beep.gsm").is_file()


async def test_what_asterisk_writes_is_the_owner_s_alone_and_it_sees_no_setting_of_ours(
    made: Made, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("VONAL_SECRET_KEY", "top-secret")
    engine = made()
    await engine.ensure_running()

    assert engine.folder.stat().st_mode & 0o077 == 0
    assert (engine.folder / "run" / "asterisk.ctl").stat().st_mode & 0o077 == 0
    assert b"top-secret" not in Path(f"/proc/{engine.pid}/environ").read_bytes()


async def test_asterisk_outlives_a_killed_starter_and_is_adopted(made: Made, engine_dir: Path):
    adopter = made()
    port = adopter._ari.split(":")[2].split("/")[0]
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(adopter.folder), str(engine_dir), port, PASSWORD], stdout=subprocess.PIPE
    )
    pid = json.loads(next(line for line in starter.stdout if line.startswith(b"{")))["pid"]
    starter.kill()
    starter.wait()

    await adopter.ensure_running()

    assert adopter.adopted
    assert adopter.pid == pid
    assert os.getsid(pid) == pid  # no terminal of ours can reach it
    found = process.find(pid, argument=str(adopter.folder / "etc" / "asterisk.conf"))
    assert found.started_at == adopter.started_at


async def test_an_adopted_asterisk_s_death_is_noticed_though_it_is_not_our_child(made: Made):
    first, second = made(), made()
    await first.ensure_running()
    await second.ensure_running()
    assert second.adopted

    async with watched(second) as restarts:
        os.kill(first.pid, signal.SIGKILL)
        pid = await asyncio.wait_for(restarts.get(), 30)

    assert pid == second.pid
    assert not second.adopted
    assert await second.answers()


async def test_a_killed_asterisk_is_restarted_each_time(made: Made):
    engine = made()
    await engine.ensure_running()
    async with watched(engine) as restarts:
        for _ in range(2):
            before = engine.pid
            os.kill(before, signal.SIGKILL)
            assert await asyncio.wait_for(restarts.get(), 30) != before
            assert await engine.answers()


def test_watching_works_under_uvloop_too(binary: AsteriskBinary, tmp_path: Path):
    async def run() -> tuple[int | None, int | None]:
        port = free_port()
        render(binary, tmp_path, port)
        engine = Engine(binary, tmp_path, ari_port=port, ari_password=PASSWORD, patience=1.0)
        try:
            await engine.ensure_running()
            before = engine.pid
            async with watched(engine) as restarts:
                os.kill(before, signal.SIGKILL)
                return before, await asyncio.wait_for(restarts.get(), 30)
        finally:
            await engine.stop(grace=1)

    before, after = uvloop.run(run())
    assert None not in {before, after}
    assert before != after


async def test_a_hung_asterisk_is_killed_and_restarted(made: Made):
    engine = made()
    await engine.ensure_running()
    before = engine.pid
    async with watched(engine) as restarts:
        os.kill(before, signal.SIGSTOP)
        assert await asyncio.wait_for(restarts.get(), 60) != before
    assert process.find(before, argument=engine._conf) is None


async def test_a_hung_asterisk_found_at_start_is_replaced(made: Made):
    first, second = made(), made()
    await first.ensure_running()
    os.kill(first.pid, signal.SIGSTOP)

    await second.ensure_running()

    assert not second.adopted
    assert second.pid is not None
    assert await second.answers()


async def test_asterisk_that_cannot_be_restarted_is_tried_again(made: Made):
    port = Port("VONAL_SIP_LISTEN", "127.0.0.1", free_port(), "udp")
    engine = made(ports=[port])
    await engine.ensure_running()
    async with watched(engine) as restarts:
        with socket.socket(type=socket.SOCK_DGRAM) as taker:
            taker.bind((port.host, port.port))
            os.kill(engine.pid, signal.SIGKILL)
            while engine._process is not None:
                await asyncio.sleep(0.05)
        assert await asyncio.wait_for(restarts.get(), 30) == engine.pid


async def test_a_failing_follow_up_of_a_restart_does_not_end_the_watch(made: Made):
    engine, runs = made(), asyncio.Queue()
    await engine.ensure_running()

    async def fail() -> None:
        runs.put_nowait(engine.pid)
        raise RuntimeError("no database")

    watching = asyncio.create_task(engine.watch(fail))
    for _ in range(2):
        os.kill(engine.pid, signal.SIGKILL)
        await asyncio.wait_for(runs.get(), 30)
    await engine.stop()
    await asyncio.wait_for(watching, 10)


async def test_stop_ends_asterisk_and_the_watch_and_starts_nothing(made: Made):
    engine = made()
    await engine.ensure_running()
    found = engine.find()
    watching = asyncio.create_task(engine.watch(asyncio.Event().wait))

    await engine.stop()

    await asyncio.wait_for(watching, 10)
    assert engine.pid is None
    assert not found.lives
    assert engine.find() is None


async def test_stop_kills_what_does_not_end_in_time(made: Made):
    engine = made()
    await engine.ensure_running()
    found = engine.find()
    os.kill(found.pid, signal.SIGSTOP)

    await engine.stop(grace=0.2)

    assert not found.lives


async def test_files_left_of_a_killed_asterisk_do_not_prevent_a_start(made: Made):
    first, second = made(), made()
    await first.ensure_running()
    dead = first.pid
    os.kill(dead, signal.SIGKILL)
    await first._process.ended()
    assert (first.folder / "run" / "asterisk.ctl").exists()
    assert process.read_pid(first.folder / "run" / "asterisk.pid") == dead

    await second.ensure_running()

    assert not second.adopted
    assert second.pid != dead


@pytest.mark.parametrize(
    "text", ["", "not a number", "999999999", str(os.getpid())], ids=["empty", "words", "none", "us"]
)
async def test_a_pid_file_that_means_no_asterisk_of_ours_is_ignored(made: Made, text: str):
    engine = made()
    (engine.folder / "run").mkdir()
    (engine.folder / "run" / "asterisk.pid").write_text(text)

    await engine.ensure_running()

    assert not engine.adopted
    assert engine.pid != os.getpid()


async def test_a_folder_too_deep_for_a_socket_s_path_works_and_is_adopted_as_any_other(made: Made, tmp_path: Path):
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "engine"
    assert not run_folder(deep).is_absolute()
    first, second = made(deep), made(deep)

    await first.ensure_running()
    await second.ensure_running()

    assert second.adopted
    assert await second.command("core show uptime") is not None


async def test_a_folder_s_name_with_a_semicolon_and_a_space_is_no_obstacle(made: Made, tmp_path: Path):
    engine = made(tmp_path / "a b;c" / "engine")
    await engine.ensure_running()

    assert (engine.folder / "log" / "messages").exists()


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_a_taken_port_is_told_with_the_setting_to_change(made: Made, protocol: str):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as taker:
        taker.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            taker.listen()
        number = taker.getsockname()[1]
        engine = made(ports=[Port("VONAL_SIP_LISTEN", "127.0.0.1", number, protocol)])

        with pytest.raises(EngineUnavailable, match=f"127.0.0.1:{number} .*VONAL_SIP_LISTEN"):
            await engine.ensure_running()

    assert engine.pid is None


async def test_asterisk_that_ends_at_once_is_told_with_its_last_words(made: Made):
    engine = made()
    (engine.folder / "etc" / "modules.conf").write_text("[modules]\nautoload = no\nrequire = no_such_module.so\n")

    with pytest.raises(EngineUnavailable, match=r"did not start.*no_such_module"):
        await engine.ensure_running()

    assert engine.pid is None


async def test_a_running_one_with_another_ari_password_takes_the_one_on_disk(made: Made):
    first, second = made(), made()
    await first.ensure_running()
    ari = first.folder / "etc" / "ari.conf"
    ari.write_text(ari.read_text().replace(PASSWORD, "new"))
    changed = Engine(
        second.binary, second.folder, ari_port=int(second._ari.split(":")[2].split("/")[0]), ari_password="new",
        patience=1.0,
    )  # fmt: skip

    await changed.ensure_running()

    assert changed.adopted
    assert changed.pid == first.pid


async def test_the_operator_sees_the_running_one_and_ends_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = made()
    await engine.ensure_running()
    (engine.folder / "ari.secret").write_text(PASSWORD)
    monkeypatch.setenv("VONAL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VONAL_ARI_PORT", engine._ari.split(":")[2].split("/")[0])

    async def vonal(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    seen = json.loads(await vonal("status", "--json"))
    assert (seen["pid"], seen["answers"], seen["channels"]) == (engine.pid, True, 0)
    assert "has ended" in await vonal("stop")
    assert engine.pid is None
    assert "no Asterisk runs" in await vonal("stop")
    assert json.loads(await vonal("status", "--json"))["pid"] is None

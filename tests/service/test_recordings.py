"""The recordings' worker, on real files and both databases."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sound_store import TENANT, SoundStore
from tones import dominant_tone, hear, stereo
from vonal.calls.recordings import Recorder, closed_files
from vonal.domain.sound import FORMATS, Format, Outcome
from vonal.store.database import Database

AGENT, CUSTOMER = 440, 880
SECOND = stereo(AGENT, CUSTOMER, 1)
SERVICE = """
import asyncio, sys
from pathlib import Path
from vonal.calls.folders import Folders
from vonal.calls.recordings import Recorder
from vonal.store.database import Database

async def settle(outcome):
    raise SystemExit("settled, although this one was to be killed before")

db = Database(sys.argv[1], owner=True)
asyncio.run(Recorder(db, Folders.of(Path(sys.argv[2])), settle=settle, asterisk_pid=lambda: None).run())
"""
WRITER = """
import os, sys
file = open(sys.argv[1], "ab", buffering=32768)
file.write(bytes.fromhex(sys.argv[2]) * 4000)
print("open", flush=True)
sys.stdin.readline()
file.write(bytes.fromhex(sys.argv[2]) * 4000)
file.close()
sys.stdin.readline()
"""


@pytest.fixture
def sound(database: Database, tmp_path: Path) -> SoundStore:
    return SoundStore(database, tmp_path)


@asynccontextmanager
async def _running(sound: SoundStore, *, pid: int | None = None, missing_after: float = 0.2) -> AsyncIterator[Recorder]:
    recorder = Recorder(
        sound.db, sound.folders, settle=sound.settle, asterisk_pid=lambda: pid, missing_after=missing_after
    )
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


async def _settled(sound: SoundStore, count: int = 1) -> list[Outcome]:
    await _until(lambda: len(sound.outcomes) >= count)
    return sound.outcomes


def _spool(sound: SoundStore) -> list[str]:
    return [one.name for one in sound.folders.spool.iterdir()]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("first", ["agent", "customer"])
async def test_an_ended_calls_sound_becomes_a_finished_file(sound: SoundStore, format_: Format, first: str) -> None:
    raw = stereo(CUSTOMER, AGENT, 2) if first == "customer" else stereo(AGENT, CUSTOMER, 2)
    made = sound.add(raw, format_=format_, customer_first=first == "customer")
    async with _running(sound):
        (outcome,) = await _settled(sound)
        await _until(lambda: not _spool(sound))
    done, row = outcome.recording, sound.row(made)
    assert (done.id, done.state, done.format, done.channels, done.duration_s) == (made, "ready", format_, 2, 2.0)
    assert (row.state, row.sha256, row.size_bytes, row.duration_s) == ("ready", done.sha256, done.size_bytes, 2.0)
    assert row.path == f"{TENANT}/2026/11/{made}.{format_}"
    assert row.delete_at is not None
    heard = hear(sound.file(made))
    assert (dominant_tone(heard.left), dominant_tone(heard.right)) == (AGENT, CUSTOMER)
    assert list(sound.folders.drafts.iterdir()) == []


async def test_a_call_that_ends_while_it_runs_is_taken_at_once(sound: SoundStore) -> None:
    async with _running(sound) as recorder:
        first = sound.add(SECOND)
        recorder.wake()
        await _settled(sound)
        second = sound.add(SECOND)
        recorder.wake()
        await _settled(sound, 2)
    assert [one.recording.id for one in sound.outcomes] == [first, second]


async def test_fifty_that_end_at_once_are_all_made_ready(sound: SoundStore) -> None:
    made = {sound.add(SECOND, format_="wav") for _ in range(50)}
    async with _running(sound):
        await _settled(sound, 50)
        await _until(lambda: not _spool(sound))
    assert {one.recording.id for one in sound.outcomes} == made
    assert {one.recording.state for one in sound.outcomes} == {"ready"}


async def test_raw_files_of_calls_that_are_not_over_are_left_alone(sound: SoundStore) -> None:
    live = sound.add(SECOND, state="recording")
    sound.raw("unheard-of.raw").write_bytes(SECOND)
    over = sound.add(SECOND)
    async with _running(sound):
        await _settled(sound)
        await _until(lambda: len(_spool(sound)) == 2)
    assert [one.recording.id for one in sound.outcomes] == [over]
    assert sound.row(live).state == "recording"


@pytest.mark.parametrize(("raw", "reason"), [(None, "missing"), (b"", "empty"), (b"\1\2\3", "empty")])
async def test_a_call_without_sound_is_told_as_failed(sound: SoundStore, raw: bytes | None, reason: str) -> None:
    made = sound.add(raw)
    async with _running(sound):
        (outcome,) = await _settled(sound)
        await _until(lambda: not _spool(sound))
    assert (outcome.recording.state, outcome.reason) == ("failed", reason)
    assert (sound.row(made).state, sound.row(made).reason, sound.row(made).path) == ("failed", reason, None)


async def test_a_file_is_waited_for_until_it_is_closed_so_that_its_end_is_not_lost(sound: SoundStore) -> None:
    held = sound.add(None, format_="wav")
    path = sound.raw(sound.row(held).file)
    with _writer(path) as writer:
        other = sound.add(SECOND * 2, format_="wav")
        async with _running(sound, pid=writer.pid):
            await _settled(sound)  # both were looked at, and only the one that nobody has open was taken
            assert [one.recording.id for one in sound.outcomes] == [other]
            assert writer.stdin is not None
            writer.stdin.write(b"\n")
            writer.stdin.flush()
            await _settled(sound, 2)
    assert sound.outcomes[1].recording.id == held
    assert sound.outcomes[1].recording.duration_s == 1.0


async def test_after_asterisks_death_what_it_left_is_taken(sound: SoundStore) -> None:
    made = sound.add(None, format_="wav")
    with _writer(sound.raw(sound.row(made).file)) as writer:
        writer.kill()
        writer.wait()
        sound.raw(sound.row(made).file).write_bytes(SECOND + b"\1")
        async with _running(sound, pid=writer.pid):
            await _settled(sound)
    assert sound.outcomes[0].recording.duration_s == 1.0


def test_when_open_files_cannot_be_seen_a_file_is_closed_once_it_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vonal.calls.recordings._held_by", lambda pid: None)
    (tmp_path / "fresh.raw").write_bytes(SECOND)
    (tmp_path / "old.raw").write_bytes(SECOND)
    os.utime(tmp_path / "old.raw", (1, 1))
    assert closed_files(tmp_path, ["fresh.raw", "old.raw", "none.raw"], 1) == {"old.raw": len(SECOND)}


async def test_on_a_full_disk_nothing_is_lost_and_the_log_names_the_folder(sound: SoundStore) -> None:
    sound.add(SECOND)
    async with _running(sound) as recorder:
        await _settled(sound)
        (pid,) = recorder.converter.pids
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, before[1]))
        with capture_logs() as logs:
            made = sound.add(SECOND, format_="wav")
            recorder.wake()
            await _until(lambda: any("cannot be written" in one["event"] for one in logs))
        assert logs[0]["folder"] == str(sound.folders.recordings)
        assert logs[0]["reason"] == "File too large"
        assert sound.row(made).state == "processing"
        assert _spool(sound) == [sound.row(made).file]
        assert list(sound.folders.drafts.iterdir()) == []
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        await _settled(sound, 2)
    assert sound.outcomes[1].recording.state == "ready"


async def test_when_the_outcome_cannot_be_stored_it_is_tried_again(sound: SoundStore) -> None:
    refusals = ["the database is gone"]
    settle = sound.settle

    async def sometimes(outcome: Outcome) -> None:
        if refusals:
            raise ConnectionError(refusals.pop())
        await settle(outcome)

    sound.settle = sometimes  # type: ignore[method-assign]
    made = sound.add(SECOND)
    async with _running(sound):
        await _settled(sound)
    assert refusals == []
    assert sound.row(made).state == "ready"


async def test_a_service_killed_in_the_midst_of_a_conversion_does_it_again_with_the_same_result(
    sound: SoundStore, database_url: str, tmp_path: Path
) -> None:
    made = sound.add(SECOND * 240)
    url = str(sound.db.engine.url.render_as_string(hide_password=False))
    with subprocess.Popen([sys.executable, "-c", SERVICE, url, str(tmp_path)], process_group=0) as service:
        try:
            await _until(lambda: any(one.stat().st_size for one in sound.folders.drafts.glob("*")))
            converters = _children(service.pid)
        finally:
            service.send_signal(signal.SIGKILL)
    assert len(converters) == 1
    assert sound.row(made).state == "processing"
    (sound.folders.drafts / "left.by.another.mp3").write_bytes(b"x")
    async with _running(sound):
        await _settled(sound)
        await _until(lambda: not _spool(sound))
    assert sound.row(made).state == "ready"
    assert sound.outcomes[0].recording.duration_s == 240.0
    await _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in converters))
    assert list(sound.folders.drafts.iterdir()) == []
    assert [one.name for one in sound.folders.recordings.rglob("*.*") if one.is_file()] == [f"{made}.mp3"]


async def test_a_raw_file_left_by_a_kill_after_the_settlement_is_cleared_at_the_next_start(sound: SoundStore) -> None:
    made = sound.add(SECOND)
    async with _running(sound):
        await _settled(sound)
        await _until(lambda: not _spool(sound))
    sound.raw(sound.row(made).file).write_bytes(SECOND)
    async with _running(sound):
        await _until(lambda: not _spool(sound))
    assert len(sound.outcomes) == 1


async def test_empty_files_of_calls_that_nobody_answered_are_cleared_once_they_are_old(sound: SoundStore) -> None:
    for name, content in (("old.raw", b""), ("sound.raw", SECOND), ("fresh.raw", b"")):
        sound.raw(name).write_bytes(content)
        if name != "fresh.raw":
            os.utime(sound.raw(name), (1, 1))
    async with _running(sound):
        await _until(lambda: not sound.raw("old.raw").exists())
    assert sorted(_spool(sound)) == ["fresh.raw", "sound.raw"]


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _writer(path: Path) -> "subprocess.Popen[bytes]":
    frame = SECOND[400:404].hex()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), frame], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process

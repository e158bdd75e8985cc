"""Recordings whose time is up."""

import asyncio
import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sound_store import KEYS, TENANT, SoundStore
from tones import stereo
from vonal.calls.playback import Playback
from vonal.calls.recordings import Recorder
from vonal.calls.retention import Retention
from vonal.domain.errors import RecordingDeleted
from vonal.domain.sound import Outcome
from vonal.store.database import Database


@pytest.fixture
def sound(database: Database, tmp_path: Path) -> SoundStore:
    return SoundStore(database, tmp_path)


async def _ready(sound: SoundStore, count: int = 1) -> list[str]:
    made = [sound.add(stereo(440, 880, 0.2), format_="wav") for _ in range(count)]
    recorder = Recorder(sound.db, sound.folders, settle=sound.settle, asterisk_pid=lambda: None)
    task = asyncio.create_task(recorder.run())
    async with asyncio.timeout(60):
        while len(sound.outcomes) < count:
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    sound.outcomes.clear()
    return made


def _retention(sound: SoundStore) -> Retention:
    return Retention(sound.db, sound.folders, settle=sound.settle)


async def test_only_what_is_due_is_deleted_file_and_copies_and_then_the_fact_is_written(sound: SoundStore) -> None:
    kept, due = await _ready(sound, 2)
    playback = Playback(sound.db, sound.folders, KEYS, timezone=lambda tenant_id: "UTC")
    copy = (await playback.open(TENANT, due, "mp3")).path
    file = sound.file(due)
    sound.let_time_pass(due)
    assert await _retention(sound).delete_due() == 1
    (outcome,) = sound.outcomes
    assert (outcome.recording.id, outcome.recording.state) == (due, "deleted")
    assert outcome.recording.sha256
    assert not file.exists()
    assert not copy.exists()
    assert sound.row(due).state == "deleted"
    with pytest.raises(RecordingDeleted):
        await playback.open(TENANT, due)
    assert (await playback.open(TENANT, kept)).path.exists()
    assert await _retention(sound).delete_due() == 0
    await playback.close()


async def test_a_recording_is_due_when_its_tenants_days_are_over(sound: SoundStore) -> None:
    (made,) = await _ready(sound)
    delete_at = sound.row(made).delete_at
    assert delete_at is not None
    early = Retention(sound.db, sound.folders, settle=sound.settle, now=lambda: delete_at - timedelta(milliseconds=1))
    assert await early.delete_due() == 0
    assert await Retention(sound.db, sound.folders, settle=sound.settle, now=lambda: delete_at).delete_due() == 1


async def test_a_kill_between_file_and_fact_leaves_no_sound_and_the_fact_is_written_later(sound: SoundStore) -> None:
    (made,) = await _ready(sound)
    file = sound.file(made)
    sound.let_time_pass(made)

    async def killed(outcome: Outcome) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Retention(sound.db, sound.folders, settle=killed).delete_due()
    assert not file.exists()
    assert sound.row(made).state == "ready"
    assert await _retention(sound).delete_due() == 1
    assert sound.row(made).state == "deleted"


async def test_a_file_that_resists_is_named_and_stops_no_other(sound: SoundStore) -> None:
    stubborn, other = await _ready(sound, 2)
    file = sound.file(stubborn)
    file.unlink()
    file.mkdir()  # not a file: it cannot be deleted as one, by nobody
    for made in (stubborn, other):
        sound.let_time_pass(made)
    with capture_logs() as logs:
        assert await _retention(sound).delete_due() == 1
    assert str(file) in [one.get("file") for one in logs]
    assert (sound.row(stubborn).state, sound.row(other).state) == ("ready", "deleted")


async def test_more_than_one_batch_is_deleted_in_one_go(sound: SoundStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vonal.calls.retention._BATCH", 2)
    for made in await _ready(sound, 5):
        sound.let_time_pass(made)
    assert await _retention(sound).delete_due() == 5


def test_copies_nobody_asks_for_any_more_are_deleted(sound: SoundStore) -> None:
    sound.folders.copies.mkdir(parents=True)
    old, fresh = sound.folders.copies / "rec_a.1.mp3", sound.folders.copies / "rec_b.1.mp3"
    for one in (old, fresh):
        one.write_bytes(b"x")
    os.utime(old, (1, 1))
    _retention(sound).delete_old_copies()
    assert list(sound.folders.copies.iterdir()) == [fresh]

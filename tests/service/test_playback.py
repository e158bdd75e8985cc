"""Finished recordings, asked for."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from sound_store import KEYS, TENANT, SoundStore
from tones import dominant_tone, hear, stereo
from vonal.calls.converter import ConversionFailed
from vonal.calls.playback import Playback
from vonal.calls.recordings import Recorder
from vonal.calls.reference import mint
from vonal.domain.errors import (
    InvalidRequest,
    RecordingDeleted,
    RecordingIdUndecodable,
    RecordingNotFound,
    RecordingNotReady,
)
from vonal.domain.sound import FORMATS, MEDIA_TYPES
from vonal.store.database import Database

AGENT, CUSTOMER = 440, 880
SOUND = stereo(AGENT, CUSTOMER, 2)


@pytest.fixture
def sound(database: Database, tmp_path: Path) -> SoundStore:
    return SoundStore(database, tmp_path)


@pytest.fixture
async def playback(sound: SoundStore) -> AsyncIterator[Playback]:
    opened = Playback(sound.db, sound.folders, KEYS, timezone=lambda tenant_id: "Europe/Budapest")
    yield opened
    await opened.close()


@asynccontextmanager
async def _recorder(sound: SoundStore) -> AsyncIterator[None]:
    recorder = Recorder(sound.db, sound.folders, settle=sound.settle, asterisk_pid=lambda: None, missing_after=0.0)
    task = asyncio.create_task(recorder.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _ready(sound: SoundStore, raw: bytes | None = SOUND) -> str:
    made = sound.add(raw)
    async with _recorder(sound), asyncio.timeout(60):
        while made not in {one.recording.id for one in sound.outcomes}:
            await asyncio.sleep(0.01)
    return made


async def test_a_ready_recording_is_a_file_with_its_name_type_and_hash(sound: SoundStore, playback: Playback) -> None:
    made = await _ready(sound)
    opened = await playback.open(TENANT, made)
    content = opened.path.read_bytes()
    assert opened.etag == hashlib.sha256(content).hexdigest() == sound.row(made).sha256
    assert opened.size == len(content) == sound.row(made).size_bytes
    assert opened.media_type == "audio/mpeg"
    assert opened.filename == "2026-11-22_10-15_inbound_+36305550123_102.mp3"
    assert await playback.load_bytes(TENANT, made) == content


@pytest.mark.parametrize("wanted", FORMATS)
async def test_it_can_be_had_in_any_format_each_with_an_etag_of_its_own(
    sound: SoundStore, playback: Playback, wanted: str
) -> None:
    made = await _ready(sound)
    opened, again = await asyncio.gather(playback.open(TENANT, made, wanted), playback.open(TENANT, made, wanted))
    assert opened == again
    assert opened.etag == hashlib.sha256(opened.path.read_bytes()).hexdigest()
    assert (opened.etag == sound.row(made).sha256) == (wanted == "mp3")
    assert opened.filename.endswith(f"_102.{wanted}")
    assert opened.media_type == MEDIA_TYPES[wanted]  # type: ignore[index]
    heard = hear(opened.path)
    assert (dominant_tone(heard.left), dominant_tone(heard.right)) == (AGENT, CUSTOMER)
    assert list(sound.folders.drafts.iterdir()) == []


async def test_what_is_not_there_is_told_apart_only_for_the_tenants_own_ids(
    sound: SoundStore, playback: Playback
) -> None:
    ready, waiting, live = await _ready(sound), sound.add(SOUND), sound.add(SOUND, state="recording")
    failed = await _ready(sound, b"")
    unknown = mint(KEYS, TENANT, "call_of_another_database", "x.raw")
    for recording_id in (waiting, live):
        with pytest.raises(RecordingNotReady) as fault:
            await playback.open(TENANT, recording_id)
        assert fault.value.retry_after
    with pytest.raises(RecordingNotFound, match="nobody spoke"):
        await playback.open(TENANT, failed)
    with pytest.raises(RecordingNotFound):
        await playback.open(TENANT, unknown)
    refusals = set()
    for tenant_id, recording_id in [("other", ready), ("other", unknown), (TENANT, ready[:-1]), (TENANT, "rec_forged")]:
        with pytest.raises(RecordingIdUndecodable) as refused:
            await playback.open(tenant_id, recording_id)
        refusals.add((refused.value.detail, refused.value.param))
    assert len(refusals) == 1
    with pytest.raises(InvalidRequest, match="mp3, wav, ogg"):
        await playback.open(TENANT, ready, "flac")


async def test_a_recording_whose_time_is_up_is_deleted_even_before_its_file_is(
    sound: SoundStore, playback: Playback
) -> None:
    made = await _ready(sound)
    sound.let_time_pass(made)
    with pytest.raises(RecordingDeleted):
        await playback.open(TENANT, made)
    with pytest.raises(RecordingDeleted):
        await playback.load_bytes(TENANT, made)


async def test_a_file_that_somebody_removed_or_damaged_is_a_clear_error(sound: SoundStore, playback: Playback) -> None:
    made = await _ready(sound)
    sound.file(made).write_bytes(b"damaged")
    with pytest.raises(ConversionFailed):
        await playback.open(TENANT, made, "wav")
    sound.file(made).unlink()
    with pytest.raises(RecordingNotFound):
        await playback.open(TENANT, made)

"""Conversion of sound: the right tone on the right side, in every format."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tones import LOUD, dominant_tone, hear, stereo, tone_level
from vonal.calls.converter import ConversionFailed, Converter, ConverterDied
from vonal.calls.sound import Job, convert, encode
from vonal.domain.sound import FORMATS, Format

AGENT, CUSTOMER = 440, 880


def _job(folder: Path, source: Path, format_: Format, *, swap: bool = False) -> Job:
    return Job(
        source=str(source),
        target=str(folder / "done" / f"it.{format_}"),
        draft=str(folder / "drafts" / f"it.{format_}"),
        format=format_,
        swap=swap,
    )


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("first", ["agent", "customer"])
def test_the_agent_is_left_and_the_customer_right(tmp_path: Path, format_: Format, first: str) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(CUSTOMER, AGENT, 3) if first == "customer" else stereo(AGENT, CUSTOMER, 3))
    job = _job(tmp_path, raw, format_, swap=first == "customer")
    done = convert(job)
    heard = hear(Path(job.target))
    assert (dominant_tone(heard.left), dominant_tone(heard.right)) == (AGENT, CUSTOMER)
    assert tone_level(heard.left, CUSTOMER) < LOUD / 50
    assert tone_level(heard.right, AGENT) < LOUD / 50
    assert done.duration_s == 3.0
    assert len(heard.left) == pytest.approx(3 * heard.rate, rel=0.05)
    assert done.size_bytes == Path(job.target).stat().st_size


@pytest.mark.parametrize("format_", FORMATS)
def test_one_silent_side_stays_silent(tmp_path: Path, format_: Format) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(AGENT, 0, 2))
    job = _job(tmp_path, raw, format_)
    convert(job)
    heard = hear(Path(job.target))
    assert dominant_tone(heard.left) == AGENT
    assert max(tone_level(heard.right, hz) for hz in (AGENT, CUSTOMER)) < LOUD / 50


@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_file_cut_in_the_middle_of_a_sample_is_whole_up_to_the_cut(tmp_path: Path, format_: Format, cut: int) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(AGENT, CUSTOMER, 1.5) + b"\x7f" * cut)
    job = _job(tmp_path, raw, format_)
    assert convert(job).duration_s == 1.5
    heard = hear(Path(job.target))
    assert (dominant_tone(heard.left), dominant_tone(heard.right)) == (AGENT, CUSTOMER)


@pytest.mark.parametrize("format_", FORMATS)
def test_doing_it_again_makes_the_same_bytes(tmp_path: Path, format_: Format) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(AGENT, CUSTOMER, 1))
    assert convert(_job(tmp_path / "one", raw, format_)) == convert(_job(tmp_path / "two", raw, format_))


@pytest.mark.parametrize("wanted", FORMATS)
@pytest.mark.parametrize("kept", FORMATS)
def test_a_finished_file_can_be_had_in_another_format(tmp_path: Path, kept: Format, wanted: Format) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(AGENT, CUSTOMER, 2))
    first = _job(tmp_path / "first", raw, kept)
    convert(first)
    second = _job(tmp_path / "second", Path(first.target), wanted)
    assert convert(second).duration_s == pytest.approx(2.0, abs=0.15)
    heard = hear(Path(second.target))
    assert (dominant_tone(heard.left), dominant_tone(heard.right)) == (AGENT, CUSTOMER)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_full_disk_is_an_error_and_not_a_short_file(format_: Format) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [stereo(AGENT, CUSTOMER, 1)] * 60

    with pytest.raises(OSError, match="No space left") as fault, Path("/dev/full").open("r+b", buffering=0) as full:
        encode(pieces(), full, format_)
    assert fault.value.errno == errno.ENOSPC


async def test_what_cannot_be_read_is_told_and_the_converter_goes_on(tmp_path: Path) -> None:
    noise, raw = tmp_path / "noise.mp3", tmp_path / "x.raw"
    noise.write_bytes(b"no sound at all")
    raw.write_bytes(stereo(AGENT, CUSTOMER, 1))
    async with Converter() as converter:
        for source in (tmp_path / "nowhere.raw", noise):
            with pytest.raises(ConversionFailed):
                await converter.convert(_job(tmp_path, source, "wav"))
        assert len(converter.pids) == 1
        assert (await converter.convert(_job(tmp_path, raw, "wav"))).duration_s == 1.0
    assert not any((tmp_path / "drafts").iterdir())


async def test_a_converter_that_dies_is_told_and_replaced(tmp_path: Path) -> None:
    raw = tmp_path / "x.raw"
    raw.write_bytes(stereo(AGENT, CUSTOMER, 1))
    async with Converter() as converter:
        with pytest.raises(ConverterDied):
            # A job that its process cannot understand ends it, as a crash in a codec would.
            await converter.convert(_job(tmp_path, raw, "flac"))  # type: ignore[arg-type]
        assert converter.pids == []
        assert (await converter.convert(_job(tmp_path, raw, "ogg"))).duration_s == 1.0

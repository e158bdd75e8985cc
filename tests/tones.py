"""Sounds whose content is known, and how to hear it again: tones, measured by Goertzel's algorithm."""

import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import av

RATE = 8000
LOUD = 10_000  # amplitude of a tone that `stereo` makes


class Heard(NamedTuple):
    """A sound's two sides, as signed 16-bit samples."""

    left: Sequence[int]
    right: Sequence[int]
    rate: int


def stereo(left_hz: float, right_hz: float, seconds: float, *, rate: int = RATE) -> bytes:
    """Raw stereo as MixMonitor writes it, a tone on each side (0 Hz: silence)."""
    both = array("h")
    for n in range(int(seconds * rate)):
        both.append(round(LOUD * math.sin(2 * math.pi * left_hz * n / rate)))
        both.append(round(LOUD * math.sin(2 * math.pi * right_hz * n / rate)))
    return both.tobytes()


def hear(path: Path) -> Heard:
    """Reads a sound file; one whose name ends in `.raw` as MixMonitor's."""
    both = array("h")
    if path.suffix == ".raw":
        content = path.read_bytes()
        both.frombytes(content[: len(content) // 4 * 4])
        return Heard(both[0::2], both[1::2], RATE)
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].channels == 2
        for decoded in (*container.decode(audio=0), None):
            for frame in resampler.resample(decoded):
                both.frombytes(bytes(frame.planes[0])[: frame.samples * 4])
    return Heard(both[0::2], both[1::2], RATE)


def tone_level(samples: Sequence[int], hz: float, rate: int = RATE) -> float:
    """The amplitude of the tone in the samples: 10,000 for one of that loudness all the time, about 0 for none."""
    factor = 2 * math.cos(2 * math.pi * hz / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = last * last + before * before - factor * last * before
    return 2 * math.sqrt(max(power, 0.0)) / max(len(samples), 1)


def dominant_tone(samples: Sequence[int], rate: int = RATE, among: Iterable[int] = range(200, 2000, 20)) -> int | None:
    """The loudest tone of the sound's middle half second, in Hz, if it holds at least half of the energy there."""
    samples = samples[max(len(samples) - rate // 2, 0) // 2 :][: rate // 2]
    energy = sum(sample * sample for sample in samples) / max(len(samples), 1)
    levels = {hz: tone_level(samples, hz, rate) for hz in among}
    loudest = max(levels, key=levels.__getitem__)
    return loudest if energy and levels[loudest] ** 2 / 2 >= energy / 2 else None

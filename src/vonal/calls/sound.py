"""Sound files: raw stereo from Asterisk becomes mp3, wav or ogg (PyAV), a piece at a time, however long it is.

Run as a program (`python -m vonal.calls.sound`) it converts what it is told on stdin, one JSON job a line, and answers
on stdout; `vonal.calls.converter` holds such processes. It ends when stdin does, so it never outlives the service.
"""

import hashlib
import io
import os
import sys
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import msgspec
from msgspec import Struct

from vonal.domain.sound import Format
from vonal.files import sync_folder

RATE = 8000  # Hz; what MixMonitor writes for ulaw, alaw and gsm calls
FRAME_BYTES = 4  # two channels of signed 16 bits
_PIECE = 4 * RATE  # bytes: one second
_NICENESS = 5  # calls and webhooks come first, but on a busy machine a recording must not wait for minutes

# Measured per minute of sound: mp3 0.3 s, ogg 0.3 s, wav 0.02 s of CPU. LAME without joint stereo is faster by a sixth
# and keeps the parties apart; at level 7 it takes 40 % less than at its default, with the tones as clean.
_ENCODERS: dict[Format, tuple[str, int | None, dict[str, str]]] = {
    "mp3": ("libmp3lame", 48_000, {"compression_level": "7", "joint_stereo": "0"}),
    "ogg": ("libopus", 32_000, {}),
    "wav": ("pcm_s16le", None, {}),
}


class Job(Struct, frozen=True, kw_only=True):
    """Make `target` from `source` (raw when its name ends so). `draft`: where it is written before it is whole."""

    source: str
    target: str
    draft: str
    format: Format
    swap: bool = False


class Sound(Struct, frozen=True, kw_only=True, tag="done"):
    """A finished file."""

    size_bytes: int
    sha256: str
    duration_s: float


class Trouble(Struct, frozen=True, kw_only=True, tag="failed"):
    """Why there is none; `errno` of the operating system when it said so."""

    message: str
    errno: int | None = None


def convert(job: Job) -> Sound:
    """Does the job; `target` appears whole and durable, or not at all. The same source makes the same bytes.

    `swap` exchanges left and right. An incomplete last frame of a raw file (cut by a kill) is left out. Raises OSError
    when a file cannot be read or written.
    """
    draft, target = Path(job.draft), Path(job.target)
    _make_folder(draft.parent)
    try:
        with draft.open("w+b") as file:
            samples = encode(_pieces(Path(job.source), swap=job.swap), file, job.format)
            os.fsync(file.fileno())
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        _make_folder(target.parent)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(target.parent)
    return Sound(size_bytes=size, sha256=digest, duration_s=round(samples / RATE, 3))


def encode(pieces: Iterator[bytes], file: BinaryIO, format_: Format) -> int:
    """Encodes pieces of interleaved 16-bit stereo into `file`; returns the number of samples of each channel.

    Raises OSError when `file` cannot be written.
    """
    codec, bit_rate, options = _ENCODERS[format_]
    samples, output = 0, _Output(file)
    # bitexact: no encoder names and no random stream numbers, so that doing it again makes the same file.
    with av.open(output, "w", format=format_, options={"fflags": "+bitexact"}) as container:
        stream = cast("av.AudioStream", container.add_stream(codec, rate=RATE, layout="stereo", options=options))
        if bit_rate:
            stream.bit_rate = bit_rate
        for piece in pieces:
            frame = av.AudioFrame(format="s16", layout="stereo", samples=len(piece) // FRAME_BYTES)
            frame.sample_rate, frame.pts = RATE, samples
            frame.planes[0].update(piece)
            samples += frame.samples
            container.mux(stream.encode(frame))
            output.check()
        container.mux(stream.encode(None))
    output.check()
    file.flush()
    return samples


class _Output:
    """The file as PyAV sees it. The first error is kept for `check`: PyAV would wrap it, or drop it while closing."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fault: OSError | None = None

    def write(self, content: bytes) -> int:
        """Pretends to have written when it cannot."""
        return self._kept(lambda: self._file.write(content)) or len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of a file."""
        return self._kept(lambda: self._file.seek(offset, whence)) or 0

    def tell(self) -> int:
        """As of a file."""
        return self._kept(self._file.tell) or 0

    def check(self) -> None:
        """Raises what went wrong so far."""
        if self._fault is not None:
            raise self._fault

    def _kept(self, work: Callable[[], int]) -> int | None:
        if self._fault is None:
            try:
                return work()
            except OSError as fault:
                self._fault = fault
        return None


def _pieces(source: Path, *, swap: bool) -> Iterator[bytes]:
    pieces = _raw_pieces(source) if source.suffix == ".raw" else _decoded_pieces(source)
    return map(_swapped, pieces) if swap else pieces


def _raw_pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            if whole := len(piece) - len(piece) % FRAME_BYTES:
                yield piece[:whole]


def _decoded_pieces(source: Path) -> Iterator[bytes]:
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=RATE)
    with av.open(str(source)) as container:
        for decoded in _frames(container):
            for frame in resampler.resample(decoded):
                yield bytes(frame.planes[0])[: frame.samples * FRAME_BYTES]


def _frames(container: Any) -> Iterator[Any]:
    yield from container.decode(audio=0)
    yield None  # flushes the resampler


def _swapped(piece: bytes) -> bytes:
    samples = array("h", piece)
    samples[0::2], samples[1::2] = samples[1::2], samples[0::2]
    return samples.tobytes()


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def main() -> None:
    """Works jobs off until stdin ends."""
    os.nice(_NICENESS)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(msgspec.json.encode(_answer(msgspec.json.decode(line, type=Job))) + b"\n")
        sys.stdout.buffer.flush()


def _answer(job: Job) -> Sound | Trouble:
    try:
        return convert(job)
    except (OSError, av.FFmpegError) as fault:
        return Trouble(message=fault.strerror or str(fault), errno=fault.errno)


if __name__ == "__main__":
    main()

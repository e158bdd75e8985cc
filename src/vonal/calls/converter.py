"""Processes that convert sound, beside the service's own: an hour of mp3 is 18 s of CPU, which must delay no webhook.

Measured in a thread of the service instead: the event loop's p99 delay went from 0.7 to 3.5 ms, with peaks of 38 ms.
"""

import asyncio
import sys
from types import TracebackType
from typing import Self

import msgspec

from vonal.calls.sound import Job, Sound, Trouble
from vonal.domain.errors import VonalError


class ConversionFailed(VonalError):
    """A file cannot be read or written: `detail` is the operating system's or the decoder's reason."""

    title = "The sound cannot be converted now"
    retryable = True


class ConverterDied(ConversionFailed):
    """The converting process ended in the middle of a job."""


class Converter:
    """Converts up to `lanes` files at a time; each lane's process starts when it is first needed. Close it."""

    def __init__(self, lanes: int = 1) -> None:
        self._lanes = asyncio.Semaphore(lanes)
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def pids(self) -> list[int]:
        """The process ids of the running lanes."""
        return [one.pid for one in self._all]

    async def convert(self, job: Job) -> Sound:
        """Does the job. Raises ConversionFailed; its subclass ConverterDied when the process died over it."""
        async with self._lanes:
            process = self._idle.pop() if self._idle else await self._start()
            try:
                answer = await _ask(process, job)
            except BaseException:
                await self._end(process)  # half-way through, or dead: of no use to the next job
                raise
            self._idle.append(process)
        if isinstance(answer, Trouble):
            raise ConversionFailed(answer.message)
        return answer

    async def close(self) -> None:
        """Ends the processes; a job in progress is cut and leaves at most its draft behind."""
        self._idle.clear()
        await asyncio.gather(*(self._end(one) for one in list(self._all)))

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "vonal.calls.sound"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is the service's business, which ends us
        )
        self._all.add(process)
        return process

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        self._all.discard(process)
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ask(process: asyncio.subprocess.Process, job: Job) -> Sound | Trouble:
    assert process.stdin is not None  # noqa: S101 - pipes, as _start() asked
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        raise ConverterDied(f"converting {job.source} ended its process, exit code {await process.wait()}")
    return msgspec.json.decode(line, type=Sound | Trouble)

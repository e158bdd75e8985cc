"""`/api/v1/recording(s)`: a call's sound, whole or in parts (RFC 9110: Range, ETag, conditional requests)."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, BinaryIO, Literal
from urllib.parse import quote

import structlog
from litestar import Response
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Meta, Struct

from vonal.api.errors import answer_to, request_id_of
from vonal.api.operation import Answers, Asked, Operation
from vonal.api.services import Services
from vonal.calls.converter import ConversionFailed
from vonal.calls.playback import Opened
from vonal.domain.errors import (
    MissingParameter,
    RangeNotSatisfiable,
    RecordingDeleted,
    RecordingIdUndecodable,
    RecordingNotFound,
    RecordingNotReady,
)
from vonal.domain.ranges import ByteRange, parse_range
from vonal.domain.sound import MEDIA_TYPES

log = structlog.get_logger(__name__)

CHUNK = 131_072  # bytes


class RecordingParameters(Struct, frozen=True, kw_only=True):
    """Which recording."""

    id: Annotated[
        str, Meta(min_length=1, max_length=512, description="The opaque id, `rec_…`, as it stands in events.")
    ]
    format: Annotated[Literal["mp3", "wav", "ogg"], Meta(description="Default: as the recording was kept.")] | None = (
        None
    )


async def recording(services: Services, asked: Asked) -> ASGIApp | Response[bytes]:
    """The sound."""
    wanted: RecordingParameters = asked.parameters
    sound = await _sound(services, asked.tenant_id, wanted)
    headers = asked.request.headers
    common = _headers(sound)
    if _matches(headers.get("if-none-match"), sound.etag):
        return Response(content=b"", status_code=304, headers=common)
    try:
        file = await asyncio.to_thread(_opened, sound.path)
    except FileNotFoundError:  # deleted since it was found
        raise RecordingDeleted("The recording was deleted.") from None
    size = os.fstat(file.fileno()).st_size
    try:
        part = parse_range(_range(headers.get("range"), headers.get("if-range"), sound.etag), size)
    except RangeNotSatisfiable as fault:
        file.close()
        beyond = {"Content-Range": f"bytes */{size}"}
        return answer_to(fault, request_id_of(asked.request.scope), headers=beyond)
    return _FileAnswer(file, sound.media_type, common, size=size, part=part, head=asked.request.method == "HEAD")


async def _sound(services: Services, tenant_id: str, wanted: RecordingParameters) -> Opened:
    try:
        return await services.open_recording(tenant_id, wanted.id, wanted.format)
    except ConversionFailed as fault:
        log.warning("recording_not_converted", recording=wanted.id, format=wanted.format, reason=fault.detail)
        raise RecordingNotReady("The recording cannot be converted at this moment.", retry_after=60) from fault


class _FileAnswer:
    """Sends an open file, or a part of it, and closes it, whatever happens."""

    def __init__(
        self, file: BinaryIO, media_type: str, headers: dict[str, str], *, size: int, part: ByteRange | None, head: bool
    ) -> None:
        self._file = file
        self._head = head
        self._first = part.first if part else 0
        self._length = part.length if part else size
        self._media_type = media_type
        self._status = 206 if part else 200
        self._headers = {**headers, "Content-Length": str(self._length)}
        if part:
            self._headers["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        with self._file:
            answer = ASGIStreamingResponse(
                iterator=self._chunks(),
                media_type=self._media_type,
                status_code=self._status,
                headers=self._headers,
            )
            await answer(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        left = 0 if self._head else self._length
        await asyncio.to_thread(self._file.seek, self._first)
        while left and (chunk := await asyncio.to_thread(self._file.read, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _headers(sound: Opened) -> dict[str, str]:
    plain = sound.filename.encode("ascii", "replace").decode().replace('"', "").replace("\\", "")
    return {
        "ETag": f'"{sound.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(sound.filename, safe='')}",
    }


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in tags or f'"{etag}"' in tags


def _range(header: str | None, only_if: str | None, etag: str) -> str | None:
    return header if only_if is None or only_if.strip() == f'"{etag}"' else None


_SOUND = {"ETag": "The sound's SHA-256.", "Content-Disposition": "Names the file."}
_ANSWERS = {
    200: Answers(description="The sound.", media_types=tuple(MEDIA_TYPES.values()), headers=_SOUND),
    206: Answers(description="The part asked for by `Range`.", media_types=tuple(MEDIA_TYPES.values()), headers=_SOUND),
    304: Answers(description="Unchanged since the `ETag` in `If-None-Match`.", media_types=()),
}
_ERRORS = (
    RecordingIdUndecodable,
    RecordingNotFound,
    RecordingNotReady,
    RecordingDeleted,
    RangeNotSatisfiable,
)
_HEADERS = {"Range": "Part of the sound, such as `bytes=0-65535`.", "If-None-Match": "An `ETag` got before."}

OPERATIONS = (
    Operation(
        name="getRecording",
        methods=("GET", "HEAD"),
        path="/api/v1/recordings/{id}",
        summary="A call's sound",
        scope="recording",
        handler=recording,
        parameters=RecordingParameters,
        headers=_HEADERS,
        answers=_ANSWERS,
        errors=_ERRORS,
    ),
    Operation(
        name="getRecordingByParameter",
        methods=("GET", "HEAD"),
        path="/api/v1/recording",
        summary="A call's sound, its id as a parameter",
        scope="recording",
        handler=recording,
        parameters=RecordingParameters,
        headers=_HEADERS,
        answers=_ANSWERS,
        errors=(MissingParameter, *_ERRORS),
    ),
)

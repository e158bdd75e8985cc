"""Sends a file, whole or in part, to whoever may have it (RFC 9110: Range, ETag, conditional requests)."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from litestar import Request, Response
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from vonal.domain.errors import RangeNotSatisfiable, VonalError
from vonal.domain.ranges import ByteRange, parse_range

CHUNK = 131_072  # bytes
Beyond = Callable[[VonalError, dict[str, str]], Response[bytes]]


class Sent(Struct, frozen=True, kw_only=True):
    """What is sent. `etag`: without quotes; `more`: headers beside those of the file."""

    path: Path
    etag: str
    filename: str
    media_type: str
    attached: bool = True  # to be saved, not shown
    more: dict[str, str] = {}


async def answer(request: Request[Any, Any, Any], sent: Sent, *, beyond: Beyond) -> ASGIApp | Response[bytes]:
    """The answer; `beyond` makes that to a range outside of the file. Raises FileNotFoundError."""
    headers, common = request.headers, _headers(sent)
    if _matches(headers.get("if-none-match"), sent.etag):
        return Response(content=b"", status_code=304, headers=common)
    file = await asyncio.to_thread(_opened, sent.path)
    size = os.fstat(file.fileno()).st_size
    try:
        part = parse_range(_range(headers.get("range"), headers.get("if-range"), sent.etag), size)
    except RangeNotSatisfiable as fault:
        file.close()
        return beyond(fault, {"Content-Range": f"bytes */{size}"})
    return _FileAnswer(file, sent.media_type, common, size=size, part=part, head=request.method == "HEAD")


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
            sending = ASGIStreamingResponse(
                iterator=self._chunks(),
                media_type=self._media_type,
                status_code=self._status,
                headers=self._headers,
            )
            await sending(scope, receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        left = 0 if self._head else self._length
        await asyncio.to_thread(self._file.seek, self._first)
        while left and (chunk := await asyncio.to_thread(self._file.read, min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def _headers(sent: Sent) -> dict[str, str]:
    plain = sent.filename.encode("ascii", "replace").decode().replace('"', "").replace("\\", "")
    kind = "attachment" if sent.attached else "inline"
    return {
        "ETag": f'"{sent.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(sent.filename, safe='')}",
        **sent.more,
    }


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in tags or f'"{etag}"' in tags


def _range(header: str | None, only_if: str | None, etag: str) -> str | None:
    return header if only_if is None or only_if.strip() == f'"{etag}"' else None

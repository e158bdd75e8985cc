"""`/api/v1/recording(s)`: a call's sound, whole or in parts (RFC 9110: Range, ETag, conditional requests)."""

from typing import Annotated, Literal

import structlog
from litestar import Response
from litestar.types import ASGIApp
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
from vonal.domain.sound import MEDIA_TYPES
from vonal.file_answer import Sent, answer

log = structlog.get_logger(__name__)


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
    sent = Sent(path=sound.path, etag=sound.etag, filename=sound.filename, media_type=sound.media_type)
    request_id = request_id_of(asked.request.scope)
    try:
        return await answer(
            asked.request, sent, beyond=lambda fault, headers: answer_to(fault, request_id, headers=headers)
        )
    except FileNotFoundError:  # deleted since it was found
        raise RecordingDeleted("The recording was deleted.") from None


async def _sound(services: Services, tenant_id: str, wanted: RecordingParameters) -> Opened:
    try:
        return await services.open_recording(tenant_id, wanted.id, wanted.format)
    except ConversionFailed as fault:
        log.warning("recording_not_converted", recording=wanted.id, format=wanted.format, reason=fault.detail)
        raise RecordingNotReady("The recording cannot be converted at this moment.", retry_after=60) from fault


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

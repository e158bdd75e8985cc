"""`/api/v1/click-to-call`: the extension rings first; when it is answered, the number is dialled."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response
from msgspec import Meta, Struct, field

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.parameters import into
from vonal.api.services import Services
from vonal.calls.originate import Click, Started
from vonal.calls.progress import Progress, Stage, reached
from vonal.domain.errors import (
    AgentBusy,
    AgentOffline,
    CallerIdForbidden,
    DestinationForbidden,
    ExtensionNotFound,
    IdempotencyConflict,
    InvalidExtension,
    InvalidNumber,
    InvalidRequest,
    MissingParameter,
    OriginateFailed,
    RateLimited,
    TelephonyUnavailable,
    WaitTimeout,
)
from vonal.store import calls

MAX_CUSTOM = 4096  # bytes of JSON
HEADER = "Idempotency-Key"


class ClickParameters(Struct, frozen=True, kw_only=True):
    """What to call, and how."""

    extension: Annotated[
        str, Meta(pattern="^ *[0-9]{2,6} *$", description="The agent's extension: it rings first.", examples=["101"])
    ]
    number: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=64,
            description="Whom to call: E.164, a national number of the tenant's country, or another extension.",
            examples=["+36301234567"],
        ),
    ]
    caller_id: (
        Annotated[
            str,
            Meta(max_length=64, description="The number to show; one of the tenant's own. Default: its usual one."),
        ]
        | None
    ) = None
    ring_timeout: Annotated[int, Meta(ge=5, le=120, description="How long the agent's phone rings, in seconds.")] = 30
    auto_answer: Annotated[bool, Meta(description="Ask the agent's phone to pick up by itself.")] = False
    record: (
        Annotated[bool, Meta(description="Record this call, or do not. Default: the tenant's recording policy.")] | None
    ) = None
    external_id: (
        Annotated[str, Meta(max_length=64, description="The CRM's own id; comes back in every event of the call.")]
        | None
    ) = None
    custom: Annotated[
        dict[str, Any],
        Meta(description="A JSON object of at most 4 kB; comes back in every event of the call."),
    ] = field(default_factory=dict)
    wait: Annotated[
        Literal["none", "agent", "connected"],
        Meta(
            description="Answer at once, when the agent has answered (or has not), or when both are talking (or not)."
        ),
    ] = "none"
    wait_timeout: Annotated[int, Meta(ge=1, le=60, description="How long to wait at most, in seconds.")] = 60
    idempotency_key: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=255,
                description=f"As the header {HEADER}: the same key within 24 h is the same call.",
            ),
        ]
        | None
    ) = None


class ClickAnswer(Struct, frozen=True, kw_only=True):
    """The agent's phone is ringing. `number` is E.164 (null for an extension), `dialled` what will be dialled."""

    call_id: str
    status: Literal["ringing_agent"]
    extension: str
    number: str | None
    dialled: str
    caller_id: str | None
    external_id: str | None


async def click_to_call(services: Services, asked: Asked) -> Response[bytes]:
    """Makes the agent's phone ring; with `wait`, tells what came of it."""
    wanted: ClickParameters = asked.parameters
    if services.draining():
        raise TelephonyUnavailable("The service is being stopped. Try again in a few seconds.", retry_after=5)
    if len(msgspec.json.encode(wanted.custom)) > MAX_CUSTOM:
        raise InvalidRequest(f"custom may have at most {MAX_CUSTOM} bytes.", param="custom")
    credential = f"{asked.principal.kind}/{asked.principal.name}"
    started = await services.originator.start(
        asked.tenant_id, _click(wanted), credential=credential, key=_key(asked, wanted)
    )
    headers = {"Idempotency-Replayed": "true"} if started.replayed else None
    if wanted.wait == "none":
        return json_answer(_answer(started), status=202, headers=headers)
    return json_answer(await _outcome(services, asked, started, wanted.wait), headers=headers)


async def _outcome(services: Services, asked: Asked, started: Started, stage: Stage) -> Progress:
    async def current() -> Any:
        return await services.db.read(lambda tx: calls.find(asked.tenant_id, tx, started.call_id))

    try:
        return await services.waiters.until(
            started.call_id,
            lambda call: reached(call, stage),
            current=current,
            seconds=asked.parameters.wait_timeout,
        )
    except TimeoutError:
        raise WaitTimeout(f"The call {started.call_id} goes on; its events tell the rest.") from None


def _click(wanted: ClickParameters) -> Click:
    return Click(
        extension=wanted.extension.strip(),
        number=wanted.number.strip(),
        caller_id=wanted.caller_id,
        ring_timeout=wanted.ring_timeout,
        auto_answer=wanted.auto_answer,
        record=wanted.record,
        external_id=wanted.external_id,
        custom=wanted.custom,
    )


def _key(asked: Asked, wanted: ClickParameters) -> str | None:
    header = asked.request.headers.get(HEADER)
    if header and wanted.idempotency_key and header != wanted.idempotency_key:
        raise InvalidRequest("idempotency_key is given twice, with different values.", param="idempotency_key")
    if header and not wanted.idempotency_key:
        return into(_KeyOnly, {"idempotency_key": header}).idempotency_key
    return wanted.idempotency_key


class _KeyOnly(Struct):
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=255)]


def _answer(started: Started) -> ClickAnswer:
    plan = started.plan
    return ClickAnswer(
        call_id=started.call_id,
        status="ringing_agent",
        extension=plan.extension.number,
        number=plan.destination.number,
        dialled=plan.destination.dial,
        caller_id=plan.caller_id,
        external_id=plan.click.external_id,
    )


OPERATIONS = (
    Operation(
        name="clickToCall",
        methods=("GET", "POST"),
        path="/api/v1/click-to-call",
        summary="Call a number for an agent",
        description="The extension rings first; when it is answered, the number is dialled and the two are joined, "
        "exactly as if the agent had dialled it. No error means that the phone is ringing.",
        scope="call",
        handler=click_to_call,
        parameters=ClickParameters,
        headers={HEADER: "The same key within 24 hours is the same call, however often it is sent."},
        answers={
            200: Answers(description="With `wait`: what came of it.", body=Progress),
            202: Answers(description="The agent's phone is ringing.", body=ClickAnswer),
        },
        errors=(
            MissingParameter,
            InvalidExtension,
            InvalidNumber,
            DestinationForbidden,
            CallerIdForbidden,
            ExtensionNotFound,
            AgentOffline,
            AgentBusy,
            IdempotencyConflict,
            RateLimited,
            OriginateFailed,
            TelephonyUnavailable,
            WaitTimeout,
        ),
    ),
)

"""`/api/v1/calls`: the record of calls, and commands to those under way."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from litestar import Response
from msgspec import Meta, Struct, field

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.api.shapes import CallPage, CallRecord
from vonal.domain import numbers
from vonal.domain.call import Call, Direction, Disposition
from vonal.domain.errors import (
    CallAlreadyEnded,
    CallNotFound,
    DestinationForbidden,
    InvalidExtension,
    InvalidNumber,
    InvalidRequest,
    MissingParameter,
    TelephonyUnavailable,
    TransferNotPossible,
)
from vonal.domain.events import wire
from vonal.store import calls as store
from vonal.store.calls import CallFilter

CURSOR = "^[0-9a-z._]{1,90}$"


class CallsParameters(Struct, frozen=True, kw_only=True):
    """Which calls."""

    after: Annotated[str, Meta(pattern=CURSOR, description="`next_cursor` of the page before.")] | None = None
    from_: (
        Annotated[datetime, Meta(description="Calls that started then or later; without a zone it is UTC.")] | None
    ) = field(name="from", default=None)
    until: Annotated[datetime, Meta(description="Calls that started before.")] | None = None
    direction: Direction | None = None
    extension: (
        Annotated[str, Meta(pattern="^[0-9]{2,6}$", description="Calls in which this extension took part.")] | None
    ) = None
    number: Annotated[str, Meta(min_length=1, max_length=64, description="Either end's number.")] | None = None
    disposition: Disposition | None = None
    has_recording: bool | None = None
    limit: Annotated[int, Meta(ge=1, le=500, description="Calls on a page.")] = 100


class CallParameters(Struct, frozen=True, kw_only=True):
    """Which call."""

    id: Annotated[str, Meta(description="The call's id, `call_…`.", examples=["call_aaaaaaaaaaaaaaaaaaaaaaaaaa"])]


class TransferParameters(Struct, frozen=True, kw_only=True):
    """Which call, and to whom."""

    id: Annotated[str, Meta(description="The call's id, `call_…`.", examples=["call_aaaaaaaaaaaaaaaaaaaaaaaaaa"])]
    to: Annotated[
        str,
        Meta(min_length=1, max_length=64, description="Another extension, or a number that may be called."),
    ]


class HangUpAnswer(Struct, frozen=True, kw_only=True):
    """The call is being ended; its events tell when it is over."""

    call_id: str
    status: Literal["hanging_up"]


class TransferAnswer(Struct, frozen=True, kw_only=True):
    """The agent is out of the call, which rings at `to`."""

    call_id: str
    status: Literal["transferring"]
    to: str


async def list_calls(services: Services, asked: Asked) -> Response[bytes]:
    """One page of calls, newest first."""
    wanted: CallsParameters = asked.parameters
    tenant = services.tenant(asked.tenant_id)
    number = (wanted.number and (numbers.read(wanted.number, tenant.country) if tenant else None)) or wanted.number
    only = CallFilter(
        from_=wanted.from_,
        until=wanted.until,
        direction=wanted.direction,
        disposition=wanted.disposition,
        extensions=(wanted.extension,) if wanted.extension else (),
        numbers=(number,) if number else (),
        has_recording=wanted.has_recording,
    )
    try:
        found, cursor = await services.db.read(
            lambda tx: store.listing(asked.tenant_id, tx, only, after=wanted.after, limit=wanted.limit)
        )
    except ValueError as fault:
        raise InvalidRequest("This cursor is none of ours.", param="after") from fault
    return json_answer({"items": [shown(services, call) for call in found], "next_cursor": cursor})


async def get_call(services: Services, asked: Asked) -> Response[bytes]:
    """One call, as it is now."""
    call = await services.control.find(asked.tenant_id, asked.parameters.id)
    return json_answer(shown(services, call))


async def hang_up(services: Services, asked: Asked) -> Response[bytes]:
    """Ends a call."""
    await services.control.hang_up(asked.tenant_id, asked.parameters.id)
    return json_answer(HangUpAnswer(call_id=asked.parameters.id, status="hanging_up"), status=202)


async def transfer(services: Services, asked: Asked) -> Response[bytes]:
    """Hands the agent's party over."""
    target = await services.control.transfer(asked.tenant_id, asked.parameters.id, to=asked.parameters.to.strip())
    answer = TransferAnswer(call_id=asked.parameters.id, status="transferring", to=target.dial)
    return json_answer(answer, status=202)


def shown(services: Services, call: Call) -> dict[str, Any]:
    """The call as on the wire, with addresses for the recordings that can be fetched."""
    data = wire(call, datetime.now(UTC) if call.state in ("requested", "live") else None)
    for one in data["recordings"]:
        if one["state"] == "ready":
            one["url"] = f"{services.base_url}/api/v1/recordings/{one['id']}"
    return data


OPERATIONS = (
    Operation(
        name="listCalls",
        methods=("GET",),
        path="/api/v1/calls",
        summary="Calls, newest first",
        scope="read",
        handler=list_calls,
        parameters=CallsParameters,
        answers={200: Answers(description="A page of calls.", body=CallPage)},
        errors=(InvalidExtension, InvalidNumber),
    ),
    Operation(
        name="getCall",
        methods=("GET",),
        path="/api/v1/calls/{id}",
        summary="One call",
        scope="read",
        handler=get_call,
        parameters=CallParameters,
        answers={200: Answers(description="The call as it is now.", body=CallRecord)},
        errors=(CallNotFound,),
    ),
    Operation(
        name="hangUp",
        methods=("DELETE",),
        path="/api/v1/calls/{id}",
        summary="Hang up",
        scope="call",
        handler=hang_up,
        parameters=CallParameters,
        answers={202: Answers(description="The call is being ended.", body=HangUpAnswer)},
        errors=(CallNotFound, CallAlreadyEnded, TelephonyUnavailable),
    ),
    Operation(
        name="transfer",
        methods=("POST",),
        path="/api/v1/calls/{id}/transfer",
        summary="Transfer",
        description="Blind transfer: whoever the agent is talking with rings at `to`, and the agent is free.",
        scope="call",
        handler=transfer,
        parameters=TransferParameters,
        answers={202: Answers(description="The call is on its way.", body=TransferAnswer)},
        errors=(
            MissingParameter,
            InvalidNumber,
            DestinationForbidden,
            CallNotFound,
            CallAlreadyEnded,
            TransferNotPossible,
            TelephonyUnavailable,
        ),
    ),
)

"""`/api/v1/deliveries`: what was sent to the tenant's webhooks, each attempt, and sending it again."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from litestar import Response
from msgspec import Meta, Struct

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.api.webhooks import changer
from vonal.delivery import replay as sending
from vonal.domain.delivery import State
from vonal.domain.errors import DeliveryNotFound, InvalidRequest
from vonal.store import deliveries as store
from vonal.store.deliveries import Delivery, DeliveryFilter


class DeliveriesParameters(Struct, frozen=True, kw_only=True):
    """Which deliveries."""

    after: Annotated[str, Meta(pattern="^[0-9]{1,18}$", description="`next_cursor` of the page before.")] | None = None
    webhook: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,63}$", description="The webhook's id.")] | None = None
    state: Annotated[State, Meta(description="What became of it.")] | None = None
    call: Annotated[str, Meta(pattern="^call_[a-z0-9]{1,58}$", description="The call's id.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=500, description="Deliveries on a page.")] = 100


class ReplayParameters(Struct, frozen=True, kw_only=True):
    """Which delivery."""

    id: Annotated[str, Meta(description="The delivery's id, `dlv_…`.", examples=["dlv_aaaaaaaaaaaaaaaaaaaaaaaaaa"])]


class DeliveryPage(Struct, frozen=True, kw_only=True):
    """Deliveries, newest first. `next_cursor` goes into `after`; null on the last page."""

    items: list[Delivery]
    next_cursor: str | None


async def list_deliveries(services: Services, asked: Asked) -> Response[bytes]:
    """One page of deliveries with their attempts."""
    wanted: DeliveriesParameters = asked.parameters
    only = DeliveryFilter(webhook=wanted.webhook, state=wanted.state, call=wanted.call)
    items, cursor = await services.db.read(
        lambda tx: store.listing(asked.tenant_id, tx, only, after=wanted.after, limit=wanted.limit)
    )
    return json_answer(DeliveryPage(items=items, next_cursor=cursor))


async def replay(services: Services, asked: Asked) -> Response[bytes]:
    """Owes a delivery again."""
    known = asked.parameters.id
    if not known.isascii() or not known.replace("_", "").isalnum():
        raise DeliveryNotFound("There is no delivery of this id.")
    again = partial(sending.again, asked.tenant_id, delivery_id=known, now=datetime.now(UTC), by=changer(asked))
    done = await services.db.write(again)
    return json_answer(done, status=202)


OPERATIONS = (
    Operation(
        name="listDeliveries",
        methods=("GET",),
        path="/api/v1/deliveries",
        summary="Deliveries to webhooks, with their attempts, newest first",
        scope="read",
        handler=list_deliveries,
        parameters=DeliveriesParameters,
        answers={200: Answers(description="A page of deliveries.", body=DeliveryPage)},
    ),
    Operation(
        name="replayDelivery",
        methods=("POST",),
        path="/api/v1/deliveries/{id}/replay",
        summary="Send a delivery again",
        description="Within 30 days, whatever became of it; the event's id stays the same.",
        scope="call",
        handler=replay,
        parameters=ReplayParameters,
        answers={202: Answers(description="It is to be sent again.", body=Delivery)},
        errors=(DeliveryNotFound, InvalidRequest),
    ),
)

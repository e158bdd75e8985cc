"""`/api/v1/webhooks/{id}/preview`, `/test` and `/replay`: what a webhook would get, gets now, and gets again."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import structlog
from litestar import Response
from msgspec import Meta, Struct, field

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.api.webhook_shapes import RangeReplayed
from vonal.api.webhooks import MAX_BODY, WRITING, Id, changer
from vonal.delivery import replay
from vonal.domain.delivery import State
from vonal.domain.errors import (
    CallNotFound,
    MissingParameter,
    RateLimited,
    ScopeMissing,
    WebhookNotFound,
    WebhookUrlRejected,
)
from vonal.webhooks.prepare import RequestNotMade
from vonal.webhooks.trial import Preview, Trial

log = structlog.get_logger(__name__)

Changes = (
    Annotated[dict[str, Any], Meta(description="Changes that are not stored: a JSON merge patch of the webhook.")]
    | None
)


class PreviewParameters(Struct, frozen=True, kw_only=True):
    """Of which webhook, call and event."""

    id: Id
    call: Annotated[str, Meta(pattern="^call_[a-z0-9]{1,58}$", description="Default: the latest that fits.")] | None = (
        None
    )
    event: Annotated[str, Meta(max_length=64, description="Default: the last that the webhook gets.")] | None = None
    webhook: Changes = None


class TestParameters(Struct, frozen=True, kw_only=True):
    """Which webhook."""

    id: Id
    webhook: Changes = None


class RangeParameters(Struct, frozen=True, kw_only=True):
    """Which of a webhook's deliveries."""

    id: Id
    from_: Annotated[datetime, Meta(description="Created then or later; at most 30 days ago.")] = field(name="from")
    until: Annotated[datetime, Meta(description="Created before; default: now.")] | None = None
    states: (
        Annotated[list[State], Meta(description="Default: all but `open`, and without live events that were dropped.")]
        | None
    ) = None


async def preview(services: Services, asked: Asked) -> Response[bytes]:
    """The request that is not sent."""
    wanted: PreviewParameters = asked.parameters
    may_write = all(asked.principal.may(scope) for scope in WRITING)
    if wanted.webhook and not may_write:
        raise ScopeMissing("A preview of changes needs the scopes that storing them needs.", param="webhook")
    draft = await services.webhooks.draft(asked.tenant_id, wanted.id, wanted.webhook)
    if draft.security.type == "encrypted" and not may_write:
        raise ScopeMissing("A preview of what is encrypted needs the scopes that storing it needs.")
    shown = await services.trials.preview(
        asked.tenant_id, draft, call=wanted.call, event=wanted.event, signed=may_write
    )
    return json_answer(shown)


async def test(services: Services, asked: Asked) -> Response[bytes]:
    """The one that is."""
    wanted: TestParameters = asked.parameters
    draft = await services.webhooks.draft(asked.tenant_id, wanted.id, wanted.webhook)
    services.test_limit.take(asked.tenant_id, now=services.steady())
    done = await services.trials.test(asked.tenant_id, draft, by=changer(asked))
    log.info(
        "webhook.tested", tenant=asked.tenant_id, webhook=wanted.id, by=str(changer(asked)), delivered=done.delivered
    )
    return json_answer(done)


async def replay_range(services: Services, asked: Asked) -> Response[bytes]:
    """Owes deliveries of a time again."""
    wanted: RangeParameters = asked.parameters
    now = datetime.now(UTC)
    states = tuple(wanted.states) if wanted.states is not None else None
    range_ = replay.wanted(wanted.id, wanted.from_, wanted.until or now, states, now=now)
    again = partial(replay.replay, services.db, asked.tenant_id, range_, now=now, by=changer(asked))
    replayed = await asyncio.to_thread(again)
    log.info("webhook.replayed", tenant=asked.tenant_id, webhook=wanted.id, by=str(changer(asked)), count=replayed)
    return json_answer(RangeReplayed(replayed=replayed), status=202)


OPERATIONS = (
    Operation(
        name="previewWebhook",
        methods=("POST",),
        path="/api/v1/webhooks/{id}/preview",
        summary="The exact request that a call would give, not sent",
        description="Made by the code that sends, with attempt 1 and the time now. `•••` stands for secrets, `masked` "
        "names them. Sound is left out: `inline_omitted` is `preview`. `sample`: no call fits, this one is made up. "
        "Changes, and signatures, are for credentials that may also store webhooks.",
        scope="read",
        handler=preview,
        parameters=PreviewParameters,
        max_body=MAX_BODY,
        answers={200: Answers(description="The request.", body=Preview)},
        errors=(WebhookNotFound, CallNotFound, RequestNotMade, WebhookUrlRejected),
    ),
    Operation(
        name="testWebhook",
        methods=("POST",),
        path="/api/v1/webhooks/{id}/test",
        summary="Send one `webhook.test` now",
        description="Once, and whatever the webhook is subscribed to; at most 10 a minute. It is in the delivery log.",
        scope=WRITING,
        handler=test,
        parameters=TestParameters,
        max_body=MAX_BODY,
        answers={200: Answers(description="What came of it, whatever it was.", body=Trial)},
        errors=(WebhookNotFound, RateLimited, RequestNotMade, WebhookUrlRejected),
    ),
    Operation(
        name="replayWebhook",
        methods=("POST",),
        path="/api/v1/webhooks/{id}/replay",
        summary="Send a webhook's deliveries of a time again",
        description="In order, the events' ids as they were; at most 100,000.",
        scope=WRITING,
        handler=replay_range,
        parameters=RangeParameters,
        answers={202: Answers(description="They are to be sent again.", body=RangeReplayed)},
        errors=(WebhookNotFound, MissingParameter),
    ),
)

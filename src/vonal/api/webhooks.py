"""`/api/v1/webhooks`: a tenant's webhooks, by its own machines. `vonal.directory.webhooks` does the work."""

from functools import partial
from typing import Annotated, Any

from litestar import Response
from msgspec import Meta, Struct, structs

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.api.webhook_shapes import RotationAnswer, WebhookBody, WebhookPage, WebhookPatch, WebhookShape
from vonal.directory.apply import DirectoryBusy
from vonal.directory.effect import NotInEffect
from vonal.directory.webhook_form import shown
from vonal.domain.audit import Actor, ActorKind
from vonal.domain.directory import SCOPES, Webhook
from vonal.domain.errors import (
    RotationUnderWay,
    VonalError,
    WebhookExists,
    WebhookLimitReached,
    WebhookNotFound,
    WebhookUrlRejected,
)
from vonal.store import webhook_health

# Who may set up a webhook gets to see, and to hear, all that it is sent.
WRITING = SCOPES
MAX_BODY = 262_144  # bytes: certificates may be in it
Id = Annotated[str, Meta(min_length=1, max_length=63, description="The webhook's id.", examples=["log"])]


class WebhooksParameters(Struct, frozen=True, kw_only=True):
    """Which webhooks."""

    after: Annotated[str, Meta(max_length=63, description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Webhooks on a page.")] = 100


class WebhookParameters(Struct, frozen=True, kw_only=True):
    """Which webhook."""

    id: Id


async def list_webhooks(services: Services, asked: Asked) -> Response[bytes]:
    """One page of webhooks with their health."""
    wanted: WebhooksParameters = asked.parameters
    found = [one for one in await services.webhooks.all(asked.tenant_id) if one.id > (wanted.after or "")]
    page, more = found[: wanted.limit], found[wanted.limit :]
    cursor = page[-1].id if more else None
    return json_answer({"items": await _told(services, asked, page), "next_cursor": cursor})


async def create_webhook(services: Services, asked: Asked) -> Response[bytes]:
    """Makes a webhook."""
    made = await services.webhooks.create(asked.tenant_id, asked.document, by=changer(asked))
    location = {"Location": f"/api/v1/webhooks/{made.id}"}
    return json_answer((await _told(services, asked, [made]))[0], status=201, headers=location)


async def get_webhook(services: Services, asked: Asked) -> Response[bytes]:
    """One webhook with its health."""
    return await _answer(services, asked, await services.webhooks.find(asked.tenant_id, asked.parameters.id))


async def put_webhook(services: Services, asked: Asked) -> Response[bytes]:
    """Makes a webhook anew."""
    put = await services.webhooks.replace(asked.tenant_id, asked.parameters.id, asked.document, by=changer(asked))
    return await _answer(services, asked, put)


async def patch_webhook(services: Services, asked: Asked) -> Response[bytes]:
    """Changes a part of a webhook."""
    patched = await services.webhooks.patch(asked.tenant_id, asked.parameters.id, asked.document, by=changer(asked))
    return await _answer(services, asked, patched)


async def delete_webhook(services: Services, asked: Asked) -> Response[bytes]:
    """Removes a webhook."""
    await services.webhooks.remove(asked.tenant_id, asked.parameters.id, by=changer(asked))
    return Response(content=b"", status_code=204)


async def rotate_key(services: Services, asked: Asked) -> Response[bytes]:
    """A new signing key beside the present one."""
    webhook, key = await services.webhooks.rotate(asked.tenant_id, asked.parameters.id, by=changer(asked))
    return json_answer({"key": key, "webhook": (await _told(services, asked, [webhook]))[0]})


async def finish_rotation(services: Services, asked: Asked) -> Response[bytes]:
    """The previous key signs no more."""
    done = await services.webhooks.finish_rotation(asked.tenant_id, asked.parameters.id, by=changer(asked))
    return await _answer(services, asked, done)


def changer(asked: Asked) -> Actor:
    """Who asks, for the audit log."""
    client = asked.request.client
    kind: ActorKind = "api_user" if asked.principal.kind == "user" else "api_key"
    return Actor(kind=kind, name=asked.principal.name, address=client.host if client else None)


async def _answer(services: Services, asked: Asked, webhook: Webhook) -> Response[bytes]:
    return json_answer((await _told(services, asked, [webhook]))[0])


async def _told(services: Services, asked: Asked, found: list[Webhook]) -> list[dict[str, Any]]:
    healths = await services.db.read(partial(webhook_health.of, asked.tenant_id, webhooks=found))
    return [{**shown(one), **structs.asdict(healths[one.id])} for one in found]


_WRITE_ERRORS: tuple[type[VonalError], ...] = (WebhookUrlRejected, DirectoryBusy, NotInEffect)
_ONE = {200: Answers(description="The webhook, and how it is doing.", body=WebhookShape)}

OPERATIONS = (
    Operation(
        name="listWebhooks",
        methods=("GET",),
        path="/api/v1/webhooks",
        summary="Webhooks, and how they are doing",
        scope="read",
        handler=list_webhooks,
        parameters=WebhooksParameters,
        answers={200: Answers(description="A page of webhooks.", body=WebhookPage)},
    ),
    Operation(
        name="createWebhook",
        methods=("POST",),
        path="/api/v1/webhooks",
        summary="Make a webhook",
        description="In effect when it is answered. Credentials stand in a header or in the query.",
        scope=WRITING,
        handler=create_webhook,
        document=WebhookBody,
        max_body=MAX_BODY,
        answers={201: Answers(description="It is in effect.", body=WebhookShape, headers={"Location": "Where it is."})},
        errors=(WebhookExists, WebhookLimitReached, WebhookNotFound, *_WRITE_ERRORS),
    ),
    Operation(
        name="getWebhook",
        methods=("GET",),
        path="/api/v1/webhooks/{id}",
        summary="One webhook, and how it is doing",
        scope="read",
        handler=get_webhook,
        parameters=WebhookParameters,
        answers=_ONE,
        errors=(WebhookNotFound,),
    ),
    Operation(
        name="replaceWebhook",
        methods=("PUT",),
        path="/api/v1/webhooks/{id}",
        summary="Make a webhook anew",
        description="What is not sent has its default again; `•••` in place of a secret keeps it.",
        scope=WRITING,
        handler=put_webhook,
        parameters=WebhookParameters,
        document=WebhookBody,
        max_body=MAX_BODY,
        answers=_ONE,
        errors=(WebhookNotFound, *_WRITE_ERRORS),
    ),
    Operation(
        name="changeWebhook",
        methods=("PATCH",),
        path="/api/v1/webhooks/{id}",
        summary="Change a part of a webhook",
        description="A JSON merge patch (RFC 7396): what is not sent stays, secrets too; null is the default again. "
        "With another `security.type`, `security` begins anew.",
        scope=WRITING,
        handler=patch_webhook,
        parameters=WebhookParameters,
        document=WebhookPatch,
        max_body=MAX_BODY,
        answers=_ONE,
        errors=(WebhookNotFound, *_WRITE_ERRORS),
    ),
    Operation(
        name="deleteWebhook",
        methods=("DELETE",),
        path="/api/v1/webhooks/{id}",
        summary="Remove a webhook",
        description="What it is still owed is dropped.",
        scope=WRITING,
        handler=delete_webhook,
        parameters=WebhookParameters,
        answers={204: Answers(description="It is no more.", media_types=())},
        errors=(WebhookNotFound, DirectoryBusy, NotInEffect),
    ),
    Operation(
        name="rotateWebhookKey",
        methods=("POST",),
        path="/api/v1/webhooks/{id}/rotate-key",
        summary="Give a webhook a new signing key",
        description="The present key signs beside it until `finish-rotation`, so no request is lost meanwhile.",
        scope=WRITING,
        handler=rotate_key,
        parameters=WebhookParameters,
        answers={200: Answers(description="The new key, shown this once.", body=RotationAnswer)},
        errors=(WebhookNotFound, RotationUnderWay, *_WRITE_ERRORS),
    ),
    Operation(
        name="finishWebhookRotation",
        methods=("POST",),
        path="/api/v1/webhooks/{id}/finish-rotation",
        summary="End the change of a webhook's signing key",
        description="From now on only the new key signs.",
        scope=WRITING,
        handler=finish_rotation,
        parameters=WebhookParameters,
        answers=_ONE,
        errors=(WebhookNotFound, *_WRITE_ERRORS),
    ),
)

"""Puts the API together: one route for each operation, with the same steps in front of every one."""

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import msgspec
from litestar import HttpMethod, Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ControllerRouterHandler

from vonal.api import (
    calls,
    click_to_call,
    deliveries,
    events,
    extensions,
    health,
    manifests,
    notices,
    recordings,
    webhook_trials,
    webhooks,
)
from vonal.api.authentication import principal_of
from vonal.api.edge import Edge
from vonal.api.errors import handle
from vonal.api.openapi import describe
from vonal.api.operation import Answers, Asked, Operation
from vonal.api.parameters import MAX_BODY, into, read
from vonal.api.services import Services
from vonal.domain.errors import VonalError

OPERATIONS: tuple[Operation, ...] = (
    *click_to_call.OPERATIONS,
    *calls.OPERATIONS,
    *extensions.OPERATIONS,
    *recordings.OPERATIONS,
    *deliveries.OPERATIONS,
    *notices.OPERATIONS,
    *events.OPERATIONS,
    *manifests.OPERATIONS,
    *webhooks.OPERATIONS,
    *webhook_trials.OPERATIONS,
    *health.OPERATIONS,
)


def create_app(
    services: Services,
    *,
    others: Sequence[ControllerRouterHandler] = (),
    for_people: Callable[[Request[Any, Any, Any], VonalError], Response[bytes] | None] = lambda *_: None,
) -> Edge:
    """The ASGI application. `others` are routes that are not the API's, such as the portal's.

    `for_people` makes a page of what failed, where a person has asked; None for a program.
    """
    operations = (*OPERATIONS, _openapi(services.base_url))
    litestar = Litestar(
        [*(_route(one, services) for one in operations), *others],
        exception_handlers={Exception: partial(handle, for_people=for_people)},
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BODY,
        debug=False,
    )
    return Edge(litestar, services.metrics)


def _route(operation: Operation, services: Services) -> HTTPRouteHandler:
    async def serve(request: Request[Any, Any, Any]) -> ASGIApp:
        if operation.scope is None:
            return await operation.handler(services, request)  # type: ignore[no-any-return]
        sent, document = await read(request, document=operation.document is not None)
        principal = await principal_of(request, sent, services.authenticator, scopes=operation.scopes)
        parameters = into(operation.parameters, {**sent, **request.path_params})
        asked = Asked(request=request, principal=principal, parameters=parameters, document=document)
        return await operation.handler(services, asked)  # type: ignore[no-any-return]

    path = re.sub(r"{(\w+)}", r"{\1:str}", operation.path)
    methods = [HttpMethod(method) for method in operation.methods]
    handler = HTTPRouteHandler(
        path, http_method=methods, name=operation.name, status_code=200, request_max_body_size=operation.max_body
    )
    return handler(serve)


def openapi(*, base_url: str) -> dict[str, Any]:
    """The OpenAPI of everything served."""
    return describe([*OPERATIONS, _openapi(base_url)], base_url=base_url)


def _openapi(base_url: str) -> Operation:
    async def answer(_services: Services, _request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(content=described(), media_type="application/json")

    @cache
    def described() -> bytes:
        return msgspec.json.encode(openapi(base_url=base_url))

    return Operation(
        name="openapi",
        methods=("GET",),
        path="/api/v1/openapi.json",
        summary="This description",
        scope=None,
        handler=answer,
        answers={200: Answers(description="OpenAPI 3.1.")},
    )

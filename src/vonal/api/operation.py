"""What an operation of the API is: from this one description come the route, its checks and its part of the OpenAPI."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from litestar import Request, Response
from litestar.types import ASGIApp
from msgspec import Struct

from vonal.api.parameters import MAX_BODY
from vonal.api.services import Services
from vonal.domain.directory import Scope
from vonal.domain.errors import VonalError
from vonal.domain.principal import Principal

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Nothing(Struct, frozen=True):
    """No parameters."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that may be served. `parameters` is of the operation's own type; `document` the JSON object sent."""

    request: Request[Any, Any, Any]
    principal: Principal
    parameters: Any
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def tenant_id(self) -> str:
        """Whose data the request is about."""
        return self.principal.tenant_id


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A good answer as the OpenAPI tells of it: JSON of the type `body`, and `media_types` of sound or text."""

    description: str
    body: Any = None
    media_types: tuple[str, ...] = ("application/json",)
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Services, Asked], Awaitable[ASGIApp | Response[bytes]]]
OpenHandler = Callable[[Services, Request[Any, Any, Any]], Awaitable[ASGIApp | Response[bytes]]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """`scope` None: open to everybody, and `handler` is an OpenHandler. Parameters named in `path` come from there.

    With a `document` the body is one JSON object of that shape, of up to `max_body` bytes, in place of parameters.
    """

    name: str
    methods: tuple[Method, ...]
    path: str
    summary: str
    description: str = ""
    scope: Scope | tuple[Scope, ...] | None
    handler: Any
    parameters: type[Struct] = Nothing
    document: type[Struct] | None = None
    max_body: int = MAX_BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[int, Answers]
    errors: tuple[type[VonalError], ...] = ()

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """What the credentials must hold, all of it."""
        if self.scope is None:
            return ()
        return self.scope if isinstance(self.scope, tuple) else (self.scope,)


def json_answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """`content` as JSON. Nothing here may be kept by caches: it is somebody's data, and changes by the second."""
    return Response(
        content=msgspec.json.encode(content),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )

"""Webhooks for the OpenAPI: as they are sent, changed and answered. What holds is checked by `vonal.directory`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from vonal.api.shapes import Time
from vonal.store.webhook_health import HealthState

Hidden = (
    Annotated[str, Meta(description="A secret: `•••` in answers. Sent back, `•••` stands for what is kept.")] | None
)
Security_ = Literal["none", "basic", "userpass_params", "api_key_header", "api_key_param", "hmac", "encrypted"]
Method_ = Literal["GET", "POST"]
Fields_ = Annotated[
    Literal["minimal", "standard", "full"] | list[str], Meta(description="Or a list of paths, such as `call.id`.")
]
RecordingKind = Literal["none", "reference", "inline"]
Dialect = Literal["native", "sipgate", "zammad", "placetel"]
Masks = dict[str, Literal["last4", "hash", "hide"]]
Direction_ = Literal["inbound", "outbound", "internal"]


class HmacShape(Struct, kw_only=True):
    """A signature beside another type."""

    key: Hidden = None
    previous_key: Hidden = None


class SecurityShape(Struct, kw_only=True):
    """How the webhook proves itself; which members there are depends on `type`."""

    type: Security_ = "none"
    user: str | None = None
    password: Hidden = None
    header: str | None = None
    param: str | None = None
    key: Hidden = None
    previous_key: Hidden = None
    hmac: HmacShape | None = None


class ScopeShape(Struct, kw_only=True):
    """Only calls of these; an empty list lets all through."""

    extensions: list[str] = []
    numbers: list[str] = []
    directions: list[Direction_] = []


class TlsShape(Struct, kw_only=True):
    """PEM texts."""

    ca: str | None = None
    certificate: str | None = None
    key: Hidden = None


class WebhookBody(Struct, kw_only=True):
    """A webhook as it is sent. What is left out, or null, has its default; without `id` one is made."""

    id: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")] | None = None
    url: Annotated[str, Meta(max_length=2048, examples=["https://crm.example/calls"])]
    method: Method_ | None = None
    encoding: Literal["json", "form"] | None = None
    events: Annotated[list[str], Meta(min_length=1, examples=[["call.completed"]])]
    params: dict[str, str] | None = None
    headers: dict[str, str] | None = None
    security: SecurityShape | None = None
    fields: Fields_ | None = None
    recording: RecordingKind | None = None
    timeout: Annotated[int, Meta(ge=1, le=30)] | None = None
    scope: ScopeShape | None = None
    dialect: Dialect | None = None
    mask: Masks | None = None
    tls: TlsShape | None = None
    enabled: bool | None = None


class WebhookPatch(Struct, kw_only=True):
    """A JSON merge patch (RFC 7396) of a webhook: what is left out stays, null is the default again."""

    url: Annotated[str, Meta(max_length=2048)] | None = None
    method: Method_ | None = None
    encoding: Literal["json", "form"] | None = None
    events: Annotated[list[str], Meta(min_length=1)] | None = None
    params: dict[str, str | None] | None = None
    headers: dict[str, str | None] | None = None
    security: dict[str, Any] | None = None
    fields: Fields_ | None = None
    recording: RecordingKind | None = None
    timeout: Annotated[int, Meta(ge=1, le=30)] | None = None
    scope: dict[str, Any] | None = None
    dialect: Dialect | None = None
    mask: dict[str, Any] | None = None
    tls: dict[str, Any] | None = None
    enabled: bool | None = None


class WebhookShape(Struct, kw_only=True):
    """A webhook and how it is doing.

    `params` and `headers` are shown as they are. `state`: `failing` when its last attempt failed, `down` after several,
    `disabled` when it answered 410, `paused` when not `enabled`. `waiting`: open deliveries, counted up to 10 000.
    """

    id: str
    url: str
    method: Method_
    encoding: Literal["json", "form"]
    events: list[str]
    params: dict[str, str]
    headers: dict[str, str]
    security: SecurityShape
    fields: Fields_
    recording: RecordingKind
    timeout: int
    scope: ScopeShape
    dialect: Dialect
    mask: Masks
    tls: TlsShape | None
    enabled: bool
    state: HealthState
    failing_since: Time | None
    next_try_at: Time | None
    waiting: int
    last_status: int | None
    last_error: str | None


class WebhookPage(Struct, kw_only=True):
    """Webhooks by id. `next_cursor` goes into `after`; null on the last page."""

    items: list[WebhookShape]
    next_cursor: str | None


class RotationAnswer(Struct, kw_only=True):
    """The new signing `key`, shown this once; until the change is finished the present one signs beside it."""

    key: str
    webhook: WebhookShape


class RangeReplayed(Struct, kw_only=True):
    """How many deliveries will be sent again."""

    replayed: int

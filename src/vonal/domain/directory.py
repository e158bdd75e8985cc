"""Who is who: trunks and tenants with their phones, numbers, credentials and webhooks.

These are the shapes of `vonal apply`'s YAML (contract, section 2): the file decodes straight into a `Directory`.
Whether the parts fit together is `vonal.directory.check`'s business.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

TenantId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
TrunkId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
WebhookId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
ExtensionNumber = Annotated[str, Meta(pattern=r"^[0-9]{2,6}$")]
Name = Annotated[str, Meta(max_length=128)]
Secret = Annotated[str, Meta(min_length=4, max_length=256)]
Pem = Annotated[str, Meta(min_length=32, max_length=65_536, extra={"lines": True})]
Mask = Literal["last4", "hash", "hide"]
Scope = Literal["call", "recording", "read"]
SCOPES: tuple[Scope, ...] = ("call", "recording", "read")


class Trunk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A way to the telephone network: by address, or by registering with username and password."""

    id: TrunkId
    address: str
    match: list[str] = []
    username: str | None = None
    password: Secret | None = None
    register: bool = False


class Extension(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number inside a tenant, with one phone: it registers with `secret`, or sits at the fixed SIP URI `contact`."""

    number: ExtensionNumber
    name: Name = ""
    secret: Secret | None = None
    email: str | None = None
    contact: str | None = None


class Number(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public number (DID, E.164) and whom it rings; `timeout` in seconds (per phone with `in_order`)."""

    number: str
    name: Name = ""
    ring: Annotated[list[ExtensionNumber], Meta(min_length=1)]
    strategy: Literal["all", "in_order"] = "all"
    timeout: Annotated[int, Meta(ge=5, le=300)] = 25


class Outbound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a tenant calls out. `countries`: ISO 3166 codes that may be called; `max_calls` at the same time."""

    trunk: TrunkId
    caller_id: str
    countries: list[Annotated[str, Meta(pattern="^[A-Z]{2}$")]]
    max_calls: Annotated[int, Meta(ge=1, le=10_000)] = 10


class RecordingPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which calls are recorded, in which format, kept for how many days."""

    mode: Literal["none", "all", "inbound", "outbound"] = "none"
    format: Literal["mp3", "wav", "ogg"] = "mp3"
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 365


class ApiUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine's user and password; `networks` (CIDR) limits where it may come from."""

    user: Annotated[str, Meta(min_length=1, max_length=128)]
    password: Secret
    scopes: list[Scope] = field(default_factory=lambda: list(SCOPES))
    networks: list[str] = []


class ApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine's key; `networks` (CIDR) limits where it may come from."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    key: Annotated[str, Meta(min_length=16, max_length=256)]
    scopes: list[Scope] = field(default_factory=lambda: list(SCOPES))
    networks: list[str] = []


class WebhookScope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only calls of these extensions, numbers, directions; an empty list lets all through."""

    extensions: list[str] = []
    numbers: list[str] = []
    directions: list[Literal["inbound", "outbound", "internal"]] = []


class HmacSigning(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Standard Webhooks' signing secret(s) `whsec_…`; during a change two are live."""

    key: str
    previous_key: str | None = None


class Security(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a webhook proves itself (contract, section 4); `vonal.webhooks.security` says what each `type` needs."""

    type: Literal["none", "basic", "userpass_params", "api_key_header", "api_key_param", "hmac", "encrypted"] = "none"
    user: str | None = None
    password: str | None = None
    header: str | None = None
    param: str | None = None
    key: str | None = None
    previous_key: str | None = None
    hmac: HmacSigning | None = None


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Beyond ordinary https, all PEM: the authorities to trust (`ca`), our own `certificate` and its `key`."""

    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a tenant wants its call events sent, and how.

    `mask`: path in the call's data → how its value is hidden; `dialect`: another system's format in place of ours.
    """

    id: WebhookId
    url: Annotated[str, Meta(max_length=2048)]
    method: Literal["GET", "POST"] = "POST"
    encoding: Literal["json", "form"] = "json"
    events: Annotated[list[str], Meta(min_length=1)]
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    security: Security = Security()
    fields: Literal["minimal", "standard", "full"] | list[str] = "standard"
    recording: Literal["none", "reference", "inline"] = "reference"
    timeout: Annotated[int, Meta(ge=1, le=30)] = 10
    scope: WebhookScope = WebhookScope()
    dialect: Literal["native", "sipgate", "zammad", "placetel"] = "native"
    mask: dict[str, Mask] = {}
    tls: Tls | None = None
    enabled: bool = True


class Tenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company on the service: everything in it is invisible to all others.

    `notify`: the mail addresses that are told when a webhook fails, and when it works again.
    """

    id: TenantId
    name: Name = ""
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    language: Literal["hu", "en"] = "en"
    timezone: str = "UTC"
    extensions: list[Extension] = []
    numbers: list[Number] = []
    outbound: Outbound | None = None
    recording: RecordingPolicy = RecordingPolicy()
    notify: list[str] = []
    api_users: list[ApiUser] = []
    api_keys: list[ApiKey] = []
    webhooks: list[Webhook] = []


class Directory(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything `vonal apply` describes."""

    trunks: list[Trunk] = []
    tenants: list[Tenant] = []

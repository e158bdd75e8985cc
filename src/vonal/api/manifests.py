"""`/api/v1/manifests`: how many records a day had, chained and signed; and the keys to check it with."""

from datetime import date
from functools import partial
from typing import Annotated, Any

from litestar import Request, Response
from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.domain.errors import InvalidRequest
from vonal.domain.manifest import Manifest
from vonal.store import manifests as store
from vonal.store.manifests import Day

_ID = "^[a-z0-9_]{1,64}$"


class ManifestParameters(Struct, frozen=True, kw_only=True):
    """Which day, and whether with ids."""

    date: Annotated[date, Meta(description="A UTC day: of the envelopes' `timestamp`.", examples=["2026-11-22"])]
    ids: Annotated[bool, Meta(description="List the ids, by timestamp and id.")] = False
    after: Annotated[str, Meta(pattern=_ID, description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="Ids on a page.")] = 1000


class ManifestsParameters(Struct, frozen=True, kw_only=True):
    """Which days."""

    from_: Annotated[date, Meta(description="The first day.")] | None = field(name="from", default=None)
    until: Annotated[date, Meta(description="Days before that one.")] | None = None
    after: Annotated[date, Meta(description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=400, description="Days on a page.")] = 100


class SignedManifest(Manifest, frozen=True, kw_only=True):
    """A day; `jws` signs all that stands before it. `ids` is null when not asked for, and of a `forgotten` day."""

    jws: str
    forgotten: bool
    ids: list[str] | None
    next_cursor: str | None


class DayPage(Struct, frozen=True, kw_only=True):
    """Days that have records, newest first. `next_cursor` goes into `after`; null on the last page."""

    items: list[Day]
    next_cursor: str | None


class Jwk(Struct, frozen=True, kw_only=True):
    """A public key (RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class JwkSet(Struct, frozen=True, kw_only=True):
    """Public keys (RFC 7517), the newest first."""

    keys: list[Jwk]


async def get_manifest(services: Services, asked: Asked) -> Response[bytes]:
    """A day's manifest, and its ids."""
    wanted: ManifestParameters = asked.parameters
    look = partial(store.of_day, asked.tenant_id, day=wanted.date, now=services.facts_until())
    made, forgotten = await services.db.read(look)
    ids, cursor = None, None
    if wanted.ids and not forgotten:
        page = partial(store.ids_of_day, asked.tenant_id, day=wanted.date, after=wanted.after, limit=wanted.limit)
        try:
            ids, cursor = await services.db.read(page)
        except ValueError as fault:
            raise InvalidRequest("This cursor is none of ours.", param="after") from fault
    answer = SignedManifest(
        **asdict(made), jws=services.signer.sign(made), forgotten=forgotten, ids=ids, next_cursor=cursor
    )
    return json_answer(answer)


async def list_manifests(services: Services, asked: Asked) -> Response[bytes]:
    """The days that have records."""
    wanted: ManifestsParameters = asked.parameters
    until = min(filter(None, (wanted.until, wanted.after)), default=None)
    look = partial(store.listing, asked.tenant_id, from_=wanted.from_, until=until, limit=wanted.limit)
    items, cursor = await services.db.read(partial(look, now=services.facts_until()))
    return json_answer(DayPage(items=items, next_cursor=cursor))


async def jwks(services: Services, _request: Request[Any, Any, Any]) -> Response[bytes]:
    """The keys that sign."""
    return json_answer({"keys": services.signer.public()}, headers={"Cache-Control": "public, max-age=300"})


OPERATIONS = (
    Operation(
        name="listManifests",
        methods=("GET",),
        path="/api/v1/manifests",
        summary="Days with records, newest first",
        scope="read",
        handler=list_manifests,
        parameters=ManifestsParameters,
        answers={200: Answers(description="A page of days.", body=DayPage)},
    ),
    Operation(
        name="getManifest",
        methods=("GET",),
        path="/api/v1/manifests/{date}",
        summary="A day's records: their number, and a signed chain over their ids",
        description="A record is a `call.completed`.",
        scope="read",
        handler=get_manifest,
        parameters=ManifestParameters,
        answers={200: Answers(description="The manifest.", body=SignedManifest)},
    ),
    Operation(
        name="jwks",
        methods=("GET",),
        path="/api/v1/jwks.json",
        summary="The public keys that manifests are signed with",
        scope=None,
        handler=jwks,
        answers={200: Answers(description="A JWK set (RFC 7517).", body=JwkSet)},
    ),
)

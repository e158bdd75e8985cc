"""`GET /api/v1/events`: everything that is told of a tenant's calls, in order, as a stream or in pages."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from litestar import Response
from litestar.types import ASGIApp
from msgspec import Meta, Struct, field

from vonal.api.event_stream import EventStream, Start
from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.api.shapes import Envelope
from vonal.domain.errors import EventNotFound, InvalidExtension, InvalidRequest, RateLimited
from vonal.domain.events import SUBSCRIBABLE
from vonal.store import events as store
from vonal.webhooks.envelope import Setting
from vonal.webhooks.feed import Fields, Reader

START = "start"  # stands for the place before a tenant's first event
STREAM, JSON = "text/event-stream", "application/json"
_LONGEST_ID = 64


class EventsParameters(Struct, frozen=True, kw_only=True):
    """Which events, and from where on."""

    after: (
        Annotated[str, Meta(max_length=80, description="The id of an event: begins behind it; `start`: at the first.")]
        | None
    ) = None
    from_: Annotated[datetime, Meta(description="Begins with the first event of that time or later.")] | None = field(
        name="from", default=None
    )
    events: Annotated[str, Meta(max_length=500, description="Only these, with commas between.")] | None = None
    fields: (
        Annotated[
            str,
            Meta(
                pattern="^[a-z0-9_.,]{1,1000}$",
                description="`minimal`, `standard`, `full` (the default), or paths with commas between.",
            ),
        ]
        | None
    ) = None
    extension: (
        Annotated[str, Meta(pattern="^[0-9]{2,6}$", description="Events of calls in which it takes part.")] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=500, description="As JSON: events to look through.")] = 100


class EventPage(Struct, frozen=True, kw_only=True):
    """Events, oldest first. `next_cursor` goes into `after`; null: there is no more now; `last_id`: `after` next time.

    Both move on also past events that were not asked for.
    """

    items: list[Envelope]
    next_cursor: str | None
    last_id: str


async def read_events(services: Services, asked: Asked) -> ASGIApp | Response[bytes]:
    """The stream, or one page of it for those who accept JSON and rather not a stream."""
    wanted: EventsParameters = asked.parameters
    reader = Reader(events=_events(wanted.events), extension=wanted.extension, fields=_fields(wanted.fields))
    start = await _start(services, asked)
    tenant = services.tenant(asked.tenant_id)
    setting = Setting(timezone=tenant.timezone if tenant else "UTC", base_url=services.base_url)
    if asked.request.accept.best_match([STREAM, JSON]) == JSON:
        return await _page(services, asked, reader=reader, setting=setting, start=start)
    return EventStream(
        asked.tenant_id,
        services.db,
        broadcast=services.broadcast,
        draining=services.draining,
        reader=reader,
        setting=setting,
        start=start,
    )


async def _page(services: Services, asked: Asked, *, reader: Reader, setting: Setting, start: Start) -> Response[bytes]:
    position, last_id, _ = start
    limit: int = asked.parameters.limit
    found = await services.db.read(partial(store.after, asked.tenant_id, position=position, limit=limit + 1))
    page = found[:limit]
    if page:
        last_id = page[-1].event.id
    items: list[dict[str, Any]] = [reader.envelope(one.event, setting) for one in page if reader.wants(one.event)]
    return json_answer({"items": items, "next_cursor": last_id if len(found) > limit else None, "last_id": last_id})


async def _start(services: Services, asked: Asked) -> Start:
    """Position and id behind which the reader begins. Raises EventNotFound."""
    # A browser that comes back asks for the first address again: the header then knows better.
    header = asked.request.headers.get("last-event-id", "")
    known = header or asked.parameters.after
    if known == START:
        return Start(0, START, known=True)
    if known:
        position = await _position(services, asked.tenant_id, known, param=None if header else "after")
        return Start(position, known, known=True)
    if since := asked.parameters.from_:
        found = await services.db.read(partial(store.before_time, asked.tenant_id, at=since))
    else:
        found = await services.db.read(partial(store.last, asked.tenant_id))
    return Start(*(found or (0, START)))


async def _position(services: Services, tenant_id: str, known: str, *, param: str | None) -> int:
    found = None
    if known.isascii() and known.replace("_", "").isalnum() and len(known) <= _LONGEST_ID:
        found = await services.db.read(partial(store.position_of, tenant_id, event_id=known))
    if found is None:
        raise EventNotFound(
            "There is no such event, or it is no longer kept. Begin with `from` (a time) or `after=start`, and compare "
            "with /api/v1/manifests what you have.",
            param=param,
        )
    return found


def _events(text: str | None) -> list[str]:
    names = [one.strip() for one in (text or "").split(",") if one.strip()]
    if unknown := [one for one in names if one not in SUBSCRIBABLE]:
        raise InvalidRequest(f"{unknown[0][:64]} is no event; known are {', '.join(SUBSCRIBABLE)}.", param="events")
    return names


def _fields(text: str | None) -> Fields:
    match text:
        case None:
            return "full"
        case "minimal" | "standard" | "full":
            return text
        case _:
            return [one for one in text.split(",") if one]


OPERATIONS = (
    Operation(
        name="readEvents",
        methods=("GET",),
        path="/api/v1/events",
        summary="Everything that happens, as a stream or in pages",
        description="Server-sent events, which go on as long as the connection; one page of them to those who accept "
        "`application/json`. Without `Last-Event-ID`, `after` and `from` it begins now.",
        scope="read",
        handler=read_events,
        parameters=EventsParameters,
        headers={"Last-Event-ID": "As `after`, which it comes before."},
        answers={200: Answers(description="The events.", body=EventPage, media_types=(STREAM, JSON))},
        errors=(EventNotFound, InvalidExtension, RateLimited),
    ),
)

"""`/api/v1/notices`: what the tenant's people are told: that a webhook is down, up again, or disabled."""

from typing import Annotated

from litestar import Response
from msgspec import Meta, Struct

from vonal.api.operation import Answers, Asked, Operation, json_answer
from vonal.api.services import Services
from vonal.store import notices as store
from vonal.store.notices import ShownNotice


class NoticesParameters(Struct, frozen=True, kw_only=True):
    """Which notices."""

    after: Annotated[str, Meta(pattern="^[0-9]{1,18}$", description="`next_cursor` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=500, description="Notices on a page.")] = 100


class NoticePage(Struct, frozen=True, kw_only=True):
    """Notices, newest first. `next_cursor` goes into `after`; null on the last page."""

    items: list[ShownNotice]
    next_cursor: str | None


async def list_notices(services: Services, asked: Asked) -> Response[bytes]:
    """One page of notices."""
    wanted: NoticesParameters = asked.parameters
    items, cursor = await services.db.read(
        lambda tx: store.listing(asked.tenant_id, tx, after=wanted.after, limit=wanted.limit)
    )
    return json_answer(NoticePage(items=items, next_cursor=cursor))


OPERATIONS = (
    Operation(
        name="listNotices",
        methods=("GET",),
        path="/api/v1/notices",
        summary="What has become of the webhooks, newest first",
        description="`webhook.down` when one does not answer, `webhook.up` when it works again, `webhook.disabled` "
        "when it answered 410. Kept for 90 days; the addresses under `notify` get them by mail.",
        scope="read",
        handler=list_notices,
        parameters=NoticesParameters,
        answers={200: Answers(description="A page of notices.", body=NoticePage)},
    ),
)

"""What sipgate's receivers asked for when a call began: they are told its answer and its end only then, and there.

Kept in memory from the moment of the answer, for its attempt may be written after the call's next event is prepared;
after a restart it is found in the log of attempts.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from msgspec.structs import asdict

from vonal.domain.delivery import Outcome, Owed, Request
from vonal.domain.dialects import OPENING
from vonal.store import deliveries
from vonal.store.database import Database
from vonal.webhooks.dialects import asked
from vonal.webhooks.dialects.asked import Asked

log = structlog.get_logger(__name__)
Send = Callable[[Request], Awaitable[Outcome]]
REMEMBERED = 10_000  # calls; of older ones the log is asked
Call = tuple[str, str, str]  # (tenant, webhook, call)


class NewCall(Request, frozen=True, kw_only=True):
    """A request whose answer may ask to be told of the call's further events."""

    about: Call


class FollowUps:
    """`of` marks the beginning of a call, `listening` hears its answer, `url` says where a further event goes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._asked: OrderedDict[Call, Asked] = OrderedDict()
        self._said: set[tuple[str, str, str]] = set()

    def of(self, owed: Owed, request: Request) -> Request:
        """The request, marked when it tells of a call's beginning."""
        return NewCall(**asdict(request), about=_call(owed)) if owed.event.type in OPENING else request

    def listening(self, send: Send) -> Send:
        """`send`, with its answers heard."""

        async def heard(request: Request) -> Outcome:
            outcome = await send(request)
            if isinstance(request, NewCall) and outcome.fault is None and outcome.status is not None:
                self._remember(request.about, asked.read(outcome.answer))
            return outcome

        return heard

    async def url(self, owed: Owed) -> str | None:
        """Where the call's further event is to be sent; None when the webhook did not ask for it."""
        call = _call(owed)
        if call not in self._asked:
            tenant_id, webhook_id, call_id = call
            look = partial(deliveries.accepted_answer, tenant_id, webhook_id=webhook_id, call_id=call_id, types=OPENING)
            answer = await self._db.read(look)
            if answer is None:
                return None  # not to be remembered: another process may be told it yet
            self._remember(call, asked.read(answer))
        return self._asked[call].url(owed.event.type)

    def _remember(self, call: Call, found: Asked) -> None:
        self._asked[call] = found
        self._asked.move_to_end(call)
        while len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        tenant_id, webhook_id, _ = call
        for what in found.unsupported:
            if (tenant_id, webhook_id, what) not in self._said and len(self._said) < REMEMBERED:
                self._said.add((tenant_id, webhook_id, what))
                log.info("webhook.answer_not_supported", tenant=tenant_id, webhook=webhook_id, asked=what)


def _call(owed: Owed) -> Call:
    return owed.event.tenant_id, owed.webhook_id, owed.event.call_id

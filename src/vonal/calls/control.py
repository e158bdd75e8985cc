"""Commands to a call that is under way: hang up, transfer."""

import re
from collections.abc import Callable

from vonal.calls.destination import Destination, destination_of
from vonal.domain.call import Call, Leg
from vonal.domain.directory import Tenant
from vonal.domain.errors import CallAlreadyEnded, CallNotFound, TransferNotPossible
from vonal.domain.telephony import Telephony
from vonal.store import calls
from vonal.store.database import Database

_CALL_ID = re.compile(r"call_[a-z0-9]{1,58}")
_ENDED = "The call has ended."


class Control:
    """`tenant` finds a tenant in the directory as it is now."""

    def __init__(self, db: Database, telephony: Telephony, *, tenant: Callable[[str], Tenant | None]) -> None:
        self._db = db
        self._telephony = telephony
        self._tenant = tenant

    async def find(self, tenant_id: str, call_id: str) -> Call:
        """The tenant's call. Raises CallNotFound."""
        if _CALL_ID.fullmatch(call_id):
            call = await self._db.read(lambda tx: calls.find(tenant_id, tx, call_id))
            if call is not None:
                return call
        raise CallNotFound("There is no call of this id.")

    async def hang_up(self, tenant_id: str, call_id: str) -> None:
        """Ends all that is up of a call. Raises CallNotFound, CallAlreadyEnded."""
        call = await self._live(tenant_id, call_id)
        # One after another: were a ringing phone ended before its caller, the call would count as not answered.
        done = [await self._telephony.hang_up(channel) for channel in _channels(call)]
        if not any(done):  # over already, though the journal has not been read that far
            raise CallAlreadyEnded(_ENDED)

    async def transfer(self, tenant_id: str, call_id: str, *, to: str) -> Destination:
        """Hands the agent's party over to `to`, unannounced.

        Raises CallNotFound, CallAlreadyEnded, InvalidNumber, DestinationForbidden, TransferNotPossible.
        """
        call = await self._live(tenant_id, call_id)
        tenant = self._tenant(tenant_id)
        if tenant is None:
            raise CallNotFound("There is no call of this id.")
        target = destination_of(tenant, to, param="to")
        agent = talking_agent(call)
        if agent is None or not await self._telephony.transfer(agent.channel, tenant_id=tenant_id, to=target.dial):
            raise TransferNotPossible("Only a call in which an extension is talking can be transferred.")
        return target

    async def _live(self, tenant_id: str, call_id: str) -> Call:
        call = await self.find(tenant_id, call_id)
        if call.state in ("ended", "completed"):
            raise CallAlreadyEnded(_ENDED)
        return call


def talking_agent(call: Call) -> Leg | None:
    """The leg of the extension that is in conversation: the call's agent, else who joined last."""
    talking = [
        leg for leg in call.legs if leg.kind == "extension" and leg.answered_at is not None and leg.ended_at is None
    ]
    if len([leg for leg in call.legs if leg.answered_at is not None and leg.ended_at is None]) < 2:  # noqa: PLR2004
        return None
    known = [leg for leg in talking if call.agent and leg.extension == call.agent.extension]
    return next(reversed(known or talking), None)


def _channels(call: Call) -> list[str]:
    open_legs = [leg.channel for leg in call.legs if leg.ended_at is None]
    return list(dict.fromkeys([call.linkedid, *open_legs])) if call.origin == "click_to_call" else open_legs

"""A phone system without phones, as strict as the real one: what it does not know it refuses."""

import asyncio
from collections.abc import Callable

from vonal.domain.errors import OriginateFailed, TelephonyUnavailable
from vonal.domain.telephony import Phone, Ring


class FakeTelephony:
    """`registered`: phones that can be rung, as (tenant, extension). `up`: channel → the phone it is on.

    `refusing` makes Asterisk refuse to start calls, `silent` makes it not answer at all. `on_ring` is told of each call
    that starts; `rings` has them all.
    """

    def __init__(self) -> None:
        self.registered: set[tuple[str, str]] = set()
        self.up: dict[str, tuple[str, str] | None] = {}
        self.talking: set[str] = set()
        self.rings: list[Ring] = []
        self.transfers: list[tuple[str, str, str]] = []
        self.refusing = False
        self.silent = False
        self.on_ring: Callable[[Ring], None] = lambda _: None

    async def phone(self, tenant_id: str, extension: str) -> Phone | None:
        await self._answer()
        channels = tuple(channel for channel, phone in self.up.items() if phone == (tenant_id, extension))
        return Phone(registered=(tenant_id, extension) in self.registered, channels=channels)

    async def phones(self, tenant_id: str) -> dict[str, Phone]:
        found = {number: await self.phone(tenant_id, number) for owner, number in self.registered if owner == tenant_id}
        return {number: phone for number, phone in found.items() if phone}

    async def ring(self, order: Ring) -> None:
        await self._answer()
        if self.refusing or order.call_id in self.up or (order.tenant_id, order.extension) not in self.registered:
            raise OriginateFailed("Asterisk refused the call: Allocation failed.")
        self.up[order.call_id] = (order.tenant_id, order.extension)
        self.rings.append(order)
        self.on_ring(order)

    async def hang_up(self, channel: str) -> bool:
        await self._answer()
        self.talking.discard(channel)
        return self.up.pop(channel, "none") != "none"

    async def transfer(self, channel: str, *, tenant_id: str, to: str) -> bool:
        await self._answer()
        if channel not in self.talking:
            return False
        self.talking.discard(channel)
        self.up.pop(channel, None)
        self.transfers.append((channel, tenant_id, to))
        return True

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.silent:
            raise TelephonyUnavailable("The phone system does not answer.", retry_after=5)

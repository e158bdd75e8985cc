"""Who is outside: the agents' phones, and the carriers with all their customers."""

import asyncio
from typing import Protocol

from vonal.domain.directory import Trunk
from vonal.telephony.simulator_call import (
    BUSY,
    CONGESTION,
    NO_ANSWER,
    REJECTED,
    UNALLOCATED,
    Behaviour,
    Call,
    Said,
    Sound,
    answer,
    refuse,
    ring,
)
from vonal.telephony.simulator_conf import carrier_name

BY_ENDING: dict[str, Behaviour] = {
    "91": refuse(BUSY, after=0.5),
    "92": ring(),
    "93": refuse(REJECTED, after=0.5),
    "94": refuse(CONGESTION),
    "95": refuse(UNALLOCATED),
    "96": answer(880, talk=1.0),
    "97": refuse(NO_ANSWER, after=2.0),
}
"""What a carrier does with a number by its last two digits; any other is answered at once with 880 Hz."""


class World(Protocol):
    """What a party needs of the Simulator."""

    pbx: str

    async def dial(
        self,
        party: "Party",
        target: str,
        *,
        called: str,
        said: Said,
        headers: dict[str, str] | None = None,
        variables: dict[str, str] | None = None,
    ) -> Call: ...

    async def command(self, text: str) -> str: ...


class Party:
    """Takes calls by `behaviour`, and makes calls. `calls` has all of them, oldest first, the ended ones too."""

    def __init__(self, world: World, name: str, behaviour: Behaviour) -> None:
        self.name = name
        self.behaviour = behaviour
        self.calls: list[Call] = []
        self._world = world
        self._coming: asyncio.Queue[Call] = asyncio.Queue()

    def behaviour_for(self, called: str) -> Behaviour:  # noqa: ARG002 - a phone has one number, a carrier many
        """What is done with a call to the user `called` of the URI."""
        return self.behaviour

    def take(self, call: Call) -> None:
        """Notes a call that has come in."""
        self.calls.append(call)
        self._coming.put_nowait(call)

    async def rung(self) -> Call:
        """The next call that came in and was not yet asked for; waits for it."""
        return await self._coming.get()

    def forget(self) -> None:
        """No call has ever been."""
        self.calls, self._coming = [], asyncio.Queue()

    async def hang_up(self) -> None:
        """Ends every call of this party."""
        await asyncio.gather(*(call.hang_up() for call in self.calls if not call.ended.is_set()))


class Phone(Party):
    """An agent's desk phone. Answers at once with 440 Hz until told otherwise."""

    def __init__(self, world: World, name: str, *, registers: bool) -> None:
        super().__init__(world, name, answer(440))
        self.registers = registers

    async def dial(self, number: str, *, sound: Sound = 440, headers: dict[str, str] | None = None) -> Call:
        """Dials as from the keypad; `sound` is what it says once answered."""
        target = f"PJSIP/{self.name}/sip:{number}@{self._world.pbx}"
        return await self._world.dial(self, target, called=number, said=Said(sound), headers=headers)

    async def pickup(self, code: str = "*8") -> Call:
        """Takes a colleague's ringing call: `*8`, or `*8102`."""
        return await self.dial(code)

    async def blind_transfer(self, to: str, call: Call | None = None) -> bool:
        """REFER to an extension or number; False when the PBX refused. Without `call`: the phone's last one."""
        return await (call or self.calls[-1]).refer(f"sip:{to}@{self._world.pbx}")

    async def attended_transfer(self, first: Call, second: Call) -> bool:
        """Joins the other sides of two of its calls: REFER with Replaces. A blonde one while `second` still rings."""
        uri = f"sip:{second.called}@{self._world.pbx}?Replaces={await second.replaces()}"
        done = await first.refer(uri)
        if done:
            await second.hang_up()
        return done

    async def register(self) -> None:
        """Goes on line, and waits until the PBX has accepted it. A phone that registers does so when it starts."""
        await self._world.command(f"pjsip send register {self.name}")
        await self.registered()

    async def registered(self) -> None:
        """Waits until the PBX has accepted the registration."""
        await self._become("Registered")

    async def unregister(self) -> None:
        """Goes off line properly, and waits until the PBX knows."""
        await self._world.command(f"pjsip send unregister {self.name}")
        await self._become("Unregistered")

    async def _become(self, state: str) -> None:
        while True:
            if state in (await self._world.command(f"pjsip show registration {self.name}")).split():
                return
            await asyncio.sleep(0.05)


class Carrier(Party):
    """A trunk's other end with all its customers.

    A number (digits as our PBX dials it) is looked for in `by_number`, then its last two digits in `by_ending`, then
    `behaviour` holds. Asterisk can say no 603, so a rejected call says 403; both are cause 21 to the other side.
    """

    def __init__(self, world: World, trunk: Trunk) -> None:
        super().__init__(world, carrier_name(trunk.id), answer(880))
        self.by_number: dict[str, Behaviour] = {}
        self.by_ending = dict(BY_ENDING)
        self._registered_at = trunk.register

    def behaviour_for(self, called: str) -> Behaviour:
        return self.by_number.get(called) or self.by_ending.get(called[-2:]) or self.behaviour

    async def call_in(
        self,
        number: str,
        *,
        from_number: str = "06305550123",
        from_name: str = "",
        anonymous: bool = False,
        sound: Sound = 880,
        talk: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> Call:
        """A customer calls one of our numbers, in whatever form; hangs up `talk` seconds after the answer, or never."""
        at_contact = f"PJSIP/{number}@{self.name}"
        at_address = f"PJSIP/{self.name}/sip:{number}@{self._world.pbx}"
        shown = {"CONNECTEDLINE(num,i)": from_number, "CONNECTEDLINE(name,i)": from_name}
        if anonymous:
            shown["CONNECTEDLINE(pres,i)"] = "prohib"
        return await self._world.dial(
            self,
            at_contact if self._registered_at else at_address,
            called=number,
            said=Said(sound, talk),
            headers=headers,
            variables=shown,
        )

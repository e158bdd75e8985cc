"""What the command lane asks of the phone system, in the house's own words.

`vonal.telephony.ari` does it on Asterisk.
"""

from typing import Protocol

from msgspec import Struct


class Phone(Struct, frozen=True, kw_only=True):
    """An extension's phone: whether it can be reached, and the channels it is ringing or talking on."""

    registered: bool
    channels: tuple[str, ...] = ()


class Ring(Struct, frozen=True, kw_only=True):
    """Ring `extension`; when it is answered, dial `number` as if the phone had dialled it.

    `number` and `caller_id` are dialled and shown as they are: E.164, an extension or an emergency number. `record`
    None leaves it to the tenant's policy; `timeout` in seconds.
    """

    call_id: str
    tenant_id: str
    extension: str
    number: str
    caller_id: str | None = None
    timeout: int = 30
    auto_answer: bool = False
    record: bool | None = None


class Telephony(Protocol):
    """The phone system. Every method raises TelephonyUnavailable when it does not answer."""

    async def phone(self, tenant_id: str, extension: str) -> Phone | None:
        """The phone's state at this moment; None when the phone system does not know it."""

    async def phones(self, tenant_id: str) -> dict[str, Phone]:
        """All of a tenant's phones by extension."""

    async def ring(self, order: Ring) -> None:
        """Starts a call whose first channel, and so whose linkedid, is `order.call_id`. Raises OriginateFailed."""

    async def hang_up(self, channel: str) -> bool:
        """Ends a channel; False when there is none of this id."""

    async def transfer(self, channel: str, *, tenant_id: str, to: str) -> bool:
        """Hands those who talk with `channel` over to `to`, unannounced; False when it talks with nobody."""

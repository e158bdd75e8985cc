"""A row of the journal: one thing that Asterisk says happened to one channel, in the project's own words."""

import re
from datetime import datetime

from msgspec import Struct, field

from vonal.domain.call import Disposition

_CHANNEL = re.compile(r"PJSIP/(?P<tenant>.+)-(?P<number>[^-]+)-[0-9a-f]+$")


class Position(Struct, frozen=True, order=True):
    """How far the journal has been read: the number of the file, and the offset in it in bytes."""

    segment: int = 1
    offset: int = 0


def endpoint_of(channel_name: str) -> tuple[str | None, str] | None:
    """The phone or trunk behind a channel: (tenant, extension), (None, trunk), or None for any other channel.

    >>> endpoint_of("PJSIP/acme-101-0000002a"), endpoint_of("PJSIP/trunk-carrier-00000001"), endpoint_of("Local/1@x-1")
    (('acme', '101'), (None, 'carrier'), None)
    """
    if not (match := _CHANNEL.match(channel_name)):
        return None
    tenant, number = match["tenant"], match["number"]
    if tenant == "trunk" or tenant.startswith("trunk-"):
        return None, f"{tenant}-{number}".removeprefix("trunk-")
    return tenant, number


class JournalRow(Struct, frozen=True, kw_only=True):
    """One channel event (CEL). `event` is CEL's own name, or `user.NAME` for what our dialplan tells.

    `extra` holds the event's details as texts. `disposition` is what `cause` (Q.850) or the dial's status means, where
    the row has one.
    """

    event: str
    at: datetime
    channel: str
    channel_name: str
    linkedid: str
    app: str = ""
    caller_name: str = ""
    caller_number: str = ""
    exten: str = ""
    cause: int | None = None
    disposition: Disposition | None = None
    extra: dict[str, str] = field(default_factory=dict)

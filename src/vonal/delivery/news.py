"""Which notices a tenant is mailed about, and when. Pure; times are milliseconds UTC.

A webhook that fails and works again within a minute, or the other way round, is worth no mail.
"""

from collections.abc import Iterable

from msgspec import Struct

from vonal.store.notices import Notice

SETTLED_MS = 60_000  # so long a change must last to be told
STALE_MS = 7 * 24 * 3600 * 1000  # older ones are no news: mail was not set up then, or was broken for long


class News(Struct, frozen=True, kw_only=True):
    """`tell`: what each tenant is told now, in order; `silent`: the positions of notices that nobody need be told.

    What is in neither waits.
    """

    tell: dict[str, list[Notice]]
    silent: list[int]


def due(notices: Iterable[Notice], *, now: int) -> News:
    """Sorts out the notices that nobody has been mailed about; they are given in the order they were made."""
    waiting: dict[tuple[str, str | None], list[Notice]] = {}
    silent: list[int] = []
    for one in notices:
        before = waiting.setdefault((one.tenant_id, one.webhook_id), [])
        if now - one.at > STALE_MS:
            silent.append(one.position)
        elif one.type == "webhook.disabled":
            silent += [other.position for other in before]  # it is not only down now
            before[:] = [one]
        elif before and _takes_back(one, before[-1]):
            silent += [before.pop().position, one.position]
        else:
            before.append(one)
    tell: dict[str, list[Notice]] = {}
    for one in sorted((one for some in waiting.values() for one in some), key=lambda one: one.position):
        if one.type == "webhook.disabled" or now - one.at >= SETTLED_MS:
            tell.setdefault(one.tenant_id, []).append(one)
    return News(tell=tell, silent=silent)


def _takes_back(one: Notice, before: Notice) -> bool:
    return {one.type, before.type} == {"webhook.down", "webhook.up"} and one.at - before.at < SETTLED_MS

"""What a browser brings back at the next step of something: sealed, so that it can neither read nor change it.

The key is this process's own: who is in the middle of something when the service starts anew begins again.
"""

import secrets
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct

from vonal.store.vault import CannotUnseal, Vault

MINUTES = 10


class Ceremony(Struct, frozen=True, kw_only=True):
    """`kind` is what it is for; `whom` the user's id, where he is known; `until` in ms UTC."""

    kind: str
    whom: str
    until: int
    data: dict[str, str]


class Ceremonies:
    """Each can be finished once, if `finish` is told. `clock` is in ms UTC."""

    def __init__(self, *, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock = clock
        key = secrets.token_bytes(32)
        self._vault = Vault(lambda: [key])
        self._finished: dict[str, int] = {}

    def begin(self, kind: str, *, whom: str = "", **data: str) -> str:
        """What the browser is given."""
        until = self._clock() + MINUTES * 60_000
        ceremony = Ceremony(kind=kind, whom=whom, until=until, data={**data, "_": secrets.token_urlsafe(9)})
        return self._vault.seal(msgspec.json.encode(ceremony).decode(), "ceremony")

    def read(self, kind: str, text: str, *, whom: str = "") -> dict[str, str] | None:
        """What was begun, for this user; None when it was not, is over or finished."""
        if not text.startswith("sealed:") or text in self._finished:
            return None
        try:
            found = msgspec.json.decode(self._vault.open(text, "ceremony"), type=Ceremony)
        except CannotUnseal:
            return None
        return found.data if (found.kind, found.whom) == (kind, whom) and found.until > self._clock() else None

    def finish(self, text: str) -> None:
        """It cannot be finished again."""
        now = self._clock()
        self._finished = {one: until for one, until in self._finished.items() if until > now}
        self._finished[text] = now + MINUTES * 60_000

"""Everything the portal meets, handed in by `app`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from vonal.calls.broadcast import Broadcast
from vonal.calls.control import Control
from vonal.calls.limits import Limiter
from vonal.calls.originate import Originator
from vonal.calls.playback import Opened
from vonal.delivery.replaying import Replays
from vonal.directory.editing import Editor
from vonal.directory.webhooks import Webhooks
from vonal.domain.directory import Directory, Tenant
from vonal.domain.telephony import Phone
from vonal.portal.shelf import Shelf
from vonal.store.database import Database
from vonal.users.people import People
from vonal.users.sessions import Sessions
from vonal.webhooks.trial import Trials


@dataclass(frozen=True, kw_only=True)
class Portal:
    """The names mean what they mean in `vonal.api.services`; `directory` gives the whole directory in effect.

    `secure`: the portal is reached by https, so its cookie is only sent over it. `sip_server`: HOST:PORT that phones
    register at.
    """

    db: Database
    sessions: Sessions
    people: People
    webhooks: Webhooks
    editor: Editor
    trials: Trials
    originator: Originator
    control: Control
    broadcast: Broadcast
    test_limit: Limiter
    steady: Callable[[], float]
    phones: Callable[[str], Awaitable[dict[str, Phone]]]
    open_recording: Callable[[str, str, str | None], Awaitable[Opened]]
    tenant: Callable[[str], Tenant | None]
    directory: Callable[[], Directory]
    probes: Mapping[str, Callable[[], Awaitable[str | None]]] = field(default_factory=dict)
    replays: Replays = field(default_factory=Replays)
    draining: Callable[[], bool] = lambda: False
    base_url: str
    sip_server: str = "127.0.0.1:5060"
    shelf: Shelf = field(default_factory=Shelf)
    secure: bool = False

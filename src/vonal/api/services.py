"""Everything the API meets, handed in by `app`."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vonal.api.metrics import Metrics
from vonal.calls.broadcast import Broadcast
from vonal.calls.control import Control
from vonal.calls.limits import Limiter
from vonal.calls.originate import Originator
from vonal.calls.playback import Opened
from vonal.calls.signing import Signer
from vonal.calls.waiting import Waiters
from vonal.directory.credentials import Authenticator
from vonal.directory.webhooks import Webhooks
from vonal.domain.directory import Tenant
from vonal.domain.telephony import Phone
from vonal.store.database import Database
from vonal.webhooks.trial import Trials

TESTS_A_MINUTE = 10


@dataclass(frozen=True, kw_only=True)
class Services:
    """`tenant` finds a tenant in the directory as it is now; `phones` gives its phones' states by extension.

    `open_recording` is `vonal.calls.playback.Playback.open`. `probes`: each returns what is wrong, or None; any wrong
    makes `/readyz` 503, and so does `draining`, which also refuses clicks.
    `facts_until`: until when everything that happened has been taken in from the journal.
    `steady` is a clock in seconds that never goes back.
    """

    db: Database
    authenticator: Authenticator
    originator: Originator
    control: Control
    waiters: Waiters
    broadcast: Broadcast
    signer: Signer
    tenant: Callable[[str], Tenant | None]
    phones: Callable[[str], Awaitable[dict[str, Phone]]]
    open_recording: Callable[[str, str, str | None], Awaitable[Opened]]
    probes: Mapping[str, Callable[[], Awaitable[str | None]]] = field(default_factory=dict)
    draining: Callable[[], bool] = lambda: False
    base_url: str
    webhooks: Webhooks
    trials: Trials
    test_limit: Limiter = field(
        default_factory=lambda: Limiter(TESTS_A_MINUTE, seconds=60, what="Tests of the tenant's webhooks")
    )
    facts_until: Callable[[], datetime] = lambda: datetime.now(UTC)
    steady: Callable[[], float] = time.monotonic
    metrics: Metrics = field(default_factory=Metrics)

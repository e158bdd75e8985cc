"""What an attempt tells of its webhook: that it works, fails, is down, is back, or wants nothing any more."""

import structlog
from msgspec.structs import replace

from vonal.delivery import retry
from vonal.delivery.lane import Lane
from vonal.delivery.room import SLOW_MS
from vonal.domain.delivery import DOWN, Outcome, Settled

log = structlog.get_logger(__name__)


def told(lane: Lane, result: Settled, verdict: retry.Verdict, *, chance: float) -> Settled:
    """Takes the attempt off the lane; returns its result with what is to be written of the webhook.

    `chance` in 0…1 spreads the times at which webhooks that are down are asked.
    """
    owed, outcome = result.owed, result.outcome or Outcome()
    if verdict.state == "delivered":
        lane.answered(owed)
        lane.slow = outcome.took_ms > SLOW_MS
        return _works(lane, result)
    wave = lane.failed(owed)
    named = {"tenant": lane.tenant_id, "webhook": lane.webhook_id}
    attempt = {**named, "delivery": owed.id, "type": owed.event.type, "attempt": owed.attempts + 1}
    log.info("delivery.failed", **attempt, status=outcome.status, error=outcome.error, then=verdict.state)
    if verdict.state == "disabled":
        lane.close("disabled")
        log.warning("webhook.disabled", **named, reason="it answered 410")
        return replace(result, notice="webhook.disabled")
    if verdict.blame == "event":
        return _works(lane, result)
    was = lane.fails
    clock, given_up = lane.fails_at(result.done_at, outcome, wave, chance=chance)
    result = replace(result, lane=clock, given_up_before=given_up)
    if was < DOWN <= lane.fails:
        log.warning("webhook.down", **named, status=outcome.status, error=outcome.error)
        return replace(result, notice="webhook.down")
    return result


def _works(lane: Lane, result: Settled) -> Settled:
    was = lane.fails
    endless = result.outcome is not None and result.outcome.endless
    clock, revived = lane.works(result.done_at, endless=endless)
    if not was:
        return result
    if was >= DOWN:
        log.info("webhook.up", tenant=lane.tenant_id, webhook=lane.webhook_id)
        return replace(result, lane=clock, revived=revived, notice="webhook.up")
    return replace(result, lane=clock, revived=revived)

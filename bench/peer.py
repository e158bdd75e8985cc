"""What the peers have in common: the signed request that is to be sent, and how they are measured from outside."""

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import sink
import world
from world import Figures, Spec

Told = Sequence[tuple[str, dict[str, Any]]]  # (URL, event)
Tell = Callable[[Told], Awaitable[None]]
PATIENCE = 20.0
KEY = base64.b64decode(world.SECRET.removeprefix("whsec_"))


def signed(event: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of the request, as Standard Webhooks has them."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    now = int(time.time())
    proof = hmac.digest(KEY, b"%b.%d.%b" % (event["id"].encode(), now, body), hashlib.sha256)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "X-Vonal-Event": event["type"],
        "webhook-id": event["id"],
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(proof).decode()}",
    }
    return headers, body


async def measure(spec: Spec, tell: Tell, server: int) -> Figures:
    """Tells `tell` what the spec says. The workers are our children; `server` is the store's process."""
    await tell(world.bodies(spec, world.events(spec, spec.lanes)))
    if await sink.until(spec.sink, spec.lanes, patience=60) < spec.lanes:
        raise SystemExit("the workers do not work")
    sink.take(spec.sink)
    return await (_burst if spec.work == "burst" else _open_loop)(spec, tell, server)


async def _burst(spec: Spec, tell: Tell, server: int) -> Figures:
    told = world.bodies(spec, world.events(spec, spec.events))
    before, begin = _cpu(server), time.monotonic()
    await tell(told)
    await sink.until(spec.sink, spec.events, patience=PATIENCE)
    seconds, after = time.monotonic() - begin, _cpu(server)
    came = sink.take(spec.sink)
    return Figures(
        events=spec.events,
        missing=sum(event["id"] not in came for _, event in told),
        per_s=spec.events / seconds,
        cpu=(after[0] - before[0]) / spec.events,
        server_cpu=(after[1] - before[1]) / spec.events,
    )


async def _open_loop(spec: Spec, tell: Tell, server: int) -> Figures:
    told = world.bodies(spec, world.events(spec, int(spec.rate * spec.seconds)))
    before = _cpu(server)
    beat = world.Metronome(told, spec.rate).start()
    in_hand = {}
    while taken := await beat.take():
        in_hand.update({event["id"]: at for at, (_, event) in taken})
        await tell([one for _, one in taken])
    await sink.until(spec.sink, len(told), patience=PATIENCE)
    after = _cpu(server)
    came = sink.take(spec.sink)
    wire = world.delays(in_hand, came)
    return Figures(
        events=len(told),
        missing=sum(one not in came for one in in_hand),
        cpu=(after[0] - before[0]) / len(told),
        server_cpu=(after[1] - before[1]) / len(told),
        wire_p50=wire[0],
        wire_p99=wire[1],
    )


def _cpu(server: int) -> tuple[float, float]:
    return world.cpu_tree(os.getpid(), server), world.cpu_tree(server)

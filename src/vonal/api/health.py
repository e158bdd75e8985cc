"""Is the process alive, is it ready, what does it measure; open to everybody, and says nothing of anybody's data."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from litestar import Request, Response
from msgspec import Struct

from vonal.api.operation import Answers, Operation, json_answer
from vonal.api.services import Services
from vonal.domain.errors import TelephonyUnavailable, VonalError

log = structlog.get_logger(__name__)

PROBE_SECONDS = 3
METRICS_TYPE = "text/plain; version=0.0.4"


class Alive(Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Struct, frozen=True):
    """Everything that is needed works."""

    checks: dict[str, Literal["ok"]]
    status: Literal["ready"] = "ready"


async def healthz(_services: Services, _request: Request[Any, Any, Any]) -> Response[bytes]:
    """Alive."""
    return json_answer(Alive())


async def readyz(services: Services, _request: Request[Any, Any, Any]) -> Response[bytes]:
    """Ready to take calls and requests, or what is not."""
    if services.draining():
        raise TelephonyUnavailable("The service is being stopped.")
    names = list(services.probes)
    found = await asyncio.gather(*(_probed(services.probes[name]) for name in names))
    if wrong := [f"{name}: {reason}" for name, reason in zip(names, found, strict=True) if reason]:
        raise TelephonyUnavailable(f"{'; '.join(wrong)}.")
    return json_answer(Ready(checks=dict.fromkeys(names, "ok")))


async def metrics(services: Services, _request: Request[Any, Any, Any]) -> Response[bytes]:
    """For Prometheus."""
    return Response(content=services.metrics.text(), media_type=METRICS_TYPE)


async def _probed(probe: Callable[[], Awaitable[str | None]]) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await probe()
    except TimeoutError:
        return f"does not answer within {PROBE_SECONDS} s"
    except VonalError as fault:
        return fault.detail.rstrip(".")
    except Exception as fault:
        log.exception("probe_failed")
        return f"fails with {type(fault).__name__}"


OPERATIONS = (
    Operation(
        name="alive",
        methods=("GET",),
        path="/healthz",
        summary="The process is alive",
        scope=None,
        handler=healthz,
        answers={200: Answers(description="It is.", body=Alive)},
    ),
    Operation(
        name="ready",
        methods=("GET",),
        path="/readyz",
        summary="The service is ready",
        scope=None,
        handler=readyz,
        answers={200: Answers(description="Everything that is needed works.", body=Ready)},
        errors=(TelephonyUnavailable,),
    ),
    Operation(
        name="metrics",
        methods=("GET",),
        path="/metrics",
        summary="Measures for Prometheus",
        scope=None,
        handler=metrics,
        answers={200: Answers(description="Prometheus' text format.", media_types=(METRICS_TYPE,))},
    ),
)

"""The operator's first pages: is all well, who needs a look, which processes run; and acting as a tenant."""

import asyncio
import platform
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from litestar import Response
from msgspec.structs import replace

from vonal.domain.audit import Actor
from vonal.domain.directory import Tenant
from vonal.domain.errors import NotFound, VonalError
from vonal.portal.asked import Asked
from vonal.portal.page import go, page
from vonal.portal.route import Route
from vonal.portal.services import Portal
from vonal.store import calls, nodes, webhook_health
from vonal.users import acting

PROBE_SECONDS = 3
_TROUBLE = ("failing", "down", "disabled")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A tenant that needs a look: its webhooks that are not sent to, by state."""

    tenant_id: str
    states: Counter[str]
    waiting: int


def actor(asked: Asked) -> Actor:
    """Who does it: always as the operator, whichever company he looks at."""
    return replace(asked.actor, operator=True)


def tenant_of(portal: Portal, asked: Asked) -> Tenant:
    """The tenant that the address names. Raises NotFound."""
    found = portal.tenant(asked.path["id"])
    if found is None:
        raise NotFound("There is no such company.")
    return found


async def glance(portal: Portal, asked: Asked) -> Response[bytes]:
    """What works, what waits, who has trouble."""
    template = "operator/health.html" if asked.is_fragment else "operator/glance.html"
    probes = await _probed(portal)
    hooks = await portal.db.read(webhook_health.any_tenant_all)
    live = await portal.db.read(calls.any_tenant_unfinished)
    up = Counter(one.tenant_id for one in live if one.state == "live")
    troubles: dict[str, Trouble] = {}
    for tenant_id, _, health in hooks:
        if health.state in _TROUBLE:
            known = troubles.get(tenant_id, Trouble(tenant_id=tenant_id, states=Counter(), waiting=0))
            states = known.states + Counter([health.state])
            troubles[tenant_id] = Trouble(tenant_id=tenant_id, states=states, waiting=known.waiting + health.waiting)
    return page(
        asked,
        template,
        probes=probes,
        calls=up,
        waiting=sum(health.waiting for _, _, health in hooks),
        failing=sum(sum(one.states.values()) for one in troubles.values()),
        troubles=sorted(troubles.values(), key=lambda one: one.tenant_id),
        tenants=len(portal.directory().tenants),
    )


async def processes(portal: Portal, asked: Asked) -> Response[bytes]:
    """The processes, what they have leased, the directory's version, the software's."""
    found = await portal.db.read(nodes.any_tenant_nodes)
    versions = {"Vonal": version("vonal"), "Python": platform.python_version()}
    return page(asked, "operator/nodes.html", nodes=found, versions=versions, probes=await _probed(portal))


async def act(portal: Portal, asked: Asked) -> Response[Any]:
    """The operator sees and does what its owner could; each page says so, and its people see it in their log."""
    tenant = tenant_of(portal, asked)
    await acting.begin(portal.db, asked.me.session, tenant.id, by=actor(asked))
    return go(asked, "/")


async def end_acting(portal: Portal, asked: Asked) -> Response[Any]:
    """Back to the service's own pages."""
    tenant_id = asked.me.session.tenant_id
    if tenant_id:
        await acting.end(portal.db, asked.me.session, tenant_id, by=actor(asked))
    return go(asked, "/operator/tenants")


async def _probed(portal: Portal) -> dict[str, str | None]:
    """What is wrong, or None, by the probe's name."""
    names = list(portal.probes)
    found = await asyncio.gather(*(_one(portal, name) for name in names))
    return dict(zip(names, found, strict=True))


async def _one(portal: Portal, name: str) -> str | None:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await portal.probes[name]()
    except TimeoutError:
        return f"no answer within {PROBE_SECONDS} s"
    except VonalError as fault:
        return fault.detail
    except Exception as fault:  # noqa: BLE001 - whatever it is, it belongs on this page, not in its place
        return type(fault).__name__


ROUTES = (
    Route(path="/operator", handler=glance, needs="operator"),
    Route(path="/operator/nodes", handler=processes, needs="operator"),
    Route(path="/operator/tenants/{id}/act", handler=act, needs="operator", method="POST"),
    Route(path="/operator/end-acting", handler=end_acting, needs="operator", method="POST"),
)

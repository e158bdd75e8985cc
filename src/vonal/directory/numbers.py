"""Public numbers and whom they ring, as people change them. Pure; `Editor.tenant` carries it out.

Numbers cost money and belong to trunks: adding and removing them is the operator's, whom they ring is the tenant's.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from vonal.directory.editing import TenantEdit, unchanged
from vonal.domain import numbers
from vonal.domain.directory import Number, Tenant
from vonal.domain.errors import InvalidParts, NotFound


def find(tenant: Tenant, number: str) -> Number:
    """The tenant's number (E.164). Raises NotFound."""
    for one in tenant.numbers:
        if one.number == number:
            return one
    raise NotFound("There is no such number in this company.")


def ringing_otherwise(wanted: Number, *, shown: str) -> TenantEdit:
    """Rings others, in another way; `shown`: the digest of the number as it was shown."""

    def edit(tenant: Tenant) -> Tenant:
        stored = find(tenant, wanted.number)
        unchanged(stored, shown)
        return replace(tenant, numbers=[wanted, *(one for one in tenant.numbers if one is not stored)])

    return edit


def added(number: Number) -> TenantEdit:
    """Gives the tenant another number."""

    def edit(tenant: Tenant) -> Tenant:
        e164 = numbers.read(number.number, tenant.country)
        if any(one.number == e164 for one in tenant.numbers):
            raise InvalidParts([("number", f"{e164} stands twice")])
        return replace(tenant, numbers=[number, *tenant.numbers])

    return edit


def without(number: str) -> TenantEdit:
    """Takes the number away. Its edit raises InvalidParts while outbound calls show it or webhooks name it."""

    def edit(tenant: Tenant) -> Tenant:
        gone = find(tenant, number)
        if faults := in_use(tenant, number):
            raise InvalidParts(faults)
        return replace(tenant, numbers=[one for one in tenant.numbers if one is not gone])

    return edit


def in_use(tenant: Tenant, number: str) -> list[tuple[str, str]]:
    """Why it cannot be taken away now."""
    faults = []
    if tenant.outbound and tenant.outbound.caller_id == number:
        faults.append(("caller_id", "is the caller id of outbound calls"))
    if hooks := [one.id for one in tenant.webhooks if number in one.scope.numbers]:
        faults.append(("webhooks", f"webhooks name it: {', '.join(hooks)}"))
    return faults


def moved(order: Sequence[str], one: str, by: int) -> list[str]:
    """The order with `one` a place further up (-1) or down (1), where there is one."""
    found = list(order)
    if one in found:
        at = found.index(one)
        to = min(max(at + by, 0), len(found) - 1)
        found.insert(to, found.pop(at))
    return found

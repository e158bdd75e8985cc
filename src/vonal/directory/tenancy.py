"""Trunks and tenants as the operator makes them, changes them and takes them away. Pure; `Editor` carries it out."""

from msgspec import Struct
from msgspec.structs import replace

from vonal.directory.editing import DirectoryEdit, TenantEdit, unchanged
from vonal.domain.directory import Directory, Outbound, Tenant, TenantId, Trunk
from vonal.domain.errors import InvalidParts, NotFound
from vonal.domain.users import Language


class About(Struct, frozen=True, kw_only=True):
    """What the operator says about a tenant: see `vonal.domain.directory.Tenant`."""

    id: TenantId
    name: str = ""
    country: str
    language: Language = "en"
    timezone: str = "UTC"


def find_trunk(directory: Directory, trunk_id: str) -> Trunk:
    """The trunk of this id. Raises NotFound."""
    for one in directory.trunks:
        if one.id == trunk_id:
            return one
    raise NotFound("There is no such trunk.")


def calling_out_by(directory: Directory, trunk_id: str) -> list[str]:
    """The tenants whose calls go out by the trunk."""
    return [one.id for one in directory.tenants if one.outbound and one.outbound.trunk == trunk_id]


def with_trunk(trunk: Trunk, *, shown: str | None) -> DirectoryEdit:
    """Adds the trunk or, where a digest was `shown`, changes it; without a password of its own it keeps the stored one.

    Its edit raises InvalidParts when the id is taken.
    """

    def edit(directory: Directory) -> Directory:
        others = [one for one in directory.trunks if one.id != trunk.id]
        if shown is None and len(others) < len(directory.trunks):
            raise InvalidParts([("id", "is taken by another trunk")])
        if shown is None:
            return replace(directory, trunks=[trunk, *others])
        stored = find_trunk(directory, trunk.id)
        unchanged(stored, shown)
        # Without a user there is nothing to prove, and the password goes with it.
        kept = trunk.password or (stored.password if trunk.username else None)
        return replace(directory, trunks=[replace(trunk, password=kept), *others])

    return edit


def without_trunk(trunk_id: str) -> DirectoryEdit:
    """Takes the trunk away. Its edit raises InvalidParts while somebody calls out by it."""

    def edit(directory: Directory) -> Directory:
        find_trunk(directory, trunk_id)
        if users := calling_out_by(directory, trunk_id):
            raise InvalidParts([("", f"calls go out by it: {', '.join(users)}")])
        return replace(directory, trunks=[one for one in directory.trunks if one.id != trunk_id])

    return edit


def with_tenant(tenant: Tenant) -> DirectoryEdit:
    """Adds the tenant. Its edit raises InvalidParts when the id is taken."""

    def edit(directory: Directory) -> Directory:
        if any(one.id == tenant.id for one in directory.tenants):
            raise InvalidParts([("id", "is taken by another tenant")])
        return replace(directory, tenants=[tenant, *directory.tenants])

    return edit


def without_tenant(tenant_id: str) -> DirectoryEdit:
    """Takes the tenant away with all that is in it."""
    return lambda directory: replace(directory, tenants=[one for one in directory.tenants if one.id != tenant_id])


def changed(about: About, outbound: Outbound | None, *, shown: str) -> TenantEdit:
    """Changes what the operator says about it; `shown`: the digest of `face` that was shown."""

    def edit(tenant: Tenant) -> Tenant:
        unchanged(face(tenant), shown)
        return replace(
            tenant,
            name=about.name,
            country=about.country,
            language=about.language,
            timezone=about.timezone,
            outbound=outbound,
        )

    return edit


def face(tenant: Tenant) -> tuple[str, str, str, str, Outbound | None]:
    """What its form shows."""
    return tenant.name, tenant.country, tenant.language, tenant.timezone, tenant.outbound

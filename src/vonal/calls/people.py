"""What the tracker may know of the directory: names behind extensions and numbers, and how to read a caller."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from vonal.domain import numbers
from vonal.domain.call import Agent, Party
from vonal.domain.directory import Extension, Tenant

MAX_NAME = 128


class People(Struct, frozen=True):
    """A snapshot of the directory. `mint` makes a recording's opaque id from (tenant, call, file)."""

    node: str
    tenants: Mapping[str, Tenant]
    mint: Callable[[str, str, str], str]

    def agent(self, tenant_id: str, extension: str) -> Agent:
        """The person at this extension; a bare extension number when the directory no longer has it."""
        found = next((one for one in self._extensions(tenant_id) if one.number == extension), None)
        return Agent(
            extension=extension, name=(found.name or None) if found else None, email=found.email if found else None
        )

    def has_extension(self, tenant_id: str, extension: str) -> bool:
        """Whether the tenant has this extension."""
        return any(one.number == extension for one in self._extensions(tenant_id))

    def number_name(self, tenant_id: str, number: str | None) -> str | None:
        """What the tenant calls its public number."""
        tenant = self.tenants.get(tenant_id)
        found = (one.name for one in tenant.numbers if one.number == number) if tenant else ()
        return next(iter(found), None) or None

    def caller(self, tenant_id: str, raw: str, name: str) -> Party:
        """Who calls from outside; whatever the network sends as number and name is taken, cut to size."""
        tenant = self.tenants.get(tenant_id)
        anonymous = numbers.is_anonymous(raw)
        return Party(
            number=None if anonymous else numbers.read_caller(raw, tenant.country if tenant else "HU"),
            raw=raw[:MAX_NAME],
            name=name[:MAX_NAME] or None,
            anonymous=anonymous,
        )

    def _extensions(self, tenant_id: str) -> list[Extension]:
        tenant = self.tenants.get(tenant_id)
        return tenant.extensions if tenant else []

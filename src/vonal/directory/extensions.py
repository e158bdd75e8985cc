"""Extensions as people make them, change them and take them away. Pure; `Editor.tenant` carries it out."""

import secrets

from msgspec.structs import replace

from vonal.directory.editing import TenantEdit, unchanged
from vonal.domain.directory import Extension, Tenant
from vonal.domain.errors import ExtensionNotFound, InvalidParts

# People type it into a phone: nothing that looks like something else. 16 of 55 characters are 92 bits.
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 16


def new_secret() -> str:
    """A phone's password that nobody has."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def find(tenant: Tenant, number: str) -> Extension:
    """The tenant's extension. Raises ExtensionNotFound."""
    for one in tenant.extensions:
        if one.number == number:
            return one
    raise ExtensionNotFound("There is no such extension.", param="number")


def ringing(tenant: Tenant, number: str) -> list[str]:
    """The public numbers whose calls ring the extension."""
    return [one.number for one in tenant.numbers if number in one.ring]


def added(extension: Extension) -> TenantEdit:
    """Puts it among the others. Its edit raises InvalidParts when the number is taken."""

    def edit(tenant: Tenant) -> Tenant:
        if any(one.number == extension.number for one in tenant.extensions):
            raise InvalidParts([("number", "is taken by another extension")])
        return replace(tenant, extensions=[extension, *tenant.extensions])

    return edit


def changed(wanted: Extension, *, shown: str) -> TenantEdit:
    """Gives it another name, address and contact; its secret stays. `shown`: the digest of `face` that was shown."""

    def edit(tenant: Tenant) -> Tenant:
        stored = find(tenant, wanted.number)
        unchanged(face(stored), shown)
        return _put(tenant, replace(wanted, secret=stored.secret))

    return edit


def with_secret(number: str, secret: str) -> TenantEdit:
    """Gives its phone another secret."""
    return lambda tenant: _put(tenant, replace(find(tenant, number), secret=secret))


def without(number: str) -> TenantEdit:
    """Takes it away. Its edit raises InvalidParts while calls ring it or webhooks are limited to it."""

    def edit(tenant: Tenant) -> Tenant:
        gone = find(tenant, number)
        if faults := in_use(tenant, number):
            raise InvalidParts(faults)
        return replace(tenant, extensions=[one for one in tenant.extensions if one is not gone])

    return edit


def in_use(tenant: Tenant, number: str) -> list[tuple[str, str]]:
    """Why it cannot be taken away now."""
    faults = []
    if numbers := ringing(tenant, number):
        faults.append(("ring", f"calls ring it: {', '.join(numbers)}"))
    if hooks := [one.id for one in tenant.webhooks if number in one.scope.extensions]:
        faults.append(("webhooks", f"webhooks name it: {', '.join(hooks)}"))
    return faults


def face(extension: Extension) -> tuple[str, ...]:
    """What its form shows."""
    return (extension.number, extension.name, extension.email or "", extension.contact or "")


def _put(tenant: Tenant, extension: Extension) -> Tenant:
    """The first one, so that its faults are known by their path."""
    others = [one for one in tenant.extensions if one.number != extension.number]
    return replace(tenant, extensions=[extension, *others])

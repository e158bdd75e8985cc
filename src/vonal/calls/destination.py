"""What may be dialled on behalf of a tenant: the same rules for a click and for a transfer."""

import re

from msgspec import Struct

from vonal.domain import dialling, numbers
from vonal.domain.directory import Extension, Tenant
from vonal.domain.errors import (
    CallerIdForbidden,
    DestinationForbidden,
    ExtensionNotFound,
    InvalidExtension,
    InvalidNumber,
)

_EXTENSION = re.compile(r"[0-9]{2,6}")


class Destination(Struct, frozen=True, kw_only=True):
    """What is dialled: `dial` as it is sent, `number` its E.164 form (None for extensions and emergency numbers)."""

    dial: str
    number: str | None
    internal: bool


def extension_of(tenant: Tenant, text: str) -> Extension:
    """The tenant's extension `text`. Raises InvalidExtension, ExtensionNotFound."""
    number = text.strip()
    if not _EXTENSION.fullmatch(number):
        raise InvalidExtension("An extension has 2 to 6 digits.", param="extension")
    for extension in tenant.extensions:
        if extension.number == number:
            return extension
    raise ExtensionNotFound(f"There is no extension {number}.", param="extension")


def destination_of(tenant: Tenant, text: str, *, param: str = "number") -> Destination:
    """What `text` means to the tenant's phones. Raises InvalidNumber, DestinationForbidden."""
    extensions = frozenset(one.number for one in tenant.extensions)
    countries = tenant.outbound.countries if tenant.outbound else ()
    try:
        dial = dialling.resolve(text, country=tenant.country, extensions=extensions, countries=countries)
    except (InvalidNumber, DestinationForbidden) as refusal:
        raise type(refusal)(refusal.detail, param=param) from None
    internal = dial in extensions
    if not internal and tenant.outbound is None:
        raise DestinationForbidden("The tenant has no trunk to call out on.", param=param)
    return Destination(dial=dial, number=dial if dial.startswith("+") else None, internal=internal)


def caller_id_of(tenant: Tenant, text: str | None) -> str | None:
    """The number to show (E.164): the one asked for, else the tenant's. Raises CallerIdForbidden, InvalidNumber."""
    if text is None:
        return tenant.outbound.caller_id if tenant.outbound else None
    number = numbers.require(text, tenant.country, param="caller_id")
    if number not in {one.number for one in tenant.numbers}:
        raise CallerIdForbidden("The caller id must be one of the tenant's own numbers.", param="caller_id")
    return number

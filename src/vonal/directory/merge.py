"""What the directory will be when a file is applied to the stored one. Nothing here writes.

What a file says: a key it gives of a tenant (`extensions`, `webhooks`, `outbound`, …) is the whole truth about that
part; a key it does not give leaves the part as it is; tenants and trunks that it does not list stay. With `prune` the
file is the whole truth about everything. API users and keys made in the portal or by `vonal keys create` belong to no
file and stay with their tenant.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from vonal.directory import check, check_tls
from vonal.directory.reading import Document
from vonal.directory.structure import Fault
from vonal.domain.directory import Directory, Tenant
from vonal.domain.errors import DirectoryError
from vonal.domain.passwords import hash_key, hash_password, matches
from vonal.domain.principal import Credential
from vonal.store.directory import KINDS, PLURALS, Kind, PartId, Parts, directory_of, parts_of

Action = Literal["add", "change", "remove"]
_LISTS: tuple[Kind, ...] = ("extension", "number", "webhook")
_FIELDS = ("name", "language", "timezone", "outbound", "recording", "notify")
_TENANT_KEY = re.compile(r"tenants\[(\d+)\]\.([a-z_]+)")


class Change(Struct, frozen=True):
    """One part that is added, changed or removed. `tenant` is empty for a trunk."""

    action: Action
    tenant: str
    kind: Kind
    name: str


def target(document: Document, stored: Parts, *, prune: bool, extra_checks: Iterable[check.ExtraCheck]) -> Parts:
    """Everything as it will be. Raises DirectoryError with all faults."""
    wanted = document.directory if prune else _completed(document, stored)
    kept = _kept(document, stored, prune=prune)
    faults = [one for one in check.faults_of(wanted, _surroundings(kept)) if not _aged(one, document, prune=prune)]
    faults += [fault for extra in extra_checks for fault in extra(wanted)]
    # Passwords are slow to check, on purpose, so that comes last.
    faults = faults or list(_twins(wanted, kept))
    if faults:
        raise DirectoryError([_explained(fault, document, prune=prune) for fault in faults])
    beside = {part: value for part, value in document.beside.items() if value is not None}
    return {**kept, **parts_of(check.normalised(wanted), _machines(wanted, stored)), **beside}


def differences(stored: Parts, wanted: Parts) -> tuple[Change, ...]:
    """What turns the stored parts into the wanted ones."""
    found = [_change("remove", part) for part in stored if part not in wanted]
    for part, value in wanted.items():
        if part not in stored:
            found.append(_change("add", part))
        elif stored[part] != value:
            found.append(_change("change", part))
    return tuple(sorted(found, key=lambda one: (one.tenant, KINDS.index(one.kind), one.name)))


def _change(action: Action, part: PartId) -> Change:
    return Change(action, part.tenant_id, part.kind, part.name)


def _completed(document: Document, stored: Parts) -> Directory:
    """The file's directory, with what it does not say about its tenants as it is stored."""
    known = {tenant.id: tenant for tenant in directory_of(stored).tenants}
    tenants = [
        _completed_tenant(tenant, known.get(tenant.id, tenant), named)
        for tenant, named in zip(document.directory.tenants, document.named, strict=True)
    ]
    return replace(document.directory, tenants=tenants)


def _completed_tenant(tenant: Tenant, known: Tenant, named: frozenset[str]) -> Tenant:
    fields = (*_FIELDS, *(PLURALS[kind] for kind in _LISTS))
    return replace(tenant, **{field: getattr(known, field) for field in fields if field not in named})


def _kept(document: Document, stored: Parts, *, prune: bool) -> Parts:
    """The stored parts, beside those that `_completed` has, that stay whatever stands in the file."""
    named = {tenant.id: keys for tenant, keys in zip(document.directory.tenants, document.named, strict=True)}

    gone = {part.tenant_id for part, value in document.beside.items() if part.kind == "tenant" and value is None}

    def stays(part: PartId, value: Struct) -> bool:
        if part in document.beside or part.tenant_id in gone:
            return False
        if part.tenant_id not in named:
            return not prune
        if not isinstance(value, Credential):
            return False
        return value.by_command or not (prune or PLURALS[part.kind] in named[part.tenant_id])

    return {part: value for part, value in stored.items() if stays(part, value)}


def _surroundings(kept: Parts) -> check.Surroundings:
    machines = [one for one in kept.values() if isinstance(one, Credential)]
    return check.Surroundings(
        trunks=frozenset(part.name for part in kept if part.kind == "trunk"),
        numbers={part.name: part.tenant_id for part in kept if part.kind == "number"},
        keys={(one.tenant_id, one.name): one.secret_hash for one in machines if one.kind == "key"},
        users=frozenset((one.tenant_id, one.name) for one in machines if one.kind == "user"),
    )


def _twins(wanted: Directory, kept: Parts) -> Iterator[Fault]:
    """Users that another tenant, which the file does not list, has with the same password."""
    users = [one for one in kept.values() if isinstance(one, Credential) and one.kind == "user"]
    for index, tenant in enumerate(wanted.tenants):
        for place, user in enumerate(tenant.api_users):
            for other in users:
                same_name = other.name == user.user and other.tenant_id != tenant.id
                if same_name and matches(user.password, other.secret_hash):
                    yield check.same_login(f"tenants[{index}].api_users[{place}]", other.tenant_id)


def _machines(wanted: Directory, stored: Parts) -> Iterator[Credential]:
    """The file's API users and keys with their secrets hashed; a password that is the stored one keeps its hash."""
    for tenant in wanted.tenants:
        for user in tenant.api_users:
            known = stored.get(PartId(tenant.id, "api_user", user.user))
            same = isinstance(known, Credential) and matches(user.password, known.secret_hash)
            yield Credential(
                tenant_id=tenant.id,
                kind="user",
                name=user.user,
                secret_hash=known.secret_hash
                if isinstance(known, Credential) and same
                else hash_password(user.password),
                scopes=tuple(user.scopes),
                networks=tuple(user.networks),
            )
        for key in tenant.api_keys:
            yield Credential(
                tenant_id=tenant.id,
                kind="key",
                name=key.name,
                secret_hash=hash_key(key.key),
                scopes=tuple(key.scopes),
                networks=tuple(key.networks),
            )


def _aged(fault: Fault, document: Document, *, prune: bool) -> bool:
    """Whether it is the fault of time alone, in what the file does not speak of: no reason to refuse the file."""
    return fault[1].startswith(check_tls.EXPIRED) and not _given(fault, document, prune=prune)


def _given(fault: Fault, document: Document, *, prune: bool) -> bool:
    """Whether it is about what stands in the file."""
    place = _TENANT_KEY.match(fault[0])
    return prune or place is None or place[2] in document.named[int(place[1])]


def _explained(fault: Fault, document: Document, *, prune: bool) -> Fault:
    path, reason = fault
    place = _TENANT_KEY.match(path)
    if place is None or _given(fault, document, prune=prune):
        return fault
    return path, f"{reason} (as stored: the file does not give {place[2]})"

"""The directory as it is stored: one row for each trunk, tenant and part of a tenant, so that a change touches little.

Passwords and keys of machines are stored as hashes only: a loaded `Tenant` has no `api_users` and no `api_keys`; those
are `Credential`s here. Asterisk and the sender need phone and trunk secrets and webhook security themselves: their rows
are sealed (`vonal.store.vault`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Row, Select, delete, select

from vonal.domain.directory import Directory, Extension, Number, Tenant, Trunk, Webhook
from vonal.domain.principal import Credential
from vonal.store import tables, vault
from vonal.store.sql import upsert

Kind = Literal["trunk", "tenant", "extension", "number", "webhook", "api_user", "api_key"]
SEALED: tuple[Kind, ...] = ("trunk", "extension", "webhook")  # their rows hold secrets
KINDS: tuple[Kind, ...] = ("trunk", "tenant", "extension", "number", "webhook", "api_user", "api_key")
PLURALS: dict[Kind, str] = {kind: f"{kind}s" for kind in KINDS}  # as the YAML's lists are called

_TYPES: dict[Kind, type[Struct]] = {
    "trunk": Trunk,
    "tenant": Tenant,
    "extension": Extension,
    "number": Number,
    "webhook": Webhook,
}
_NAME = {"extension": "number", "number": "number", "api_user": "user", "api_key": "name"}  # the others: id
_HASH = {"api_user": "password_hash", "api_key": "key_hash"}
_LISTS: dict[str, list[Any]] = {PLURALS[kind]: [] for kind in KINDS[2:]}


class PartId(NamedTuple):
    """Names one row. `tenant_id` is empty for a trunk; a tenant's own row has its id twice."""

    tenant_id: str
    kind: Kind
    name: str


Parts = Mapping[PartId, Struct]  # Trunk, Tenant (with empty lists), Extension, Number, Webhook or Credential


def load(tenant_id: str, tx: Connection) -> Tenant | None:
    """The tenant, without its credentials."""
    parts: dict[PartId, Struct] = {}
    for kind in KINDS[1:]:
        column = "id" if kind == "tenant" else "tenant_id"
        table = tables.metadata.tables[kind]
        parts |= _read(tx, kind, select(table).where(table.c[column] == tenant_id).order_by(*table.primary_key))
    return next(iter(directory_of(parts).tenants), None)


def webhooks(tenant_id: str, tx: Connection) -> list[Webhook]:
    """The tenant's webhooks, also those that are not enabled."""
    table = tables.webhook
    rows = tx.execute(select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.id))
    texts = (vault.opened(tenant_id, tx, "webhook", row.id, row.data) for row in rows)
    return [msgspec.json.decode(text, type=Webhook) for text in texts]


def credentials(tenant_id: str, tx: Connection) -> list[Credential]:
    """The tenant's API users and API keys."""
    found: list[Credential] = []
    for kind in ("api_user", "api_key"):
        table = tables.metadata.tables[kind]
        rows = tx.execute(select(table).where(table.c.tenant_id == tenant_id).order_by(*table.primary_key))
        found += [_credential(row) for row in rows]
    return found


def any_tenant_load(tx: Connection) -> Directory:
    """The whole directory, without the tenants' credentials."""
    return directory_of(any_tenant_parts(tx))


def any_tenant_parts(tx: Connection) -> Parts:
    """Every row of the directory."""
    parts: dict[PartId, Struct] = {}
    for kind in KINDS:
        table = tables.metadata.tables[kind]
        parts |= _read(tx, kind, select(table).order_by(*table.primary_key))
    return parts


def any_tenant_save(tx: Connection, parts: Parts) -> None:
    """Adds the parts, or overwrites those that are there."""
    for kind in KINDS:
        rows = [_row(tx, part, value) for part, value in parts.items() if part.kind == kind]
        if kind == "api_key":  # two keys may change their names with each other, and each key is unique
            any_tenant_remove(tx, [part for part in parts if part.kind == kind])
        table = tables.metadata.tables[kind]
        upsert(tx, table, rows, key=[column.name for column in table.primary_key])


def any_tenant_remove(tx: Connection, parts: Iterable[PartId]) -> None:
    """Removes the parts; a tenant with all that is in it (its calls and recordings stay)."""
    for part in sorted(parts, key=lambda one: KINDS.index(one.kind), reverse=True):
        table = tables.metadata.tables[part.kind]
        statement = delete(table).where(table.c[_NAME.get(part.kind, "id")] == part.name)
        tx.execute(statement if "tenant_id" not in table.c else statement.where(table.c.tenant_id == part.tenant_id))


def any_tenant_credentials_by_user(tx: Connection, user: str) -> list[Credential]:
    """The API users of this name, in whatever tenants."""
    return [_credential(row) for row in tx.execute(select(tables.api_user).where(tables.api_user.c.user == user))]


def any_tenant_credential_by_key_hash(tx: Connection, key_hash: str) -> Credential | None:
    """The API key with this hash."""
    row = tx.execute(select(tables.api_key).where(tables.api_key.c.key_hash == key_hash)).one_or_none()
    return _credential(row) if row else None


def directory_of(parts: Parts) -> Directory:
    """Puts the parts together; credentials are left out."""
    lists: dict[str, dict[str, list[Any]]] = {}
    for part, value in parts.items():
        if part.kind in ("extension", "number", "webhook"):
            lists.setdefault(part.tenant_id, {}).setdefault(PLURALS[part.kind], []).append(value)
    return Directory(
        trunks=[value for value in parts.values() if isinstance(value, Trunk)],
        tenants=[
            msgspec.structs.replace(value, **lists.get(value.id, {}))
            for value in parts.values()
            if isinstance(value, Tenant)
        ],
    )


def parts_of(directory: Directory, machines: Iterable[Credential] = ()) -> dict[PartId, Struct]:
    """Takes the directory apart. Its API users and keys are left out: `machines` are they, with hashed secrets."""
    parts: dict[PartId, Struct] = {PartId("", "trunk", trunk.id): trunk for trunk in directory.trunks}
    for tenant in directory.tenants:
        parts[PartId(tenant.id, "tenant", tenant.id)] = msgspec.structs.replace(tenant, **_LISTS)
        parts |= {PartId(tenant.id, "extension", one.number): one for one in tenant.extensions}
        parts |= {PartId(tenant.id, "number", one.number): one for one in tenant.numbers}
        parts |= {PartId(tenant.id, "webhook", one.id): one for one in tenant.webhooks}
    return parts | {credential_part(one): one for one in machines}


def credential_part(credential: Credential) -> PartId:
    """The id of the row that holds this credential."""
    return PartId(credential.tenant_id, "api_user" if credential.kind == "user" else "api_key", credential.name)


def part_of(kind: Kind, row: Row[Any]) -> PartId:
    """The id of this row of a kind's table."""
    name = getattr(row, _NAME.get(kind, "id"))
    if kind == "trunk":
        return PartId("", kind, name)
    return PartId(row.id if kind == "tenant" else row.tenant_id, kind, name)


def _read(tx: Connection, kind: Kind, query: Select[Any]) -> dict[PartId, Struct]:
    rows = tx.execute(query)
    if kind in _HASH:
        return {credential_part(one): one for one in map(_credential, rows)}
    decode = msgspec.json.Decoder(_TYPES[kind]).decode
    return {part: decode(_text(tx, part, row.data)) for row in rows if (part := part_of(kind, row))}


def _text(tx: Connection, part: PartId, data: str) -> str:
    return vault.opened(part.tenant_id, tx, part.kind, part.name, data) if part.kind in SEALED else data


class _Rights(Struct, frozen=True):
    """What a credential's row says beside its name and hash."""

    scopes: tuple[Literal["call", "recording", "read"], ...]
    networks: tuple[str, ...] = ()
    by_command: bool = False
    ends: str = ""


def _credential(row: Row[Any]) -> Credential:
    rights = msgspec.json.decode(row.data, type=_Rights)
    is_user = "user" in row._fields
    return Credential(
        tenant_id=row.tenant_id,
        kind="user" if is_user else "key",
        name=row.user if is_user else row.name,
        secret_hash=row.password_hash if is_user else row.key_hash,
        scopes=rights.scopes,
        networks=rights.networks,
        by_command=rights.by_command,
        ends=rights.ends,
    )


def _row(tx: Connection, part: PartId, value: Struct) -> dict[str, str]:
    row = {_NAME.get(part.kind, "id"): part.name}
    if part.kind not in ("trunk", "tenant"):
        row["tenant_id"] = part.tenant_id
    if isinstance(value, Credential):
        rights = _Rights(value.scopes, value.networks, value.by_command, value.ends)
        return {**row, _HASH[part.kind]: value.secret_hash, "data": msgspec.json.encode(rights).decode()}
    text = msgspec.json.encode(value).decode()
    if part.kind in SEALED:
        text = vault.sealed(part.tenant_id, tx, part.kind, part.name, text)
    return {**row, "data": text}

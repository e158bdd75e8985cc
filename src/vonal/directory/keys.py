"""API keys made by hand, beside those of the file. They work at once: the service looks every key up."""

from collections.abc import Sequence

from sqlalchemy import Connection

from vonal.directory.check import is_network
from vonal.directory.passwords import hash_key, new_key
from vonal.domain.directory import Scope
from vonal.domain.errors import DirectoryError
from vonal.domain.principal import Credential
from vonal.store import directory as store
from vonal.store.database import Database

LONGEST_NAME = 128


def create(
    db: Database, tenant_id: str, *, name: str, scopes: Sequence[Scope], networks: Sequence[str] = ()
) -> tuple[str, Credential]:
    """A new key, which is never to be seen again, and what is stored of it. Raises DirectoryError."""
    faults = [("network", f"{one} is no network, such as 192.0.2.0/24") for one in networks if not is_network(one)]
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        faults.append(("name", f"expected 1 to {LONGEST_NAME} printable characters"))
    if faults:
        raise DirectoryError(faults)
    key = new_key()
    made = Credential(
        tenant_id=tenant_id,
        kind="key",
        name=name,
        secret_hash=hash_key(key),
        scopes=tuple(dict.fromkeys(scopes)),
        networks=tuple(networks),
        by_command=True,
    )
    db.submit(lambda tx: _add(tx, made)).result()
    return key, made


def existing(db: Database, tenant_id: str) -> list[Credential]:
    """The tenant's keys. Raises DirectoryError when there is no such tenant."""
    return db.read_now(lambda tx: _keys(tx, tenant_id))


def revoke(db: Database, tenant_id: str, name: str) -> None:
    """Ends a key, whoever made it (one of a file comes back with the file). Raises DirectoryError."""
    db.submit(lambda tx: _revoke(tx, tenant_id, name)).result()


def _add(tx: Connection, made: Credential) -> None:
    if any(one.name == made.name for one in _keys(tx, made.tenant_id)):
        raise DirectoryError([("name", f"tenant {made.tenant_id} has a key {made.name} already")])
    store.any_tenant_save(tx, {store.credential_part(made): made})


def _revoke(tx: Connection, tenant_id: str, name: str) -> None:
    found = [store.credential_part(one) for one in _keys(tx, tenant_id) if one.name == name]
    if not found:
        raise DirectoryError([("name", f"tenant {tenant_id} has no key {name}")])
    store.any_tenant_remove(tx, found)


def _keys(tx: Connection, tenant_id: str) -> list[Credential]:
    if store.load(tenant_id, tx) is None:
        raise DirectoryError([("tenant", f"tenant {tenant_id} does not exist")])
    return [one for one in store.credentials(tenant_id, tx) if one.kind == "key"]

"""API keys made by hand, beside those of the file. They work at once: the service looks every key up."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from vonal.directory import access
from vonal.directory.apply import apply
from vonal.directory.editing import CredentialsEdit, with_credentials
from vonal.domain.directory import Scope
from vonal.domain.errors import DirectoryError, InvalidParts, NotFound
from vonal.domain.principal import Credential
from vonal.store import directory as store
from vonal.store.database import Database


def create(
    db: Database, tenant_id: str, *, name: str, scopes: Sequence[Scope], networks: Sequence[str] = ()
) -> tuple[str, Credential]:
    """A new key, which is never to be seen again, and what is stored of it. Raises DirectoryError."""
    try:
        made = access.make(tenant_id, kind="key", name=name, scopes=scopes, networks=networks)
    except InvalidParts as fault:
        raise DirectoryError(list(fault.faults)) from fault
    _edit(db, tenant_id, access.added(made.credential))
    return made.secret, made.credential


def existing(db: Database, tenant_id: str) -> list[Credential]:
    """The tenant's keys. Raises DirectoryError when there is no such tenant."""
    return db.read_now(lambda tx: _keys(tx, tenant_id))


def revoke(db: Database, tenant_id: str, name: str) -> None:
    """Ends a key, whoever made it (one of a file comes back with the file). Raises DirectoryError."""
    if all(one.name != name for one in existing(db, tenant_id)):
        raise DirectoryError([("name", f"tenant {tenant_id} has no key {name}")])
    _edit(db, tenant_id, access.without("key", name))


def _edit(db: Database, tenant_id: str, edit: CredentialsEdit) -> None:
    try:
        apply(db, partial(with_credentials, tenant_id, edit))
    except NotFound as fault:
        raise DirectoryError([("tenant", f"tenant {tenant_id} does not exist")]) from fault
    except InvalidParts as fault:
        raise DirectoryError(list(fault.faults)) from fault


def _keys(tx: Connection, tenant_id: str) -> list[Credential]:
    if store.load(tenant_id, tx) is None:
        raise DirectoryError([("tenant", f"tenant {tenant_id} does not exist")])
    return [one for one in store.credentials(tenant_id, tx) if one.kind == "key"]

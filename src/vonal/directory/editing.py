"""Changes that people make to the directory: worked out of what is stored, checked and logged as `vonal apply`'s.

An edit is a function of what is stored, called anew whenever somebody else was quicker, so that it overwrites nothing
of theirs. A form shows a whole part, so it carries the part's `digest`, and `unchanged` says when the part is another.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from vonal.directory import check, structure
from vonal.directory.apply import Changes, apply
from vonal.directory.check import ExtraCheck
from vonal.directory.reading import Document
from vonal.domain.audit import COMMAND, Actor
from vonal.domain.directory import Directory, Tenant
from vonal.domain.errors import DirectoryError, InvalidParts, NotFound, VonalError
from vonal.domain.principal import Credential
from vonal.domain.secrets import without_secrets
from vonal.store.database import Database
from vonal.store.directory import PartId, Parts, credential_part, directory_of

TenantEdit = Callable[[Tenant], Tenant]
CredentialsEdit = Callable[[Sequence[Credential]], Iterable[Credential]]
DirectoryEdit = Callable[[Directory], Directory]
T = TypeVar("T")
_HERE = "tenants[0]."


class ChangedMeanwhile(VonalError):
    """What the form shows was changed by somebody else since."""

    status, code, title, fault = 409, "changed_meanwhile", "Somebody else has changed this meanwhile", "theirs"


class Editor:
    """`checks` are those of `vonal apply`; `taken_in(version)` returns when the service works with this directory.

    All raise InvalidParts with every fault, DirectoryBusy, NotInEffect, and whatever the edit raises. `by` is who does
    it, for the audit log.
    """

    def __init__(
        self, db: Database, *, checks: Iterable[ExtraCheck], taken_in: Callable[[int], Awaitable[None]]
    ) -> None:
        self._db, self._checks, self._taken_in = db, tuple(checks), taken_in
        self._one_at_a_time = asyncio.Lock()  # other processes' changes are seen by the directory's version

    async def tenant(
        self,
        tenant_id: str,
        edit: TenantEdit,
        *,
        by: Actor,
        checks: Iterable[ExtraCheck] = (),
        only_check: bool = False,
    ) -> Tenant:
        """Edits the tenant (without its credentials), and returns it as it is now, or would be.

        A fault's path begins in the tenant: `numbers[0].ring[1]`. Only what the edit changes is written. `checks` come
        beside the editor's own. Raises NotFound when there is no such tenant.
        """
        documents: list[Document] = []

        def wanted(stored: Parts) -> Document:
            before = _tenant(tenant_id, stored)
            documents.append(_edited(before, edit(before)))
            return documents[-1]

        try:
            await self._change(wanted, by=by, checks=checks, only_check=only_check)
        except DirectoryError as fault:
            raise InvalidParts([(path.removeprefix(_HERE), reason) for path, reason in fault.faults]) from fault
        return check.normalised(documents[-1].directory).tenants[0]

    async def credentials(self, tenant_id: str, edit: CredentialsEdit, *, by: Actor) -> None:
        """Edits the tenant's API users and keys, of which only hashes are known; see `vonal.directory.access`.

        Raises NotFound when there is no such tenant.
        """

        await self._change(partial(with_credentials, tenant_id, edit), by=by)

    async def directory(self, edit: DirectoryEdit, *, by: Actor) -> Directory:
        """Edits trunks and tenants, whole ones too; credentials stay with their tenants. Returns the directory.

        A fault's path is a trunk's or tenant's own: `carrier.address`, `acme.outbound.trunk`.
        """
        documents: list[Document] = []
        edited: list[Directory] = []

        def wanted(stored: Parts) -> Document:
            before = directory_of(stored)
            edited.append(edit(before))
            documents.append(_differing(before, edited[-1]))
            return documents[-1]

        try:
            await self._change(wanted, by=by)
        except DirectoryError as fault:
            raise InvalidParts([(_by_id(path, documents[-1]), reason) for path, reason in fault.faults]) from fault
        return check.normalised(edited[-1])

    async def _change(
        self,
        wanted: Callable[[Parts], Document],
        *,
        by: Actor = COMMAND,
        checks: Iterable[ExtraCheck] = (),
        only_check: bool = False,
    ) -> Changes:
        run = partial(
            apply, self._db, wanted, check=only_check, extra_checks=[*self._checks, *checks], by=by
        )  # blocks: it reads, hashes and writes
        async with self._one_at_a_time:
            changes = await asyncio.to_thread(run)
        if changes.items and not only_check:
            await self._taken_in(changes.version)
        return changes


def with_credentials(tenant_id: str, edit: CredentialsEdit, stored: Parts) -> Document:
    """What `apply` is told about this edit. Raises NotFound when there is no such tenant."""
    _tenant(tenant_id, stored)
    before = [one for one in stored.values() if isinstance(one, Credential) and one.tenant_id == tenant_id]
    after = {credential_part(one): one for one in edit(before)}
    return Document(beside={**dict.fromkeys(map(credential_part, before)), **after})


def read(sent: Mapping[str, Any], wanted: type[T]) -> T:
    """A part of the directory out of a form's texts; what is None has its default. Raises InvalidParts."""
    cleaned, faults = structure.read({name: one for name, one in sent.items() if one is not None}, wanted)
    if faults:
        raise InvalidParts(faults)
    return msgspec.convert(cleaned, wanted)


def digest(part: Any) -> str:
    """Names a part of the directory as a form shows it, without its secrets."""
    text = msgspec.json.encode(without_secrets(part), order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def unchanged(part: Any, shown: str) -> None:
    """Raises ChangedMeanwhile when the part is another than the one that was shown."""
    if digest(part) != shown:
        raise ChangedMeanwhile(
            "Somebody else has changed this since you opened the page. Look at it as it is now, and save again if you "
            "still want to."
        )


def _tenant(tenant_id: str, stored: Parts) -> Tenant:
    own = {part: one for part, one in stored.items() if part.tenant_id == tenant_id}
    found = directory_of(own).tenants
    if not found:
        raise NotFound("There is no such company any more.")
    return found[0]


def _edited(before: Tenant, after: Tenant) -> Document:
    """Says no more than what the edit changes: other parts' faults, such as a certificate too old, are not its own."""
    names = (name for name in after.__struct_fields__ if getattr(after, name) != getattr(before, name))
    return Document(directory=Directory(tenants=[after]), named=(frozenset(names),))


def _differing(before: Directory, after: Directory) -> Document:
    trunks = {one.id for one in after.trunks}
    known = {one.id: one for one in before.tenants}
    # A trunk that is gone may be somebody's way out: such tenants are looked at, too.
    seen = [
        one for one in after.tenants if one != known.get(one.id) or (one.outbound and one.outbound.trunk not in trunks)
    ]
    kept = {one.id for one in after.tenants}
    gone = [PartId("", "trunk", one.id) for one in before.trunks if one.id not in trunks]
    gone += [PartId(one.id, "tenant", one.id) for one in before.tenants if one.id not in kept]
    return Document(
        directory=Directory(trunks=after.trunks, tenants=seen),
        named=tuple(_names(known.get(one.id), one) for one in seen),
        beside=dict.fromkeys(gone),
    )


def _names(before: Tenant | None, after: Tenant) -> frozenset[str]:
    if before is None:
        return frozenset(after.__struct_fields__)
    return _edited(before, after).named[0]


def _by_id(path: str, document: Document) -> str:
    """`tenants[3].name` → `acme.name`: positions mean nothing to who sees the whole list elsewhere."""
    ids = {f"trunks[{index}]": one.id for index, one in enumerate(document.directory.trunks)}
    ids |= {f"tenants[{index}]": one.id for index, one in enumerate(document.directory.tenants)}
    for place, id_ in ids.items():
        if path.startswith(place):
            return f"{id_}{path.removeprefix(place)}"
    return path

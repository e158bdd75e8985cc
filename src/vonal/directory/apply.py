"""Makes the stored directory as a file says: all of it or, with one fault, nothing. What a file says: see `merge`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct
from sqlalchemy import Connection

from vonal.directory import merge
from vonal.directory.check import ExtraCheck
from vonal.directory.merge import Action, Change
from vonal.directory.reading import Document, everything
from vonal.domain.audit import COMMAND, Actor, Entry
from vonal.domain.directory import Directory
from vonal.domain.errors import VonalError
from vonal.domain.secrets import without_secrets
from vonal.store import audit, settings
from vonal.store import directory as store
from vonal.store.database import Database
from vonal.store.directory import PLURALS, PartId, Parts
from vonal.store.sql import to_ms

SIGNS: dict[Action, str] = {"add": "+", "change": "~", "remove": "-"}
TRIES = 5
Wanted = Document | Directory | Callable[[Parts], Document]


class DirectoryBusy(VonalError):
    """Somebody else keeps changing the directory at the same time."""

    status, code, title, retryable = 503, "directory_busy", "The directory is being changed by others", True


class Changes(Struct, frozen=True, kw_only=True):
    """What apply did, or with `check` would do, and the directory's version in which that is so."""

    version: int
    items: tuple[Change, ...]

    def summary(self) -> list[str]:
        """One line for each trunk and tenant that changes: `tenant acme: +2 extensions, ~1 number, -1 webhook`."""
        lines = [f"{SIGNS[one.action]} trunk {one.name}" for one in self.items if one.kind == "trunk"]
        for tenant in dict.fromkeys(one.tenant for one in self.items if one.tenant):
            own = [one for one in self.items if one.tenant == tenant]
            whole = [SIGNS[one.action] for one in own if one.kind == "tenant"]
            counted = ", ".join(_counted(one for one in own if one.kind != "tenant"))
            lines.append(f"{''.join(whole) and whole[0] + ' '}tenant {tenant}{counted and ': ' + counted}")
        return lines


def apply(
    db: Database,
    wanted: Wanted,
    *,
    prune: bool = False,
    check: bool = False,
    extra_checks: Iterable[ExtraCheck] = (),
    by: Actor = COMMAND,
) -> Changes:
    """Makes the directory so; with `check` only says what would change. Blocks: not for an event loop's thread.

    What changes is written into the audit log, as done by `by`, in the same transaction.

    A `Directory` says something about every part of its tenants. A function is given what is stored, anew whenever
    somebody else was quicker. Raises DirectoryError with all faults.
    """
    said = everything(wanted) if isinstance(wanted, Directory) else wanted
    extra = tuple(extra_checks)
    for _ in range(TRIES):
        version, stored = db.read_now(_read)
        document = said if isinstance(said, Document) else said(stored)
        target = merge.target(document, stored, prune=prune, extra_checks=extra)
        changes = merge.differences(stored, target)
        if check or not changes:
            return Changes(version=version, items=changes)
        entries = [_entry(one, stored, target, by) for one in changes]
        written = db.submit(partial(_write, version=version, target=target, changes=changes, entries=entries)).result()
        if written is not None:
            return Changes(version=written, items=changes)
    raise DirectoryBusy("The directory was changed by others at the same time; try again.")


def _read(tx: Connection) -> tuple[int, Parts]:
    return settings.any_tenant_directory_version(tx), store.any_tenant_parts(tx)


def _entry(change: Change, stored: Parts, target: Parts, by: Actor) -> Entry:
    part = PartId(change.tenant, change.kind, change.name)
    return Entry(
        tenant_id=change.tenant,
        at=to_ms(datetime.now(UTC)),
        actor=by,
        action=change.action,
        kind=change.kind,
        name=change.name,
        before=without_secrets(stored[part]) if part in stored else None,
        after=without_secrets(target[part], before=stored.get(part)) if part in target else None,
    )


def _write(
    tx: Connection, *, version: int, target: Parts, changes: Iterable[Change], entries: Iterable[Entry]
) -> int | None:
    """The new version, or None when the directory is no longer the one that the changes were made for."""
    if settings.any_tenant_lock_directory(tx) != version:
        return None
    actions = {PartId(one.tenant, one.kind, one.name): one.action for one in changes}
    store.any_tenant_remove(tx, [part for part, action in actions.items() if action == "remove"])
    store.any_tenant_save(tx, {part: target[part] for part, action in actions.items() if action != "remove"})
    audit.any_tenant_add(tx, entries)
    return settings.any_tenant_raise_directory_version(tx)


def _counted(changes: Iterable[Change]) -> Iterator[str]:
    for (kind, action), count in Counter((one.kind, one.action) for one in changes).items():
        words = (kind if count == 1 else PLURALS[kind]).replace("api_", "API ")
        yield f"{SIGNS[action]}{count} {words}"

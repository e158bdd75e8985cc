"""API users and keys as people make them, change them and take them away. Pure; `Editor.credentials` carries it out.

We make the secret: a key or password is long and random, shown once, and stored as a hash. What is made so belongs to
no file (`by_command`), and no file takes it away.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from vonal.directory.check import is_network
from vonal.directory.editing import CredentialsEdit
from vonal.directory.structure import Fault
from vonal.domain.directory import SCOPES, Scope
from vonal.domain.errors import InvalidParts, NotFound
from vonal.domain.passwords import hash_key, hash_password, new_key
from vonal.domain.principal import Credential, CredentialKind

LONGEST_NAME = 128
MOST = 100  # of a tenant; each may be a program that nobody remembers
_ENDS = 4
_PASSWORD_BYTES = 18


class Made(Struct, frozen=True, kw_only=True):
    """A new credential, and its secret, which is never to be seen again."""

    credential: Credential
    secret: str


def make(tenant_id: str, *, kind: CredentialKind, name: str, scopes: Sequence[str], networks: Sequence[str]) -> Made:
    """A new API user or key. Raises InvalidParts."""
    faults = [*_name_faults(name), *_rights_faults(scopes, networks)]
    if faults:
        raise InvalidParts(faults)
    secret = new_key() if kind == "key" else secrets.token_urlsafe(_PASSWORD_BYTES)
    made = Credential(
        tenant_id=tenant_id,
        kind=kind,
        name=name,
        secret_hash=hash_key(secret) if kind == "key" else hash_password(secret),
        scopes=_ordered(scopes),
        networks=tuple(networks),
        by_command=True,
        ends=secret[-_ENDS:] if kind == "key" else "",
    )
    return Made(credential=made, secret=secret)


def added(made: Credential) -> CredentialsEdit:
    """Puts it beside the others. Raises InvalidParts when its name is taken."""

    def edit(stored: Sequence[Credential]) -> Iterable[Credential]:
        if any(_is(one, made.kind, made.name) for one in stored):
            raise InvalidParts([("name", "is taken by another; choose a name that says what it is for")])
        if len(stored) >= MOST:
            raise InvalidParts([("", f"there are {MOST} already; delete those that nothing uses")])
        return [*stored, made]

    return edit


def with_rights(
    kind: CredentialKind,
    name: str,
    *,
    scopes: Sequence[str],
    networks: Sequence[str],
    seen: Callable[[Credential], None],
) -> CredentialsEdit:
    """Gives it other scopes and networks; `seen` is called with it as stored. Raises InvalidParts, NotFound."""
    if faults := list(_rights_faults(scopes, networks)):
        raise InvalidParts(faults)

    def edit(stored: Sequence[Credential]) -> Iterable[Credential]:
        seen(find(stored, kind, name))
        return [
            replace(one, scopes=_ordered(scopes), networks=tuple(networks)) if _is(one, kind, name) else one
            for one in stored
        ]

    return edit


def without(kind: CredentialKind, name: str) -> CredentialsEdit:
    """Ends it. Raises NotFound."""

    def edit(stored: Sequence[Credential]) -> Iterable[Credential]:
        gone = find(stored, kind, name)
        return [one for one in stored if one is not gone]

    return edit


def find(stored: Iterable[Credential], kind: str, name: str) -> Credential:
    """The one of this kind and name. Raises NotFound."""
    for one in stored:
        if _is(one, kind, name):
            return one
    raise NotFound("There is no API user or key of this name.")


def _is(one: Credential, kind: str, name: str) -> bool:
    return (one.kind, one.name) == (kind, name)


def _ordered(scopes: Sequence[str]) -> tuple[Scope, ...]:
    return tuple(one for one in SCOPES if one in scopes)


def _name_faults(name: str) -> Iterable[Fault]:
    if not name:
        yield "name", "is empty"
    elif len(name) > LONGEST_NAME:
        yield "name", f"is longer than {LONGEST_NAME} characters"
    elif not name.isprintable():
        yield "name", "contains a character that cannot be seen"


def _rights_faults(scopes: Sequence[str], networks: Sequence[str]) -> Iterable[Fault]:
    if unknown := sorted(set(scopes) - set(SCOPES)):
        yield "scopes", f"{unknown[0]} is none of {', '.join(SCOPES)}"
    elif not scopes:
        yield "scopes", "choose at least one: without any it may do nothing"
    for index, one in enumerate(networks):
        if not is_network(one):
            yield f"networks[{index}]", f"{one[:80]} is no network, such as 192.0.2.0/24"

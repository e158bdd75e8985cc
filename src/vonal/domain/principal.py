"""Who is speaking: a machine of one tenant, by user and password or by key, and what it may do."""

import ipaddress
from typing import Literal

from msgspec import Struct

from vonal.domain.directory import Scope

CredentialKind = Literal["user", "key"]


class Credential(Struct, frozen=True, kw_only=True):
    """An API user or API key as it is stored: only a hash of the secret (Argon2id of a password, SHA-256 of a key).

    `networks`: CIDR, none means from anywhere. `by_command`: made in the portal or by `vonal keys create`, so that no
    file names it. `ends`: the last characters of a key that we made, by which people know it again.
    """

    tenant_id: str
    kind: CredentialKind
    name: str
    secret_hash: str
    scopes: tuple[Scope, ...]
    networks: tuple[str, ...] = ()
    by_command: bool = False
    ends: str = ""


class Principal(Struct, frozen=True, kw_only=True):
    """The credentials of a request, found to be right. `networks`: CIDR, none means from anywhere."""

    tenant_id: str
    kind: CredentialKind
    name: str
    scopes: frozenset[Scope]
    networks: tuple[str, ...] = ()

    def may(self, scope: Scope) -> bool:
        """Whether the credentials carry the scope."""
        return scope in self.scopes

    def may_come_from(self, address: str) -> bool:
        """Whether the credentials may be used from this IP address. An IPv4 address may come dressed as IPv6."""
        if not self.networks:
            return True
        try:
            seen = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(seen, ipaddress.IPv6Address) and seen.ipv4_mapped:
            seen = seen.ipv4_mapped
        return any(seen in ipaddress.ip_network(network) for network in self.networks)

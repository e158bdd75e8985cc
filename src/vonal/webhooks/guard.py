"""Which addresses webhooks may reach: the public internet, and what the operator allows. Pure, and closed by default.

It is asked about the address really connected to, after name resolution, so no spelling of a host and no name that
changes its address passes by it.
"""

import ipaddress
from collections.abc import Iterable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
PUBLIC_PORTS = (80, 443)
FIRST_FREE_PORT = 1024

_UNICAST_6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
            "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
            "168.63.129.16/32",  # a cloud's metadata service on a public address
            "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        ),
    )
)  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


def permits(host: str, port: int, allow: Iterable[IPNetwork], *, plain: bool) -> bool:
    """Whether a connection to this IP address and port may be opened; `plain`: without TLS, only to `allow`ed ones."""
    try:
        address = unwrapped(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return False
    if any(address in network for network in allow if network.version == address.version):
        return True
    return not plain and _is_public(address) and (port in PUBLIC_PORTS or port >= FIRST_FREE_PORT)


def unwrapped(address: IPAddress) -> IPAddress:
    """The IPv4 address inside an IPv6 one (mapped, compatible, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_public(address: IPAddress) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC if network.version == address.version)

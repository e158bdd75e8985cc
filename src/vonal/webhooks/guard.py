"""Which addresses webhooks may reach: the public internet, and what the operator allows. Pure, and closed by default.

`permits` is asked about the address really connected to, after name resolution, so no spelling of a host and no name
that changes its address passes by it. `fault_of_url` only tells early what `permits` would say later.
"""

import ipaddress
import re
import socket
from collections.abc import Collection, Iterable
from urllib.parse import SplitResult, unquote, urlsplit

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
LOCAL_NAMES = ("localhost", "local", "internal")
NO_ADDRESS = "expected an address such as https://crm.example/calls"
NOT_ALLOWED = "is not allowed for webhooks (VONAL_WEBHOOK_ALLOW)"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]|\s")
_NAME = re.compile(r"[a-z0-9._-]+")
_COMPATIBLE = ipaddress.ip_network("::/96")


def permits(host: str, port: int, allow: Iterable[IPNetwork], *, plain: bool) -> bool:
    """Whether a connection to this IP address and port may be opened; `plain`: without TLS, only to `allow`ed ones."""
    try:
        address = unwrapped(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return False
    if any(address in network for network in allow if network.version == address.version):
        return True
    return not plain and _is_public(address) and _open_port(port)


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


def fault_of_url(url: str, allow: Collection[IPNetwork]) -> str | None:
    """What can be said against a webhook's URL before any connection, or None.

    Host names are not resolved: of those only the ones that are never public are told.
    """
    parts = _split(url)
    if parts is None:
        return NO_ADDRESS
    if parts.username is not None or parts.password is not None:
        return "holds a user or password; put them into security, type basic"
    host, plain = _host(parts.hostname or ""), parts.scheme == "http"
    port = parts.port if parts.port is not None else (80 if plain else 443)
    if not host or port == 0:
        return NO_ADDRESS
    if ":" in host or _looks_like_ipv4(host):
        address = _literal(host)
        return NO_ADDRESS if address is None else _fault_of_address(address, port, allow, plain=plain)
    return _fault_of_name(host, port, allow, plain=plain)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or _NEVER_IN_URLS.search(url):
        return None
    return parts


def _host(host: str) -> str:
    """As it will be resolved: percent signs decoded, letters and dots of other alphabets as in ASCII (RFC 3490).

    Empty when it is none.
    """
    try:
        read = unquote(host, errors="strict").encode("idna").decode().lower().removesuffix(".")
    except ValueError:
        return ""
    return read if ":" in read or _NAME.fullmatch(read) else ""


def _literal(host: str) -> IPAddress | None:
    """The address that resolvers read in the host: also `127.1`, `0x7f000001`, `017700000001`, `[::1%eth0]`."""
    try:
        if ":" in host:
            return ipaddress.IPv6Address(host.partition("%")[0])
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (ValueError, OSError):
        return None


def _looks_like_ipv4(host: str) -> bool:
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", host.rpartition(".")[2]) is not None


def _fault_of_address(address: IPAddress, port: int, allow: Collection[IPNetwork], *, plain: bool) -> str | None:
    if permits(str(address), port, allow, plain=plain):
        return None
    if not permits(str(address), PUBLIC_PORTS[-1], allow, plain=False):
        return f"the address {address} {NOT_ALLOWED}"
    return f"plain http {NOT_ALLOWED}" if plain else f"port {port} {NOT_ALLOWED}"


def _fault_of_name(host: str, port: int, allow: Collection[IPNetwork], *, plain: bool) -> str | None:
    if host.rpartition(".")[2] == LOCAL_NAMES[0]:
        here = [ipaddress.ip_address(one) for one in ("127.0.0.1", "::1")]
        allowed = any(one in network for one in here for network in allow)
        return None if allowed else f"{host} {NOT_ALLOWED}"
    if allow:  # the name may stand for one of these
        return None
    if host.rpartition(".")[2] in LOCAL_NAMES:
        return f"{host} {NOT_ALLOWED}"
    if plain:
        return f"plain http {NOT_ALLOWED}"
    return None if _open_port(port) else f"port {port} {NOT_ALLOWED}"


def _open_port(port: int) -> bool:
    return port in PUBLIC_PORTS or port >= FIRST_FREE_PORT

"""Whether the parts of a directory fit together. Pure; every fault with its path in the YAML."""

import ipaddress
import re
import zoneinfo
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache

import phonenumbers
from msgspec import Struct
from msgspec.structs import replace

from vonal.directory import check_webhook
from vonal.directory.structure import Fault, did_you_mean
from vonal.domain import numbers
from vonal.domain.directory import Directory, Number, Outbound, Tenant, Trunk
from vonal.domain.passwords import hash_key

RESERVED = "trunk"  # so begin the phone system's own names of trunks
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NOTIFIED = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_HOST.pattern}")  # RFC 5321, without its quotes
MOST_NOTIFIED = 10
_SIP_URI = re.compile(
    r"sips?:([A-Za-z0-9_.!~*'()&=+$,;?/%-]+@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(;[A-Za-z0-9_.!~*+%=-]+)*"
)
ExtraCheck = Callable[[Directory], Iterable[Fault]]


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is stored and stays, beside what is being checked.

    `trunks`: their ids; `numbers`: E.164 → tenant id; `keys`: (tenant id, name of the API key) → hash of the key;
    `users`: (tenant id, name) of API users.
    """

    trunks: frozenset[str] = frozenset()
    numbers: Mapping[str, str] = {}
    keys: Mapping[tuple[str, str], str] = {}
    users: frozenset[tuple[str, str]] = frozenset()


def faults_of(directory: Directory, stays: Surroundings) -> list[Fault]:
    """All faults; none means that the directory can be taken into service."""
    return _Check(directory, stays).run()


def normalised(directory: Directory) -> Directory:
    """The directory, known to be sound, with every number in its E.164 form."""
    return replace(directory, tenants=[_normalised(tenant) for tenant in directory.tenants])


def _normalised(tenant: Tenant) -> Tenant:
    def e164(text: str) -> str:
        return numbers.read(text, tenant.country) or text

    outbound = tenant.outbound
    return replace(
        tenant,
        numbers=[replace(one, number=e164(one.number)) for one in tenant.numbers],
        outbound=replace(outbound, caller_id=e164(outbound.caller_id)) if outbound else None,
        webhooks=[
            replace(one, scope=replace(one.scope, numbers=[e164(number) for number in one.scope.numbers]))
            for one in tenant.webhooks
        ],
    )


class _Check:
    def __init__(self, directory: Directory, stays: Surroundings) -> None:
        self.directory = directory
        self.trunks = stays.trunks | {trunk.id for trunk in directory.trunks}
        self.numbers = dict(stays.numbers)
        self.keys, self.users = stays.keys, stays.users
        self.key_owners = {key_hash: owner for owner, key_hash in stays.keys.items()}
        self.passwords: dict[tuple[str, str], str] = {}
        self.faults: list[Fault] = []

    def run(self) -> list[Fault]:
        self.once("trunks", "id", [trunk.id for trunk in self.directory.trunks])
        for index, trunk in enumerate(self.directory.trunks):
            self.trunk(f"trunks[{index}]", trunk)
        self.once("tenants", "id", [tenant.id for tenant in self.directory.tenants])
        for index, tenant in enumerate(self.directory.tenants):
            self.tenant(f"tenants[{index}]", tenant)
        return self.faults

    def fault(self, path: str, reason: str) -> None:
        self.faults.append((path, reason))

    def once(self, path: str, field: str, values: list[str]) -> None:
        seen: set[Hashable] = set()
        for index, value in enumerate(values):
            if value in seen:
                self.fault(f"{path}[{index}]{field and f'.{field}'}", f"{value} stands twice")
            seen.add(value)

    def trunk(self, path: str, trunk: Trunk) -> None:
        if not is_address(trunk.address):
            self.fault(f"{path}.address", "expected HOST or HOST:PORT, such as sip.carrier.example:5060")
        for index, one in enumerate(trunk.match):
            if not (is_address(one) or is_network(one)):
                self.fault(f"{path}.match[{index}]", "expected ADDRESS or ADDRESS:PORT, such as 198.51.100.7:5060")
        if trunk.register:
            for field in ("username", "password"):
                if not getattr(trunk, field):
                    self.fault(f"{path}.{field}", "is missing: a trunk that registers needs username and password")

    def tenant(self, path: str, tenant: Tenant) -> None:
        if tenant.id == RESERVED or tenant.id.startswith(f"{RESERVED}-"):
            self.fault(f"{path}.id", f"{tenant.id} begins like a trunk's name in the phone system; choose another id")
        country_known = tenant.country in phonenumbers.SUPPORTED_REGIONS
        if not country_known:
            self.fault(f"{path}.country", f"no country {tenant.country} is known (ISO 3166, two capital letters)")
        if (known := timezones()) and tenant.timezone not in known:
            hint = did_you_mean(tenant.timezone, known)
            self.fault(f"{path}.timezone", f"no time zone {tenant.timezone} is known{hint}")
        self.notified(path, tenant)
        self.extensions(path, tenant)
        if country_known:
            self.tenant_numbers(path, tenant)
        self.machines(path, tenant)
        self.once(f"{path}.webhooks", "id", [one.id for one in tenant.webhooks])
        for index, webhook in enumerate(tenant.webhooks):
            self.faults += check_webhook.faults_of(f"{path}.webhooks[{index}]", webhook, tenant)

    def notified(self, path: str, tenant: Tenant) -> None:
        self.once(f"{path}.notify", "", tenant.notify)
        if len(tenant.notify) > MOST_NOTIFIED:
            self.fault(f"{path}.notify", f"has more than {MOST_NOTIFIED} addresses; use a list of your mail server")
        for index, address in enumerate(tenant.notify):
            if not _NOTIFIED.fullmatch(address) or ".." in address:
                self.fault(f"{path}.notify[{index}]", "expected a mail address, such as it@acme.example")

    def extensions(self, path: str, tenant: Tenant) -> None:
        self.once(f"{path}.extensions", "number", [one.number for one in tenant.extensions])
        for index, extension in enumerate(tenant.extensions):
            here = f"{path}.extensions[{index}]"
            if extension.email and not _EMAIL.fullmatch(extension.email):
                self.fault(f"{here}.email", "expected an e-mail address")
            if extension.contact is not None and not _SIP_URI.fullmatch(extension.contact):
                self.fault(f"{here}.contact", "expected a SIP URI, such as sip:101@192.0.2.10:5060")

    def tenant_numbers(self, path: str, tenant: Tenant) -> None:
        read = [numbers.read(one.number, tenant.country) for one in tenant.numbers]
        self.once(f"{path}.numbers", "number", [e164 or str(index) for index, e164 in enumerate(read)])
        extensions = {one.number for one in tenant.extensions}
        for index, (number, e164) in enumerate(zip(tenant.numbers, read, strict=True)):
            here = f"{path}.numbers[{index}]"
            if e164 is None:
                self.fault(f"{here}.number", f"{number.number} is no phone number; give it as +3612345678")
            elif self.numbers.setdefault(e164, tenant.id) != tenant.id:
                self.fault(f"{here}.number", f"{e164} belongs to tenant {self.numbers[e164]}")
            self.ring(here, number, extensions)
        if tenant.outbound:
            self.outbound(f"{path}.outbound", tenant.outbound, tenant.country, {one for one in read if one})

    def ring(self, path: str, number: Number, extensions: set[str]) -> None:
        self.once(f"{path}.ring", "", number.ring)
        for index, extension in enumerate(number.ring):
            if extension not in extensions:
                self.fault(f"{path}.ring[{index}]", f"extension {extension} does not exist")

    def outbound(self, path: str, outbound: Outbound, country: str, own: set[str]) -> None:
        if outbound.trunk not in self.trunks:
            hint = did_you_mean(outbound.trunk, self.trunks)
            self.fault(f"{path}.trunk", f"trunk {outbound.trunk} does not exist{hint}")
        caller_id = numbers.read(outbound.caller_id, country)
        if caller_id is None:
            self.fault(f"{path}.caller_id", f"{outbound.caller_id} is no phone number; give it as +3612345678")
        elif caller_id not in own:
            self.fault(f"{path}.caller_id", f"{caller_id} is none of the tenant's numbers")
        for index, code in enumerate(outbound.countries):
            if code not in phonenumbers.SUPPORTED_REGIONS:
                self.fault(f"{path}.countries[{index}]", f"no country {code} is known (ISO 3166, two capital letters)")

    def machines(self, path: str, tenant: Tenant) -> None:
        self.once(f"{path}.api_users", "user", [one.user for one in tenant.api_users])
        for index, user in enumerate(tenant.api_users):
            here = f"{path}.api_users[{index}]"
            self.networks(here, user.networks)
            if (tenant.id, user.user) in self.users:
                self.fault(f"{here}.user", "an API user of this name was made in the portal; choose another")
            if self.passwords.setdefault((user.user, user.password), tenant.id) != tenant.id:
                self.faults.append(same_login(here, self.passwords[user.user, user.password]))
        self.once(f"{path}.api_keys", "name", [one.name for one in tenant.api_keys])
        for index, key in enumerate(tenant.api_keys):
            here = f"{path}.api_keys[{index}]"
            self.networks(here, key.networks)
            owner, key_hash = (tenant.id, key.name), hash_key(key.key)
            if self.keys.get(owner, key_hash) != key_hash:
                self.fault(f"{here}.name", "a key of this name was made by hand; choose another, or revoke it")
            elif self.key_owners.setdefault(key_hash, owner) != owner:
                self.fault(f"{here}.key", "another API key is the same")

    def networks(self, path: str, networks: list[str]) -> None:
        for index, network in enumerate(networks):
            if not is_network(network):
                self.fault(f"{path}.networks[{index}]", f"{network} is no network, such as 192.0.2.0/24")


def same_login(path: str, tenant_id: str) -> Fault:
    """The fault of an API user by whose login one could not tell its tenant from another."""
    return path, f"tenant {tenant_id} has the same user with the same password; change one of them"


@cache
def timezones() -> frozenset[str]:
    """The time zones of this machine; none where it has no data about them."""
    return frozenset(zoneinfo.available_timezones())


def is_network(text: str) -> bool:
    """Whether the text is an IP address or a network in CIDR form."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_address(text: str) -> bool:
    """Whether the text is HOST or HOST:PORT; an IPv6 address stands in brackets when a port follows."""
    host, _, port = text.rpartition(":") if re.search(r"[^:]:[0-9]+$|\]:[0-9]+$", text) else (text, "", "")
    if port and not 0 < int(port) < 65536:  # noqa: PLR2004 - the range of ports
        return False
    if ":" in host:
        return is_network(host.strip("[]")) and "/" not in host
    if re.fullmatch("[0-9.]+", host):
        return is_network(host)
    return bool(_HOST.fullmatch(host)) and ".." not in host

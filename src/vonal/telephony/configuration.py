"""Makes Asterisk's configuration from the directory, and puts it where Asterisk reads it.

    files = render(directory, site)
    changed = write(folder / "etc", files)
    for module in modules_to_reload(changed): …       # ARI: PUT /asterisk/modules/{module}

`asterisk.conf` is not among them; it belongs to `vonal.telephony.engine`.

No text of the directory can become configuration: every value that a template prints passes `_value`, which keeps it on
its line and out of comments; names shown to people lose quotes and brackets; phones' passwords are written as digests.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct

from vonal.domain import dialling, numbers
from vonal.domain.directory import Directory, Extension, Number, Tenant, Trunk
from vonal.telephony.modules import BASE_FILES, MODULES

REALM = "vonal"
ARI_USER = "vonal"
JOURNAL = "journal.dsv"
SIP_PORT = 5060

_RELOADED_BY = {"pjsip_directory.conf": "res_pjsip.so", "extensions.conf": "pbx_config.so"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ADDRESS = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])(:\d+)?")
_CONTACT = re.compile(r"sips?:(?:[^@;>]*@)?(?P<address>\[[^]]+\](?::\d+)?|[^;>?]+)")


class Site(Struct, frozen=True, kw_only=True):
    """Where this Asterisk lives, whatever the directory says; `modules` is what it can load."""

    sip_listen: tuple[str, int]
    rtp_ports: tuple[int, int]
    ari_port: int
    ari_password: str
    modules: tuple[str, ...] = MODULES


def render(directory: Directory, site: Site) -> dict[str, str]:
    """File name → text of every file in Asterisk's folder but asterisk.conf. The same input gives the same bytes."""
    tenants = directory.tenants
    countries = sorted({tenant.country for tenant in tenants})
    codes = sorted({code for tenant in tenants for code, _ in _country_codes(tenant)})
    values = {
        "site": site,
        "trunks": directory.trunks,
        "tenants": tenants,
        "inbound": list(_inbound(directory)),
        "readings": [(one, dialling.reading(one), dialling.emergency_pattern(one)) for one in countries],
        "codes": [(code, dialling.regions(code)) for code in codes],
    }
    made = {name.removesuffix(".j2"): _TEMPLATES.get_template(name).render(values) for name in _FILES}
    return {**BASE_FILES, **made}


def write(folder: Path, files: Mapping[str, str]) -> set[str]:
    """Makes the files in `folder` so, each one whole or as it was, readable by us alone; returns what changed."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    changed = {name for name, text in files.items() if _replaced(folder / name, text)}
    if changed:
        _sync(folder)
    return changed


def modules_to_reload(changed: Collection[str]) -> list[str]:
    """The Asterisk modules that read the changed files anew, without touching a call."""
    return [module for file, module in _RELOADED_BY.items() if file in changed]


def needs_restart(changed: Collection[str]) -> bool:
    """Whether a running Asterisk follows the changed files only after a restart: ports, modules, passwords of ours."""
    return bool(set(changed) - set(_RELOADED_BY))


def _inbound(directory: Directory) -> Iterator[tuple[str, str]]:
    """(digits a trunk may send, the number meant). A national form that would be two numbers' is nobody's."""
    all_numbers = [number.number for tenant in directory.tenants for number in tenant.numbers]
    forms = {form: number for number in all_numbers for form in numbers.inbound_forms(number)[:-1]}
    national: dict[str, set[str]] = {}
    for number in all_numbers:
        national.setdefault(numbers.inbound_forms(number)[-1], set()).add(number)
    yield from forms.items()
    yield from ((form, min(of)) for form, of in national.items() if len(of) == 1 and form not in forms)


def _country_codes(tenant: Tenant) -> list[tuple[str, list[str]]]:
    """(country code, the tenant's allowed countries under it) pairs."""
    found: dict[str, list[str]] = {}
    for country in sorted(set(tenant.outbound.countries)) if tenant.outbound else ():
        if code := dialling.country_code(country):
            found.setdefault(code, []).append(country)
    return sorted(found.items())


def _records(tenant: Tenant, direction: str) -> str:
    return "yes" if tenant.recording.mode in ("all", direction) else "no"


def _rounds(number: Number, tenant_id: str) -> list[str]:
    """What each Dial of a ring group rings."""
    phones = [f"PJSIP/{tenant_id}-{extension}" for extension in number.ring]
    return phones if number.strategy == "in_order" else ["&".join(phones)]


def _senders(trunk: Trunk) -> list[str]:
    """Whose requests are the trunk's. One that registers and names none calls from the address it registered at.

    A name is left out: Asterisk would ask the DNS at every start and reload, and knows the line it registered besides.
    """
    if trunk.match or not trunk.register:
        return trunk.match
    return [trunk.address] if _ADDRESS.fullmatch(trunk.address) else []


def _contact_address(contact: str) -> str:
    found = _CONTACT.match(contact)
    address = found["address"] if found else contact
    return address if re.search(r":\d+$", address) else f"{address}:{SIP_PORT}"


def _host(address: str) -> str:
    return re.sub(r":\d+$", "", address)


def _caller_id(extension: Extension) -> str:
    name = " ".join(_CONTROL.sub(" ", re.sub(r'["<>\\]', "", extension.name)).split())
    return f'"{name}" <{extension.number}>'


def _digest(secret: str, user: str) -> str:
    return hashlib.md5(f"{user}:{REALM}:{secret}".encode(), usedforsecurity=False).hexdigest()  # RFC 2617's HA1


def _address(listen: tuple[str, int]) -> str:
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _value(value: object) -> str:
    """What a template prints: on one line, and with no `;` that would begin a comment."""
    return _CONTROL.sub(" ", "" if value is None else str(value)).replace(";", r"\;")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("vonal.telephony"),
        autoescape=False,  # noqa: S701 - this is no HTML; `finalize` escapes
        finalize=_value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"realm": REALM, "ari_user": ARI_USER}
    environment.filters |= {
        "address": _address,
        "caller_id": _caller_id,
        "contact_address": _contact_address,
        "country_codes": _country_codes,
        "digest": _digest,
        "host": _host,
        "is_any": ("0.0.0.0", "::").__contains__,
        "is_dialable": re.compile(r"[A-Za-z0-9+]{1,80}").fullmatch,
        "records": _records,
        "rounds": _rounds,
        "senders": _senders,
        "uri_user": lambda user: quote(user, safe="+!*'()&=$,"),
    }
    return environment


_TEMPLATES = _environment()
_FILES = tuple(name for name in _TEMPLATES.list_templates() if name.endswith(".j2"))


def _replaced(path: Path, text: str) -> bool:
    content = text.encode()
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    fresh = path.with_name(f".{path.name}.new")
    with open(fresh, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The simulated outside world's Asterisk: its configuration, made from the same directory as our PBX's.

Where the directory says how our PBX reaches a trunk or a phone, this says the other end of it:
a carrier listening at the trunk's `address` and calling from its `match` port, a phone that registers with the
extension's `secret`, a phone that sits at the extension's fixed `contact`. UDP only.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vonal.domain.directory import Directory, Extension, Trunk
from vonal.telephony.modules import BASE_FILES

APP = "outside"
HEADERS = ("Call-Info", "Alert-Info", "Answer-Mode", "P-Asserted-Identity", "Diversion", "User-Agent", "Contact")
_NOT_LOADED = ("cel_custom.so", "res_cdrel_custom.so", "app_celgenuserevent.so")
_CONTACT = re.compile(r"^sips?:(?P<user>[^@;]+)@(?P<address>[^;>]+)")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the outside world's Asterisk works. `pbx` and `phones` are SIP addresses `HOST:PORT`: of our PBX, and of
    the one socket that all registering phones share."""

    pbx: str
    phones: str
    ari_port: int
    ari_password: str = field(repr=False)
    rtp_ports: tuple[int, int]
    modules: tuple[str, ...]

    @property
    def ari(self) -> str:
        """ARI's base URL."""
        return f"http://127.0.0.1:{self.ari_port}/ari"


def phone_name(tenant: str, extension: str) -> str:
    """What both sides call a phone: `acme-101`."""
    return f"{tenant}-{extension}"


def carrier_name(trunk: str) -> str:
    """What this side calls the carrier of a trunk: `trunk-carrier`."""
    return f"trunk-{trunk}"


def headers_seen(values: Iterable[str]) -> dict[str, str]:
    """The values of an INVITE's `HEADERS` by name, those that were present."""
    return {name: value for name, value in zip(HEADERS, values, strict=True) if value}


def render(directory: Directory, place: Place) -> dict[str, str]:
    """File name → text of every file but asterisk.conf."""
    return {
        **BASE_FILES,
        "modules.conf": "[modules]\nautoload = no\n"
        + "".join(f"load = {name}\n" for name in place.modules if name not in _NOT_LOADED),
        "cel.conf": "[general]\nenable = no\n",
        "logger.conf": "[general]\n[logfiles]\nmessages => notice,warning,error\n",
        "http.conf": f"[general]\nenabled = yes\nbindaddr = 127.0.0.1\nbindport = {place.ari_port}\n",
        "ari.conf": f"[general]\nenabled = yes\n\n[{APP}]\ntype = user\npassword = {place.ari_password}\n",
        "rtp.conf": f"[general]\nrtpstart = {place.rtp_ports[0]}\nrtpend = {place.rtp_ports[1]}\nicesupport = no\n",
        "extensions.conf": _dialplan(),
        "pjsip.conf": _pjsip(directory, place),
    }


def _dialplan() -> str:
    seen = ",".join(f"${{URIENCODE(${{PJSIP_HEADER(read,{name})}})}}" for name in HEADERS)
    return f"""\
[outside]
exten => _[+*#0-9a-zA-Z].,1,Stasis({APP},in,${{CHANNEL(endpoint)}},${{URIENCODE(${{EXTEN}})}},{seen})
[refer]
exten => s,1,Transfer(PJSIP/${{REFER_TO}})
 same => n,Stasis({APP},back,${{TRANSFERSTATUS}})
[tone]
exten => _X!,1,Playtones(${{EXTEN}})
 same => n,Stasis({APP},back)
[hush]
exten => s,1,StopPlaytones()
 same => n,Stasis({APP},back)
[listen]
exten => s,1,MixMonitor(${{UNIQUEID}}.raw,D)
 same => n,Stasis({APP},back)
"""


def _pjsip(directory: Directory, place: Place) -> str:
    phones = [(phone_name(t.id, e.number), e) for t in directory.tenants for e in t.extensions]
    sections = [_section("global", type="global", user_agent="Outside world")]
    for trunk in directory.trunks:
        sections += _carrier(trunk)
    for name, extension in phones:
        sections += _phone(name, extension, place)
    sections += [
        _section(_transport(address), type="transport", protocol="udp", bind=address)
        for address in sorted(_addresses(directory, place))
    ]
    return "".join(sections)


def _addresses(directory: Directory, place: Place) -> set[str]:
    trunks = {address for trunk in directory.trunks for address in (trunk.address, _sender(trunk))}
    fixed = {_fixed(e.contact)[1] for t in directory.tenants for e in t.extensions if e.contact is not None}
    return {place.phones, *trunks, *fixed}


def _sender(trunk: Trunk) -> str:
    """Where the carrier calls from: the first `match` that names a port, or the trunk's own address."""
    return next((match for match in trunk.match if ":" in match), trunk.address)


def _carrier(trunk: Trunk) -> Iterator[str]:
    name, user = carrier_name(trunk.id), trunk.username or trunk.id
    auth = {"auth": name} if trunk.username and trunk.password else {}
    aors = {"aors": user} if trunk.register else {}
    yield _endpoint(name, transport=_transport(_sender(trunk)), **auth, **aors)
    yield _called(name, f"[:@]{re.escape(trunk.address)}")
    if auth:
        yield _section(name, type="auth", auth_type="userpass", username=user, password=trunk.password or "")
    if aors:
        yield _section(user, type="aor", max_contacts="1", remove_existing="yes", minimum_expiration="20")


def _phone(name: str, extension: Extension, place: Place) -> Iterator[str]:
    user, address = (name, place.phones) if extension.contact is None else _fixed(extension.contact)
    auth = {} if extension.secret is None else {"outbound_auth": name}
    yield _endpoint(name, transport=_transport(address), from_user=name, **auth)
    yield _called(name, f"^sip:{re.escape(user)}@{re.escape(address)}")
    if extension.secret is not None:
        yield _section(name, type="auth", auth_type="userpass", username=name, password=extension.secret)
    if extension.contact is None:
        yield _registration(name, place)


def _fixed(contact: str) -> tuple[str, str]:
    """(user, `HOST:PORT`) of a fixed contact."""
    match = _CONTACT.match(contact)
    if match is None:
        raise ValueError(f"contact {contact!r} is not sip:USER@HOST:PORT")
    return match.group("user"), match.group("address")


def _registration(name: str, place: Place) -> str:
    return _section(
        name,
        type="registration",
        transport=_transport(place.phones),
        outbound_auth=name,
        client_uri=f"sip:{name}@{place.pbx}",
        server_uri=f"sip:{place.pbx}",
        contact_user=name,
        expiration="120",
        retry_interval="2",
        forbidden_retry_interval="2",
        fatal_retry_interval="2",
        max_retries="1000",
        max_random_initial_delay="0",
        auth_rejection_permanent="no",
    )


def _endpoint(name: str, **options: str) -> str:
    common = {
        "type": "endpoint",
        "context": "outside",
        "disallow": "all",
        "allow": "ulaw,alaw",
        "direct_media": "no",
        "moh_passthrough": "yes",  # hold is then a re-INVITE with sendonly, as a desk phone does it
        "allow_transfer": "yes",
        "trust_id_inbound": "yes",  # the name and number a phone shows
    }
    return _section(name, **common, **options)


def _called(name: str, pattern: str) -> str:
    """All requests come from our PBX's one address, so the called URI tells who is meant."""
    return _section(f"{name}-called", type="identify", endpoint=name, match_request_uri=f"/{pattern}/")


def _transport(address: str) -> str:
    return f"udp-{address.replace(':', '-')}"


def _section(section: str, **options: str) -> str:
    lines = "".join(f"{key} = {value.replace(';', chr(92) + ';')}\n" for key, value in options.items())
    return f"[{section}]\n{lines}\n"

"""Where the demo lives and listens: at the settings' own ports, or, where somebody has them, at free ones beside."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

from vonal import config
from vonal.config import Settings

LOOPBACK = "127.0.0.1"
OWN_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_TRIES = 200
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The demo's settings: data in ./data/demo unless the environment names a folder, webhooks to this machine allowed.

    A vonal.toml has no say in where the data is: it may be a real service's.
    """
    settings = config.load({"VONAL_DATA_DIR": "data/demo", "VONAL_DATABASE_URL": "", **environ})
    return replace(settings, webhook_allow=(*settings.webhook_allow, *OWN_NETWORKS))


def settled(settings: Settings) -> tuple[Settings, list[str]]:
    """The settings with ports that are free now, and a sentence for each that had to move."""
    api_host, api = settings.listen
    sip_host, sip = settings.sip_listen
    api_free = first_free(api_host, api, [TCP])
    sip_free = first_free(sip_host, sip, [TCP, UDP])
    ari_free = first_free(LOOPBACK, settings.ari_port, [TCP])
    moves = [("API", api, api_free), ("SIP", sip, sip_free), ("Asterisk's control", settings.ari_port, ari_free)]
    said = [f"Port {was} is taken; {what} is at {now} instead." for what, was, now in moves if was != now]
    moved = replace(settings, listen=(api_host, api_free), sip_listen=(sip_host, sip_free), ari_port=ari_free)
    return moved, said


def reached(host: str) -> str:
    """How this machine itself reaches what listens at `host`."""
    return {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def first_free(host: str, port: int, kinds: Sequence[socket.SocketKind], *, but: Sequence[int] = ()) -> int:
    """`port`, or the next above it that nobody has."""
    tried = (one for one in range(port, min(port + _TRIES, 65536)) if one not in but)
    return next((one for one in tried if _is_free(host, one, kinds)), port)


def lan_address() -> str | None:
    """This machine's address in its network, if it has one. No packet is sent for it."""
    with socket.socket(type=UDP) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def _is_free(host: str, port: int, kinds: Sequence[socket.SocketKind]) -> bool:
    for kind in kinds:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            if kind == TCP:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True

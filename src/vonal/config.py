"""All settings, in one place. Each is an environment variable, or the same name in lower case in `vonal.toml`.

`Settings` describes itself: `vonal serve --help` and docs/reference/settings.md are made from `Settings.describe()`.
"""

import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """A setting cannot be read; the message names the setting, the value and what is expected."""


def _setting(default: Any, help_: str) -> Any:
    return field(default=default, metadata={"help": help_})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service is told from outside. Paths are absolute; `*_listen` are (host, port)."""

    data_dir: Path = _setting(Path("data"), "where the database, recordings and Asterisk's files live")
    database_url: str = _setting("", "postgresql://…; SQLite in the data folder when empty")
    listen: tuple[str, int] = _setting(("127.0.0.1", 8080), "address of the API")
    public_url: str = _setting("", "how the world reaches the API; stands in the URLs sent to CRMs")
    sip_listen: tuple[str, int] = _setting(("0.0.0.0", 5060), "address of SIP over UDP and TCP")
    rtp_ports: tuple[int, int] = _setting((20000, 24000), "first and last port of sound")
    asterisk: str = _setting("embedded", "`embedded`, or the path of an installed Asterisk (20 or later)")
    engine_dir: Path = _setting(Path("~/.cache/vonal/engine"), "where the embedded Asterisk is kept")
    ari_port: int = _setting(18088, "Asterisk's control port, on loopback only")
    webhook_allow: tuple[IPNetwork, ...] = _setting((), "private networks that webhooks may reach, also over http")
    event_days: int = _setting(90, "days that call events and manifests' details are kept")
    mail_url: str = _setting("", "smtp://USER:PASSWORD@HOST:PORT (STARTTLS) or smtps://…; no mail is sent when empty")
    mail_from: str = _setting("", "sender of mails, such as vonal@example.com")
    oidc_issuer: str = _setting("", "OpenID provider that people may sign in with, such as https://login.example")
    oidc_client_id: str = _setting("", "as what the provider knows us")
    oidc_client_secret: str = _setting("", "the secret that goes with it")
    oidc_name: str = _setting("", "what stands on the button to sign in with it; the provider's host when empty")
    secret_key: str = _setting("", "protects stored secrets and opaque ids; made in the data folder when empty")
    log: str = _setting("text", "`text` or `json`")

    @property
    def base_url(self) -> str:
        """`public_url`, or what it is on this machine; without a slash at the end."""
        host, port = self.listen
        return (self.public_url or f"http://{host}:{port}").rstrip("/")

    @property
    def is_postgresql(self) -> bool:
        """Whether several processes can share the database."""
        return self.database_url.startswith("postgresql")

    @property
    def sqlalchemy_url(self) -> str:
        """SQLAlchemy's form of `database_url`, with the driver that we ship."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'vonal.db'}"
        return self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @classmethod
    def describe(cls) -> Iterator[tuple[str, str, str]]:
        """(environment variable, default, meaning) of each setting."""
        for one in fields(cls):
            yield f"VONAL_{one.name.upper()}", _shown(one.default), one.metadata["help"]


def load(environ: Mapping[str, str] = os.environ, *, folder: Path | None = None) -> Settings:
    """Reads `vonal.toml` in `folder` (default: here), then the environment, which wins.

    Raises SettingsError with the name of the setting at fault.
    """
    folder = folder or Path.cwd()
    texts = _toml(folder / "vonal.toml")
    for name in [one.name for one in fields(Settings)]:
        if (value := environ.get(f"VONAL_{name.upper()}")) is not None:
            texts[name] = value
    read = {name: _read(name, text, folder) for name, text in texts.items() if text != ""}
    return Settings(**{"data_dir": (folder / "data").absolute(), "engine_dir": _engine_dir(environ), **read})


def _engine_dir(environ: Mapping[str, str]) -> Path:
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "vonal" / "engine"


def _toml(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path}: {fault}") from fault
    texts = {name.lower().removeprefix("vonal_"): value for name, value in values.items()}
    known = {one.name for one in fields(Settings)}
    if unknown := sorted(set(texts) - known):
        raise SettingsError(f"{path}: unknown setting {unknown[0]!r}; known are: {', '.join(sorted(known))}")
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in texts.items()}


def _read(name: str, text: str, folder: Path) -> Any:
    readers = {
        "data_dir": lambda value: (folder / Path(value).expanduser()).absolute(),
        "engine_dir": lambda value: (folder / Path(value).expanduser()).absolute(),
        "listen": _address,
        "sip_listen": _address,
        "rtp_ports": _port_range,
        "ari_port": _port,
        "webhook_allow": _networks,
        "database_url": _database_url,
        "event_days": _days,
        "mail_url": _mail_url,
        "oidc_issuer": _issuer,
        "log": _one_of("text", "json"),
    }
    try:
        return readers.get(name, str)(text)
    except ValueError as fault:
        shown = "…" if name in {"secret_key", "database_url", "mail_url", "oidc_client_secret"} else repr(text)
        raise SettingsError(f"VONAL_{name.upper()}={shown}: {fault}") from fault


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError("expected ADDRESS:PORT, such as 127.0.0.1:8080")
    return host.strip("[]"), _port(port)


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:  # noqa: PLR2004 - the range of TCP and UDP ports
        raise ValueError("expected a port from 1 to 65535")
    return int(text)


def _port_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not dash or _port(first) >= _port(last):
        raise ValueError("expected FIRST-LAST, such as 20000-24000")
    return int(first), int(last)


def _networks(text: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def _database_url(text: str) -> str:
    if not text.startswith(("postgresql://", "sqlite:///")):
        raise ValueError("expected postgresql://USER:PASSWORD@HOST/NAME, or nothing for SQLite in the data folder")
    return text


def _days(text: str) -> int:
    if not text.isdigit() or not 30 <= int(text) <= 36_500:  # noqa: PLR2004 - a record is replayable for 30 days
        raise ValueError("expected a number of days from 30 on")
    return int(text)


def _mail_url(text: str) -> str:
    if not text.startswith(("smtp://", "smtps://")):
        raise ValueError("expected smtp://USER:PASSWORD@HOST:PORT or smtps://USER:PASSWORD@HOST:PORT")
    return text


def _issuer(text: str) -> str:
    parts = urlsplit(text)
    here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not (parts.scheme == "https" or here) or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected https://HOST or https://HOST/PATH, exactly as the provider calls itself")
    return text


def _one_of(*choices: str) -> Any:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return text

    return read


def _shown(default: Any) -> str:
    if isinstance(default, tuple) and default:
        return ":".join(map(str, default)) if isinstance(default[0], str) else "-".join(map(str, default))
    return "" if default == () else str(default)

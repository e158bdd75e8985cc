"""The phone system as one thing: Asterisk running, configured from the directory, and reachable."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from vonal.config import Settings
from vonal.domain.directory import Directory
from vonal.telephony import configuration
from vonal.telephony.ari import Ari
from vonal.telephony.binary import locate
from vonal.telephony.configuration import Site
from vonal.telephony.engine import Engine, Port, asterisk_conf
from vonal.telephony.journal import Journal

log = structlog.get_logger(__name__)


class Pbx:
    """This data folder's Asterisk. `ari` commands it; `journal` is what it tells.

    Raises EngineUnavailable when there is no Asterisk to run.
    """

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.data_dir / "engine"
        binary = locate(settings.asterisk, settings.engine_dir)
        password = _password(self.folder / "ari.secret")
        self._site = Site(
            sip_listen=settings.sip_listen,
            rtp_ports=settings.rtp_ports,
            ari_port=settings.ari_port,
            ari_password=password,
            modules=binary.modules,
        )
        host, port = settings.sip_listen
        ports = (
            Port("VONAL_ARI_PORT", "127.0.0.1", settings.ari_port, "tcp"),
            Port("VONAL_SIP_LISTEN", host, port, "udp"),
            Port("VONAL_SIP_LISTEN", host, port, "tcp"),
        )
        self.engine = Engine(binary, self.folder, ari_port=settings.ari_port, ari_password=password, ports=ports)
        self.ari = Ari(f"http://127.0.0.1:{settings.ari_port}", password=password)
        self.journal = Journal(self.folder / "log" / "cel-custom")
        self._following = asyncio.Lock()

    async def start(self, directory: Directory) -> None:
        """Adopts the running Asterisk, or starts one, with the directory in effect."""
        changed = await asyncio.to_thread(self._write, directory)
        await self.engine.ensure_running()
        if self.engine.adopted:
            log.info("asterisk_adopted", pid=self.engine.pid, channels=len(await self.ari.channels()))
            await self._reload(changed)
        else:
            log.info("asterisk_started", pid=self.engine.pid, version=self.engine.version)

    async def follow(self, directory: Directory) -> None:
        """Puts a changed directory into effect: only files that differ are written, only their modules reloaded.

        Raises TelephonyUnavailable when Asterisk is just being restarted: it will come up with the new files.
        """
        async with self._following:
            await self._reload(await asyncio.to_thread(self._write, directory))

    async def keep_running(self, restarted: Callable[[], Awaitable[None]]) -> None:
        """Watches Asterisk and starts it again when it dies; then awaits `restarted`."""
        await self.engine.watch(restarted)

    async def _reload(self, changed: set[str]) -> None:
        for module in configuration.modules_to_reload(changed):
            await self.ari.reload(module)
            log.info("asterisk_reloaded", module=module)
        if self.engine.adopted and configuration.needs_restart(changed):
            log.warning(
                "asterisk_needs_restart", files=sorted(changed), do="run `vonal engine stop` when no call is up"
            )

    def _write(self, directory: Directory) -> set[str]:
        own = {"asterisk.conf": asterisk_conf(self.engine.binary, self.folder)}
        files = own | configuration.render(directory, self._site)
        return configuration.write(self.folder / "etc", files)


def _password(path: Path) -> str:
    """ARI's password: made once, so that a later process can adopt the Asterisk that knows it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_suffix(".new")
        draft.touch(0o600)
        draft.write_text(secrets.token_urlsafe(24), encoding="utf-8")
        draft.rename(path)
    return path.read_text(encoding="utf-8")

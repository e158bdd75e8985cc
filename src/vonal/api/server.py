"""uvicorn, listening where the settings say, and stopped by `app` alone."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from vonal.config import Settings, SettingsError


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers. Raises SettingsError when the address is taken."""

    def __init__(self, app: Any, settings: Settings) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False))
        self._socket = _listening(settings)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `app`."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets or [self._socket])

    async def until_started(self) -> None:
        """Returns when requests are answered."""
        while not self.started:  # noqa: ASYNC110 - uvicorn offers nothing to wait for
            await asyncio.sleep(0.01)


def _listening(settings: Settings) -> socket.socket:
    host, port = settings.listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as fault:
        listening.close()
        raise SettingsError(f"VONAL_LISTEN={host}:{port}: {fault.strerror}; choose another address or port") from fault
    return listening

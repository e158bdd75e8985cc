"""uvicorn, listening where the settings say, and stopped by `app` alone."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from vonal.api.protocol import Protocol
from vonal.config import Settings, SettingsError

STOP_SECONDS = 5  # for requests under way (one with `wait` may take a minute) when the service is stopped


def config(app: Any) -> uvicorn.Config:
    """How uvicorn is set up: nothing that it does by itself may log a query string or answer in another form."""
    # Its access log would hold every password and key that was sent as a parameter; `Edge` writes ours.
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers. Raises SettingsError when the address is taken."""

    def __init__(self, app: Any, settings: Settings) -> None:
        super().__init__(config(app))
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
    # asyncio spares small answers Nagle's delay only on sockets that say that they are TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as fault:
        listening.close()
        raise SettingsError(f"VONAL_LISTEN={host}:{port}: {fault.strerror}; choose another address or port") from fault
    return listening

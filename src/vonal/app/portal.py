"""The portal beside the API: what they share, and what only people need."""

from collections.abc import Callable
from urllib.parse import urlsplit

from vonal.api.services import Services
from vonal.domain.directory import Directory
from vonal.portal.services import Portal
from vonal.users.sessions import Sessions

ANYWHERE = ("0.0.0.0", "::")


def portal_of(
    services: Services, *, directory: Callable[[], Directory], sip_listen: tuple[str, int] = ("127.0.0.1", 5060)
) -> Portal:
    """`directory` gives the whole directory in effect; `sip_listen`: where Asterisk waits for phones."""
    return Portal(
        db=services.db,
        sessions=Sessions(services.db),
        webhooks=services.webhooks,
        editor=services.webhooks.editor,
        trials=services.trials,
        originator=services.originator,
        control=services.control,
        broadcast=services.broadcast,
        test_limit=services.test_limit,
        steady=services.steady,
        phones=services.phones,
        open_recording=services.open_recording,
        tenant=services.tenant,
        directory=directory,
        probes=services.probes,
        draining=services.draining,
        base_url=services.base_url,
        sip_server=_sip_server(services.base_url, sip_listen),
        secure=services.base_url.startswith("https:"),
    )


def _sip_server(base_url: str, listen: tuple[str, int]) -> str:
    """Phones find us by the name that people use, unless Asterisk waits at one address only."""
    host, port = listen
    if host in ANYWHERE:
        host = urlsplit(base_url).hostname or host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

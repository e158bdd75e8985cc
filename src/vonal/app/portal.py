"""The portal beside the API: what they share, and what only people need."""

from collections.abc import Callable

from vonal.api.services import Services
from vonal.domain.directory import Directory
from vonal.portal.services import Portal
from vonal.users.sessions import Sessions


def portal_of(services: Services, *, directory: Callable[[], Directory]) -> Portal:
    """`directory` gives the whole directory in effect."""
    return Portal(
        db=services.db,
        sessions=Sessions(services.db),
        webhooks=services.webhooks,
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
        base_url=services.base_url,
        secure=services.base_url.startswith("https:"),
    )

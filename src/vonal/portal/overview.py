"""The first page: how the company's phones are doing today."""

from litestar import Response

from vonal.portal.asked import Asked
from vonal.portal.page import page
from vonal.portal.route import Route
from vonal.portal.services import Portal


async def overview(_portal: Portal, asked: Asked) -> Response[bytes]:
    """Calls today, and whether all is well."""
    return page(asked, "overview.html")


ROUTES = (Route(path="/", handler=overview, needs="member"),)

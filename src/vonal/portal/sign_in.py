"""Signing in and out."""

from litestar import Response

from vonal.portal.asked import Asked
from vonal.portal.page import page
from vonal.portal.route import Route
from vonal.portal.services import Portal


async def form(_portal: Portal, asked: Asked) -> Response[bytes]:
    """The form to sign in with."""
    return page(asked, "sign_in/password.html")


ROUTES = (Route(path="/sign-in", handler=form, needs="anybody"),)

"""What people see when something fails, in place of the API's `application/problem+json`."""

from typing import Any

from litestar import Request, Response

from vonal.domain.errors import VonalError
from vonal.portal import words
from vonal.portal.asked import Asked
from vonal.portal.page import page, plain
from vonal.portal.words import N_

# Where the API's title speaks to programs.
TITLES = {
    "invalid_request": N_("That did not work"),
    "method_not_allowed": N_("Nothing can be seen here"),
    "not_found": N_("There is no such page"),
    "scope_missing": N_("You may not do this"),
}
# Where the web framework's own words would be shown.
DETAILS = {
    "not_found": N_("There is nothing at this address."),
    "method_not_allowed": N_("This address takes forms only."),
    "payload_too_large": N_("Less at a time will do."),
}


def shown(asked: Asked, fault: VonalError) -> Response[bytes]:
    """The fault as a page; for a script that asked for a part of one, in a sentence."""
    title = asked.say(TITLES.get(fault.code, fault.title))
    if asked.is_fragment:
        return plain(f"{title}. {asked.say(fault.detail)}", status=fault.status)
    request_id = asked.request.scope.get("state", {}).get("request_id", "")
    return page(asked, "fault.html", status=fault.status, fault=fault, heading=title, request_id=request_id)


def for_people(request: Request[Any, Any, Any], fault: VonalError) -> Response[bytes] | None:
    """The page for a fault outside of any route, or None where a program has asked."""
    browser = "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
    if not browser or request.url.path.startswith("/api/"):
        return None
    told = type(fault)(DETAILS.get(fault.code, fault.detail))
    return shown(Asked(request=request, language=words.asked_for(request)), told)

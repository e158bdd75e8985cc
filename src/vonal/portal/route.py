"""What a page of the portal is: from this one description come its route, who may see it, and what the tests walk."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from litestar import Response
from litestar.types import ASGIApp

from vonal.domain.users import Permission
from vonal.portal.asked import Asked
from vonal.portal.services import Portal

# Beside a permission in the tenant that is looked at: "anybody", signed in or not; "user", signed in, with or without a
# tenant; "member", of the tenant that is looked at, in whatever role; "operator" of the service. "factor": signed in
# but for the second factor; "enrolment": likewise but for setting one up, or signed in.
Needs = Permission | Literal["anybody", "factor", "enrolment", "user", "member", "operator"]
Handler = Callable[[Portal, Asked], Awaitable[Response[Any] | ASGIApp]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """A page or a deed. `path` as in "/calls/{id}"; every deed is a POST and has its own path."""

    path: str
    handler: Handler
    needs: Needs
    method: Literal["GET", "POST"] = "GET"
    max_body: int = 65_536

    @property
    def name(self) -> str:
        """Unique, for the router."""
        return f"portal {self.method} {self.path}"

"""A request to the portal that may be served: who looks, in which language, at which tenant, and what was sent."""

from dataclasses import dataclass, field
from typing import Any

from litestar import Request

from vonal.domain.audit import Actor
from vonal.domain.directory import Tenant
from vonal.domain.users import MAY, Language, Permission, Role, User
from vonal.portal import words
from vonal.store.sessions import Session
from vonal.users.sessions import SignedIn

Form = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """Who is signed in. `tenant` is the one looked at, None for an operator who acts as none.

    `acting`: an operator who is no member looks at it as its owner would; pages say so, and deeds are logged so.
    """

    signed_in: SignedIn
    tenant: Tenant | None
    role: Role | None
    acting: bool = False

    @property
    def user(self) -> User:
        """The person."""
        return self.signed_in.user

    @property
    def session(self) -> Session:
        """The browser."""
        return self.signed_in.session

    @property
    def extension(self) -> str | None:
        """The person's own extension in this tenant."""
        place = self.user.in_tenant(self.tenant.id) if self.tenant else None
        return place.extension if place else None

    def may(self, permission: Permission) -> bool:
        """Whether the person's role in the tenant gives the permission."""
        return self.role is not None and permission in MAY[self.role]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`viewer` is None where nobody needs to be signed in. `form`: what a POST sent; `query`: what the address says.

    `secure`: the portal is reached by https.
    """

    request: Request[Any, Any, Any]
    language: Language
    viewer: Viewer | None = None
    query: Form = field(default_factory=dict)
    form: Form = field(default_factory=dict)
    secure: bool = False

    def say(self, text: str, **named: Any) -> str:
        """The text in the reader's language, with what is named in it: `say("%(name)s is deleted.", name=…)`."""
        translated = words.gettext(self.language, text)
        return translated % named if named else translated

    def say_many(self, one: str, many: str, count: int, **named: Any) -> str:
        """The one of two texts that fits the number, which they may name: `%(num)s`."""
        return words.ngettext(self.language, one, many, count) % {"num": count, **named}

    @property
    def me(self) -> Viewer:
        """The viewer, where the route needs one."""
        assert self.viewer is not None  # noqa: S101 - the route's `needs` has seen to it
        return self.viewer

    @property
    def tenant(self) -> Tenant:
        """The tenant looked at, where the route needs one: all data is asked for by its id."""
        assert self.me.tenant is not None  # noqa: S101 - likewise
        return self.me.tenant

    @property
    def path(self) -> dict[str, str]:
        """The parts of the address that the route names."""
        return dict(self.request.path_params)

    @property
    def is_fragment(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return "hx-request" in self.request.headers and "hx-boosted" not in self.request.headers

    @property
    def address(self) -> str:
        """Where the browser is."""
        client = self.request.client
        return client.host if client else ""

    @property
    def actor(self) -> Actor:
        """Who does it, for the audit log."""
        return Actor(kind="user", name=self.me.user.email, address=self.address, operator=self.me.acting)

    def one(self, name: str, default: str = "") -> str:
        """A single value of the form, or of the address, without white space around it."""
        return (self.form.get(name) or self.query.get(name) or [default])[-1].strip()

    def many(self, name: str) -> list[str]:
        """All values of this name in the form, or in the address: ticked boxes, say."""
        return self.form.get(name) or self.query.get(name) or []

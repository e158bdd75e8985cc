"""The portal on a real socket, with a real store and a fake phone system; people of each role, signed in or not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx

import api_house
from vonal.api.services import Services
from vonal.app.portal import portal_of
from vonal.domain.users import ROLES, Membership, Role, User
from vonal.portal.app import routes
from vonal.portal.cookies import COOKIE
from vonal.portal.faults import for_people
from vonal.store import directory as directories
from vonal.store import users
from vonal.store.database import Database
from vonal.store.sessions import Passed
from vonal.users.sessions import Sessions, csrf_token


def _person(role: Role, tenant_id: str = "acme", extension: str | None = None) -> User:
    place = Membership(tenant_id=tenant_id, role=role, extension=extension)
    return User(
        id=f"usr_{tenant_id}_{role}", email=f"{role}@{tenant_id}.example", name=role.title(), memberships=(place,)
    )


PEOPLE: dict[str, User] = {
    **{role: _person(role, extension="101" if role == "agent" else None) for role in ROLES},
    "stranger": _person("owner", "other"),
    "operator": User(id="usr_operator", email="operator@pbx.example", name="Operator", operator=True),
}


class PortalHouse:
    """`api` is the house that it stands in; `url` is the portal's address."""

    def __init__(self, api: api_house.House) -> None:
        self.api, self.url, self.db = api, api.url, api.db

    def signed_in(self, who: str = "owner", *, tenant_id: str | None = None) -> "Browser":
        """A browser in which this one of PEOPLE is signed in, looking at `tenant_id`."""
        return Browser(self.url, self.begin(who, tenant_id=tenant_id))

    def begin(self, who: str, *, passed: Passed = "all", tenant_id: str | None = None) -> str:
        """A new session's token."""
        begin = Sessions(self.db).begin(
            PEOPLE[who], passed=passed, address="127.0.0.1", browser="test", tenant_id=tenant_id
        )
        return asyncio.run(begin)

    def browser(self) -> httpx.Client:
        """One in which nobody is signed in."""
        return httpx.Client(base_url=self.url, timeout=20)


class Browser(httpx.Client):
    """Keeps the cookie; `send_form` posts like a page of ours would."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(base_url=url, cookies={COOKIE: token}, timeout=20)
        self.token = token

    def send_form(self, path: str, **fields: object) -> httpx.Response:
        return self.post(path, data={"csrf": csrf_token(self.token), **fields})


@contextmanager
def running(db: Database, *, host: str = "127.0.0.1") -> Iterator[PortalHouse]:
    """The portal and the API of a house with two tenants, listening; PEOPLE are stored."""
    with api_house.running(db, host=host, others=_routes, for_people=for_people) as api:
        for person in PEOPLE.values():
            db.submit(partial(users.any_tenant_add, person=person, at=0)).result()
        yield PortalHouse(api)


def _routes(services: Services) -> list[Any]:
    return routes(portal_of(services, directory=lambda: services.db.read_now(directories.any_tenant_load)))

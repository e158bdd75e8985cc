"""Signing in through an OpenID provider: a small one on loopback, which signs real tokens, right and wrong ones."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

import api_house
import ports
from portal_house import PEOPLE, PortalHouse
from vonal.app.portal import portal_of
from vonal.portal.app import routes
from vonal.portal.faults import for_people
from vonal.store import users
from vonal.store.database import Database
from vonal.users.oidc import Oidc

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CLIENT = ("vonal", "client-secret")
KEY = RSAKey.generate_key(2048, {"kid": "one"})
STRANGE = RSAKey.generate_key(2048, {"kid": "one"})


class Provider:
    """Gives whoever comes a code; `claims` are put over those of a right token, `key` and `header` sign it."""

    def __init__(self) -> None:
        self.issuer = f"http://127.0.0.1:{ports.free_port()}"
        self.claims: dict[str, object] = {}
        self.key, self.header = KEY, {"alg": "RS256", "kid": "one"}
        self.asked: dict[str, str] = {}
        self.token: str | None = None
        self.redeemed: list[dict[str, str]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self._about),
            web.get("/keys", self._keys),
            web.post("/token", self._token),
        ]

    async def _about(self, _request: web.Request) -> web.Response:
        endpoints = {name: f"{self.issuer}/{path}" for name, path in _ENDPOINTS.items()}
        return web.json_response({"issuer": self.issuer, **endpoints})

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response({"keys": [KEY.as_dict(private=False)]})

    async def _token(self, request: web.Request) -> web.Response:
        self.redeemed.append({**dict(await request.post()), "login": request.headers.get("authorization", "")})
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": self.token or self.signed()})

    def signed(self) -> str:
        now = int(time.time())
        right = {
            "iss": self.issuer,
            "aud": CLIENT[0],
            "sub": "subject-1",
            "exp": now + 300,
            "iat": now,
            "nonce": self.asked["nonce"],
            "email": "owner@acme.example",
            "email_verified": True,
        }
        claims = {name: one for name, one in {**right, **self.claims}.items() if one is not None}
        return jwt.encode(self.header, claims, self.key, algorithms=["RS256", "HS256"])


_ENDPOINTS = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}


@contextmanager
def listening(provider: Provider) -> Iterator[None]:
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        app = web.Application()
        app.add_routes(provider.routes())
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", urlsplit(provider.issuer).port).start()
        ready.set()

    def run() -> None:
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    with listening(made):
        yield made


@pytest.fixture
def house(database: Database, provider: Provider) -> Iterator[PortalHouse]:
    def others(services: object) -> list[object]:
        oidc = Oidc(services.db, issuer=provider.issuer, client=CLIENT, name="Acme Login", where=services.base_url)
        return routes(portal_of(services, directory=lambda: api_house.DIRECTORY, oidc=oidc))

    with api_house.running(database, others=others, for_people=for_people) as api:
        for person in PEOPLE.values():
            database.submit(lambda tx, person=person: users.any_tenant_add(tx, person, at=0)).result()
        yield PortalHouse(api)


def come_back(
    house: PortalHouse, provider: Provider, browser: httpx.Client | None = None, **changes: str
) -> httpx.Response:
    """What a browser gets that goes to the provider and comes back; `changes` to the address it comes back to."""
    browser = browser or house.browser()
    there = browser.get("/sign-in/oidc?then=/webhooks").headers["location"]
    provider.asked = {name: values[0] for name, values in parse_qs(urlsplit(there).query).items()}
    return browser.get("/sign-in/oidc/back", params={"code": "a-code", "state": provider.asked["state"], **changes})


def test_somebody_we_know_is_let_in_first_by_his_address_then_by_what_the_provider_calls_him(
    house: PortalHouse, provider: Provider
) -> None:
    assert "Acme Login" in house.browser().get("/sign-in").text
    browser = house.browser()
    answer = come_back(house, provider, browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/webhooks")
    assert "owner@acme.example" in browser.get("/account").text
    (asked,) = provider.redeemed
    assert asked["login"].startswith("Basic ")
    assert len(asked["code_verifier"]) >= 43
    assert provider.asked["code_challenge_method"] == "S256"
    provider.claims = {"email": "renamed@acme.example"}
    assert come_back(house, provider).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "somebody-else"},
        {"aud": ["vonal", "somebody-else"]},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"sub": None},
        {"sub": "subject-2", "email": "nobody@acme.example"},
        {"sub": "subject-2", "email_verified": False},
        {"sub": "subject-2", "email_verified": "true"},
        {"sub": "subject-2", "email": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_or_of_a_stranger_lets_nobody_in(
    house: PortalHouse, provider: Provider, claims: dict[str, object]
) -> None:
    provider.claims = claims
    answer = come_back(house, provider)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_a_token_that_the_provider_has_not_signed_lets_nobody_in(house: PortalHouse, provider: Provider) -> None:
    provider.key = STRANGE
    assert come_back(house, provider).status_code == 401
    provider.key, provider.header = OctKey.import_key(CLIENT[1]), {"alg": "HS256", "kid": "one"}
    assert come_back(house, provider).status_code == 401
    provider.key, provider.header = KEY, {"alg": "RS256", "kid": "one"}
    come_back(house, provider)
    head, body, _ = provider.signed().split(".")
    provider.token = f"eyJhbGciOiJub25lIn0.{body}."
    assert come_back(house, provider).status_code == 401
    provider.token = f"{head}.{body}."
    assert come_back(house, provider).status_code == 401


def test_a_browser_that_has_not_begun_it_is_not_signed_in(house: PortalHouse, provider: Provider) -> None:
    assert come_back(house, provider, state="another").status_code == 401
    assert house.browser().get("/sign-in/oidc/back", params={"code": "x", "state": "y"}).status_code == 401
    assert come_back(house, provider, code="").status_code == 401
    browser = house.browser()
    assert come_back(house, provider, browser).status_code == 303
    again = browser.get("/sign-in/oidc/back", params={"code": "a-code", "state": provider.asked["state"]})
    assert again.status_code == 401


def test_a_subject_that_belongs_to_somebody_is_not_given_to_another(house: PortalHouse, provider: Provider) -> None:
    assert come_back(house, provider).status_code == 303
    provider.claims = {"sub": "subject-2"}  # the same address, but the provider calls him otherwise
    assert come_back(house, provider).status_code == 401


def test_a_provider_that_is_down_or_another_one_is_told_as_such(house: PortalHouse, provider: Provider) -> None:
    provider.issuer += "/"
    assert house.browser().get("/sign-in/oidc").status_code == 502

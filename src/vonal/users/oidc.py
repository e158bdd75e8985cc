"""Signing in through the company's OpenID provider: authorization code with PKCE, state and nonce.

It lets in only whom we know: by what the provider calls him, or, the first time, by his e-mail address, if the provider
has verified it. It never makes anybody new. (OpenID Connect Core 1.0, RFC 7636, RFC 9700.)
"""

import asyncio
import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import Connection

from vonal.domain.errors import AuthFailed, VonalError
from vonal.domain.users import User
from vonal.store import users
from vonal.store.database import Database

log = structlog.get_logger(__name__)
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")  # never HS256, whose key would be the client's secret, nor none
KEPT_S = 3600.0
LEEWAY_S = 60
SECONDS = aiohttp.ClientTimeout(total=10)
LARGEST = 262_144


class ProviderFailed(VonalError):
    """The provider does not answer as it should; the log says how."""

    status, code, title, fault, retryable = 502, "sign_on_failed", "The single sign-on does not work", "upstream", True


class Oidc:
    """One provider. `name` stands on the button; `where` is the portal's address; `clock` is in seconds UTC."""

    def __init__(
        self,
        db: Database,
        *,
        issuer: str,
        client: tuple[str, str],
        name: str,
        where: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db, self._issuer, self._clock = db, issuer, clock
        self._client_id, self._client_secret = client
        self.name = name
        self._back = f"{where}/sign-in/oidc/back"
        self._session: aiohttp.ClientSession | None = None
        self._known: tuple[float, dict[str, Any]] = (0.0, {})
        self._keys: tuple[float, KeySet] | None = None
        self._looking = asyncio.Lock()

    async def begin(self) -> tuple[str, dict[str, str]]:
        """Where the browser is sent, and what it brings back sealed. Raises ProviderFailed."""
        about = await self._about()
        begun = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        challenge = urlsafe_b64encode(hashlib.sha256(begun["verifier"].encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._back,
            "scope": "openid email profile",
            "state": begun["state"],
            "nonce": begun["nonce"],
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(about["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", begun

    async def finish(self, code: str, begun: dict[str, str]) -> tuple[User, bool]:
        """Who has come back with this code, and whether it is his first time. Raises AuthFailed, ProviderFailed."""
        about = await self._about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": begun["verifier"],
        }
        login = {"Authorization": aiohttp.encode_basic_auth(self._client_id, self._client_secret)}
        answer = await self._json("POST", str(about["token_endpoint"]), data=form, headers=login)
        claims = await self._claims(str(answer.get("id_token", "")), nonce=begun["nonce"])
        found = await self._db.write(partial(_match, subject=self._subject(claims), claims=claims))
        if found is None:
            raise AuthFailed("The single sign-on knows you, but nobody here has your address. Ask to be invited.")
        return found

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()

    def _subject(self, claims: dict[str, Any]) -> str:
        return hashlib.sha256(f"{self._issuer}\0{claims['sub']}".encode()).hexdigest()

    async def _claims(self, token: str, *, nonce: str) -> dict[str, Any]:
        """What the token says, once everything about it is right. Raises AuthFailed, ProviderFailed."""
        wanted = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": self._client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = await self._decoded(token)
            wanted.validate(claims)
            self._check_for_us(claims)
        except (JoseError, ValueError) as fault:
            log.warning("sign_on.refused", reason=str(fault) or type(fault).__name__)
            raise AuthFailed("The single sign-on has sent something that cannot be trusted. Try again.") from fault
        return dict(claims)

    def _check_for_us(self, claims: dict[str, Any]) -> None:
        others = claims["aud"] not in (self._client_id, [self._client_id])
        if others and claims.get("azp") != self._client_id:
            raise ValueError("the token was made for somebody else")
        if not (isinstance(claims["sub"], str) and claims["sub"]):
            raise ValueError("the subject is no text")

    async def _decoded(self, token: str) -> dict[str, Any]:
        try:
            return dict(jwt.decode(token, await self._key_set(), algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError):  # the provider may have new keys
            return dict(jwt.decode(token, await self._key_set(anew=True), algorithms=list(ALGORITHMS)).claims)

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        if self._keys is None or anew or self._keys[0] < self._clock() - KEPT_S:
            about = await self._about()
            found = await self._json("GET", str(about["jwks_uri"]))
            try:
                keys = KeySet.import_key_set(found)  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as fault:
                raise self._failed("its keys cannot be read") from fault
            self._keys = (self._clock(), keys)
        return self._keys[1]

    async def _about(self) -> dict[str, Any]:
        async with self._looking:
            if self._known[0] < self._clock() - KEPT_S:
                found = await self._json("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
                endpoints = [found.get(one) for one in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
                if found.get("issuer") != self._issuer or not all(map(self._is_safe, endpoints)):
                    raise self._failed("it describes another provider than VONAL_OIDC_ISSUER, or an unsafe one")
                self._known = (self._clock(), found)
            return self._known[1]

    def _is_safe(self, address: object) -> bool:
        """Only over https, unless the provider itself is on this machine."""
        allowed = {"https", urlsplit(self._issuer).scheme}
        return isinstance(address, str) and urlsplit(address).scheme in allowed

    async def _json(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=SECONDS)
        try:
            async with self._session.request(method, address, allow_redirects=False, **more) as answer:
                body = await answer.content.read(LARGEST)
                if answer.status != 200:  # noqa: PLR2004 - OK
                    raise self._failed(f"{urlsplit(address).path} answers {answer.status}")
                return _object(body)
        except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
            raise self._failed(f"{urlsplit(address).path}: {type(fault).__name__}") from fault

    def _failed(self, why: str) -> ProviderFailed:
        log.warning("sign_on.failed", reason=why)
        return ProviderFailed("The single sign-on does not answer as it should. Try again, or use your password.")


def _object(body: bytes) -> dict[str, Any]:
    return msgspec.json.decode(body, type=dict[str, Any])


def _match(tx: Connection, *, subject: str, claims: dict[str, Any]) -> tuple[User, bool] | None:
    known = users.any_tenant_find_by_subject(tx, subject)
    if known is not None:
        return known, False
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") is not True:
        return None
    invited = users.any_tenant_find_by_email(tx, email.strip().lower())
    if invited is None or not users.any_tenant_set_subject(tx, invited.id, subject):
        return None
    return invited, True

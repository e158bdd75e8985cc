"""Who asks: credentials in any of the contract's forms, and whether they reach far enough."""

import base64
import binascii
from typing import Any, NamedTuple

from litestar import Request

from vonal.directory.credentials import Authenticator
from vonal.domain.directory import Scope
from vonal.domain.errors import AuthFailed, InvalidRequest, IpNotAllowed, ScopeMissing
from vonal.domain.principal import Principal

# One answer, whatever is wrong, so that nobody learns from it which users there are.
REFUSAL = "The credentials are missing, or not known here."
PARAMETERS = ("user", "password", "api_key")
MAX_LENGTH = 1024


class Credentials(NamedTuple):
    """Either `key`, or `user` and `password`."""

    user: str = ""
    password: str = ""
    key: str = ""


async def principal_of(
    request: Request[Any, Any, Any], sent: dict[str, Any], authenticator: Authenticator, *, scopes: tuple[Scope, ...]
) -> Principal:
    """Who asks. Takes the credentials out of the parameters `sent`.

    Raises AuthFailed, IpNotAllowed, ScopeMissing; InvalidRequest when there are credentials of two kinds.
    """
    found = credentials_in(request.headers.getall("authorization", []), request.headers.getall("x-api-key", []), sent)
    principal = await _known(found, authenticator)
    client = request.scope.get("client")
    if not principal.may_come_from(client[0] if client else ""):
        raise IpNotAllowed("These credentials may not be used from this address.")
    if missing := [scope for scope in scopes if not principal.may(scope)]:
        raise ScopeMissing(f"These credentials lack the scope `{'`, `'.join(missing)}`.")
    return principal


def credentials_in(authorizations: list[str], keys: list[str], sent: dict[str, Any]) -> Credentials | None:
    """The credentials of a request, None when there are none. Raises AuthFailed, InvalidRequest."""
    found = {_from_header(one) for one in authorizations} | {Credentials(key=one.strip()) for one in keys}
    given = {name: str(sent.pop(name) or "") for name in PARAMETERS if name in sent}
    if given.get("api_key"):
        found.add(Credentials(key=given["api_key"]))
    if given.get("user") or given.get("password"):
        found.add(Credentials(user=given.get("user", ""), password=given.get("password", "")))
    if len(found) > 1:
        raise InvalidRequest("Give credentials in one way only.")
    return found.pop() if found else None


async def _known(found: Credentials | None, authenticator: Authenticator) -> Principal:
    if found is None or max(map(len, found)) > MAX_LENGTH or "\x00" in "".join(found):
        raise AuthFailed(REFUSAL)
    try:
        if found.key:
            return await authenticator(key=found.key)
        if found.user and found.password:
            return await authenticator(user=found.user, password=found.password)
    except AuthFailed:
        raise AuthFailed(REFUSAL) from None
    raise AuthFailed(REFUSAL)


def _from_header(header: str) -> Credentials:
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return Credentials(key=value.strip())
    if scheme.lower() != "basic":
        raise AuthFailed(REFUSAL)
    try:
        user, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as fault:
        raise AuthFailed(REFUSAL) from fault
    return Credentials(user=user, password=password)

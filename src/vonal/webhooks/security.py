"""How a webhook proves to the CRM that it comes from us (contract, section 4). Pure.

What each type needs is `vonal.domain.security`'s. Signatures are Standard Webhooks': HMAC-SHA256 over
`id.timestamp.payload`, in the header `webhook-signature`, one for each live key.
"""

from base64 import b64encode
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from msgspec import Struct

from vonal.domain.directory import Security
from vonal.domain.security import signing_key


class Proof(Struct, frozen=True, kw_only=True):
    """What to add to a request. `secrets` must show up in no log, nor in the answer we keep."""

    headers: dict[str, str] = {}
    params: dict[str, str] = {}
    secrets: tuple[str, ...] = ()


def prove(security: Security) -> Proof:
    """Credentials that stand in the request as they are."""
    user, password, key = security.user or "", security.password or "", security.key or ""
    if security.type == "basic":
        token = b64encode(f"{user}:{password}".encode()).decode()
        return Proof(headers={"Authorization": f"Basic {token}"}, secrets=(token, password))
    if security.type == "userpass_params":
        return Proof(params={"user": user, "password": password}, secrets=(password,))
    if security.type == "api_key_header":
        return Proof(headers={security.header or "X-API-Key": key}, secrets=(key,))
    if security.type == "api_key_param":
        return Proof(params={security.param or "api_key": key}, secrets=(key,))
    return Proof()


def signature(security: Security, *, event_id: str, timestamp: int, payload: bytes) -> str | None:
    """The value of `webhook-signature`, or None when the webhook is not signed. `timestamp` in seconds.

    `payload` is the body; of a GET, which has none, path and query as they stand in the request.
    """
    signed = b"%s.%d.%s" % (event_id.encode(), timestamp, payload)
    made = [_mac(key, signed) for key in _keys(security)]
    return " ".join(f"v1,{b64encode(one).decode()}" for one in made) or None


def _mac(key: str, text: bytes) -> bytes:
    # The standard library's lets other threads run meanwhile, which here takes a hundred times as long as the work.
    mac = _begun(key).copy()
    mac.update(text)
    return mac.finalize()


@lru_cache(maxsize=4096)
def _begun(key: str) -> HMAC:
    return HMAC(signing_key(key), SHA256())


def _keys(security: Security) -> list[str]:
    if security.type == "hmac":
        keys = [security.key, security.previous_key]
    elif security.hmac is not None:
        keys = [security.hmac.key, security.hmac.previous_key]
    else:
        keys = []
    return [key for key in keys if key]

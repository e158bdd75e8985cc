"""Links with which people choose a password: invitations and resets. Each is good once, and for some time."""

import hashlib
import secrets

from sqlalchemy import Connection

from vonal.store import user_links as store
from vonal.store.user_links import LinkKind, UserLink

LIVES_MS: dict[LinkKind, int] = {"invitation": 7 * 24 * 3600 * 1000, "reset": 3600 * 1000}
_TOKEN_BYTES = 32


def any_tenant_new(tx: Connection, user_id: str, *, kind: LinkKind, now: int) -> str:
    """A new link's token, in place of the one of this kind that the user had."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    link = UserLink(kind=kind, user_id=user_id, created_at=now, expires_at=now + LIVES_MS[kind])
    store.any_tenant_replace(tx, link, token_hash=token_hash(token))
    return token


def token_hash(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

"""What each type of webhook security needs (contract, section 4), and how a signing secret is read."""

from base64 import b64decode, b64encode
from functools import lru_cache
from secrets import token_bytes

from vonal.domain.directory import Security

NEEDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("user", "password"),
    "userpass_params": ("user", "password"),
    "api_key_header": ("key",),
    "api_key_param": ("key",),
    "hmac": ("key",),
    "encrypted": ("key",),
}
MAY_HAVE: dict[str, tuple[str, ...]] = {
    "hmac": ("previous_key",),
    "api_key_header": ("header",),
    "api_key_param": ("param",),
}
SIGNING_PREFIX = "whsec_"
MIN_KEY_BYTES = 8
MIN_ENCRYPTION_KEY = 16  # characters
_FIELDS = ("user", "password", "header", "param", "key", "previous_key")


@lru_cache(maxsize=4096)
def signing_key(text: str) -> bytes:
    """The secret bytes of `whsec_BASE64` (Standard Webhooks), or of any other text: its own bytes.

    Raises ValueError when the Base64 is broken or the secret is too short.
    """
    if text.startswith(SIGNING_PREFIX):
        try:
            key = b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
        except ValueError as fault:
            raise ValueError("what follows whsec_ is not Base64") from fault
    else:
        key = text.encode()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a signing secret has at least {MIN_KEY_BYTES} bytes, 32 are usual")
    return key


def new_signing_key() -> str:
    """A fresh signing secret, `whsec_BASE64` of 32 random bytes."""
    return SIGNING_PREFIX + b64encode(token_bytes(32)).decode()


def faults(security: Security) -> list[tuple[str, str]]:
    """(field, reason) of all that is missing, broken, or means nothing with this type."""
    kind = security.type
    needed = NEEDS[kind]
    found = [
        (field, f"is missing: security of type {kind} needs {' and '.join(needed)}")
        for field in needed
        if not getattr(security, field)
    ]
    allowed = needed + MAY_HAVE.get(kind, ())
    found += [
        (field, f"means nothing with security of type {kind}")
        for field in _FIELDS
        if getattr(security, field) is not None and field not in allowed
    ]
    if kind == "hmac" and security.hmac:
        found.append(("hmac", "stands beside another type; with type hmac give key and previous_key themselves"))
    if kind == "encrypted" and 0 < len(security.key or "") < MIN_ENCRYPTION_KEY:
        found.append(("key", f"a key to encrypt with has at least {MIN_ENCRYPTION_KEY} characters, 32 are usual"))
    return found + _signing_faults(security)


def _signing_faults(security: Security) -> list[tuple[str, str]]:
    keys: dict[str, str | None] = {}
    if security.type == "hmac":
        keys = {"key": security.key, "previous_key": security.previous_key}
    elif security.hmac:
        keys = {"hmac.key": security.hmac.key, "hmac.previous_key": security.hmac.previous_key}
    found = []
    for field, text in keys.items():
        if not text:
            continue
        try:
            signing_key(text)
        except ValueError as fault:
            found.append((field, str(fault)))
    return found

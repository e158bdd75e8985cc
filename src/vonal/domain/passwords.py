"""Secrets of machines: Argon2id for passwords, which people choose; SHA-256 for keys, which are long and random."""

import hashlib
import secrets
from base64 import urlsafe_b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

KEY_PREFIX = "vk_live_"
KEY_BYTES = 24
MAX_PASSWORD = 256  # as in the directory; longer ones are wrong without being looked at

# OWASP's least parameters: about 20 ms and 19 MiB for each check, in one thread.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
NOBODY = _hasher.hash(secrets.token_hex())  # what a password of an unknown user is held against


def hash_password(password: str) -> str:
    """The password's Argon2id hash with its salt and parameters, in PHC form."""
    return _hasher.hash(_bytes(password))


def matches(password: str, password_hash: str) -> bool:
    """Whether the hash was made of this password. Takes the same time for both answers."""
    try:
        return _hasher.verify(password_hash, _bytes(password[: MAX_PASSWORD + 1]))
    except (VerificationError, InvalidHashError):
        return False


def hash_key(key: str) -> str:
    """The key's SHA-256, in hexadecimal."""
    return hashlib.sha256(_bytes(key)).hexdigest()


def new_key() -> str:
    """A key nobody has: `vk_live_` and 192 random bits."""
    return KEY_PREFIX + urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a request may hold halves of characters

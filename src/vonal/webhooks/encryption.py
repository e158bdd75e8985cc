"""What a webhook with the security `encrypted` gets: a JWE that only the holder of its key can read. Pure.

Compact form (RFC 7516) with `dir` and `A256GCM` (RFC 7518). The content key is HKDF-SHA256 (RFC 5869) of the key's
UTF-8 bytes: 32 bytes, with empty salt and info.
"""

from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.jwk import OctKey

KEY_BYTES = 32
_HEADER = {"alg": "dir", "enc": "A256GCM", "typ": "JWE", "cty": "application/json"}


def sealed(plaintext: bytes, key: str) -> str:
    """The token, `HEADER..IV.CIPHERTEXT.TAG` in ASCII; another one each time."""
    return jwe.encrypt_compact(_HEADER, plaintext, content_key(key))


@lru_cache(maxsize=1024)
def content_key(key: str) -> OctKey:
    """The key that encrypts, made of the webhook's key."""
    made = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=b"")
    return OctKey.import_key(made.derive(key.encode()))

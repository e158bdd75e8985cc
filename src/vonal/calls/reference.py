"""Recording ids: opaque, authenticated, encrypted, and the same in every event about the same recording.

An id is `rec_` and 56 letters: a key version and the AES-SIV (RFC 5297) of the recording's digest, with the tenant as
associated data. So a forged, a cut and another tenant's id fail in one and the same way, before anything is looked up.
"""

import hashlib
from base64 import b32decode, b32encode
from binascii import Error as NotBase32
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vonal.domain.errors import RecordingIdUndecodable

PREFIX = "rec_"
_DIGEST_BYTES = 18  # with the version and SIV's 16 bytes: 35, which base32 writes without padding or spare bits
_SIV_KEY_BYTES = 64
_MOST_KEYS = 255


@dataclass(frozen=True)
class Keys:
    """The key ring: the last key makes new ids, all of them read. A key's version is its place, counted from 1."""

    ciphers: tuple[AESSIV, ...]

    @classmethod
    def of(cls, secrets: Sequence[bytes]) -> "Keys":
        """`secrets`: the service's, oldest first (`vonal.store.secret`); at least one, at most 255."""
        if not 0 < len(secrets) <= _MOST_KEYS:
            raise ValueError(f"expected 1 to {_MOST_KEYS} secrets, got {len(secrets)}")
        return cls(tuple(AESSIV(_derived(one)) for one in secrets))


def mint(keys: Keys, tenant_id: str, call_id: str, file: str) -> str:
    """The id of the recording that lies in the raw `file` of this call; 60 characters."""
    digest = hashlib.sha256(f"{call_id}/{file}".encode()).digest()[:_DIGEST_BYTES]
    sealed = keys.ciphers[-1].encrypt(digest, [tenant_id.encode()])
    return PREFIX + b32encode(bytes([len(keys.ciphers)]) + sealed).decode().lower()


def decode(keys: Keys, tenant_id: str, recording_id: str) -> bytes:
    """The recording's digest, which proves that the id is one of ours, made for this tenant.

    Raises RecordingIdUndecodable for everything else, always in the same words.
    """
    undecodable = RecordingIdUndecodable("The id was not made by this service for this tenant.", param="id")
    try:
        packed = b32decode(recording_id.removeprefix(PREFIX).upper())
        # Only the one spelling that mint() makes: an id is compared as text elsewhere.
        if PREFIX + b32encode(packed).decode().lower() != recording_id or not packed:
            raise undecodable
        version, sealed = packed[0], packed[1:]
        return keys.ciphers[version - 1 if version else _MOST_KEYS].decrypt(sealed, [tenant_id.encode()])
    except (NotBase32, ValueError, IndexError, InvalidTag) as fault:
        raise undecodable from fault


def _derived(secret: bytes) -> bytes:
    return HKDF(SHA256(), length=_SIV_KEY_BYTES, salt=None, info=b"vonal recording id").derive(secret)

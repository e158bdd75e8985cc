"""Signs manifests: compact JWS (RFC 7515) with Ed25519 (RFC 8037), by keys derived from the service's secrets."""

import warnings
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

from vonal.domain.manifest import Manifest

# RFC 9864 would have it called Ed25519; but it is under its old name that the libraries of CRMs know it.
ALGORITHM = "EdDSA"
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class Signer:
    """The newest secret's key signs; the public halves of all are published, so that old signatures stay good."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """`secrets`: the service's, oldest first (`vonal.store.secret`); at least one."""
        self._keys = [_derived(one) for one in reversed(secrets)]

    def sign(self, manifest: Manifest) -> str:
        """The compact JWS whose payload is this manifest as JSON; `kid` is the key's RFC 7638 thumbprint."""
        key = self._keys[0]
        header = {"alg": ALGORITHM, "kid": key.thumbprint()}
        return jws.serialize_compact(header, msgspec.json.encode(manifest), key, algorithms=[ALGORITHM])

    def public(self) -> list[dict[str, Any]]:
        """The public keys as JWKs (RFC 7517), the newest first."""
        more = {"use": "sig", "alg": ALGORITHM}
        return [{**key.as_dict(private=False), "kid": key.thumbprint(), **more} for key in self._keys]


def _derived(secret: bytes) -> OKPKey:
    options = {"algorithm": SHA256(), "salt": None, "info": b"vonal manifest signature"}
    return OKPKey.derive_key(secret, "Ed25519", kdf_name="HKDF", kdf_options=options)

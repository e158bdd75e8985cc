"""The vault: rows that hold secrets are stored sealed, with a key made of the service's own secret.

A sealed text is `sealed:KEY:BASE64URL`, where KEY names the key and the rest is AES-SIV (RFC 5297) of the row's JSON.
What the row is (kind, tenant, name) is authenticated with it, so a text that was moved into another row does not open.
SIV needs no nonce: the same content is the same text. Rows of before begin with `{`, and are read as they are.
"""

import hashlib
import threading
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection

from vonal.domain.errors import VonalError

OPTION = "vonal_vault"  # the engine's execution option under which store functions find the vault
PREFIX = "sealed:"
_SIV_KEY_BYTES = 64
_ID_DIGITS = 8


class CannotUnseal(VonalError):
    """A stored secret does not open; the message says which key is missing, or which row was tampered with."""

    status, code, title = 503, "cannot_unseal", "A stored secret cannot be opened"


class Vault:
    """The keys. `load` reads the service's secrets, oldest first; the last one seals, all of them open.

    Safe to be used by several threads. `load` is asked again when a text names a key that is not known: `secret.key`
    may have grown, so a running service needs no restart for that.
    """

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._keys = _keys(load())

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys, oldest first: the last one seals."""
        return list(self._keys)

    def reload(self) -> None:
        """Reads the secrets again."""
        with self._lock:
            self._keys = _keys(self._load())

    def seal(self, text: str, *place: str) -> str:
        """The text, sealed for this place: the row's kind, tenant and name."""
        key_id, cipher = list(self._keys.items())[-1]
        sealed = cipher.encrypt(text.encode(), [one.encode() for one in place])
        return f"{PREFIX}{key_id}:{urlsafe_b64encode(sealed).decode()}"

    def open(self, text: str, *place: str) -> str:
        """What was sealed for this place; a text that is not sealed, as it is. Raises CannotUnseal."""
        key_id = key_of(text)
        if key_id is None:
            return text
        if key_id not in self._keys:
            self.reload()
        if (cipher := self._keys.get(key_id)) is None:
            raise CannotUnseal(
                f"Stored secrets were sealed with the key {key_id[:16]}, which is not among the service's secrets "
                f"({', '.join(self._keys)}). Put the line that is missing back into secret.key, or into "
                "VONAL_SECRET_KEY, from where it was made or from a backup."
            )
        try:
            sealed = b64decode(text.rpartition(":")[2], altchars=b"-_", validate=True)
            return cipher.decrypt(sealed, [one.encode() for one in place]).decode()
        except (NotBase64, ValueError, InvalidTag) as fault:
            named = "/".join(one for one in place if one)
            raise CannotUnseal(f"The stored row {named} was changed or moved by somebody: restore a backup.") from fault


def key_of(text: str) -> str | None:
    """The id of the key that a stored text is sealed with; None when it is not sealed."""
    if not text.startswith(PREFIX):
        return None
    return text.removeprefix(PREFIX).partition(":")[0]


def sealed(tenant_id: str, tx: Connection, kind: str, name: str, text: str) -> str:
    """The row's text as it is to be stored; a database without a vault stores it as it is."""
    vault = _vault(tx)
    return vault.seal(text, kind, tenant_id, name) if vault else text


def opened(tenant_id: str, tx: Connection, kind: str, name: str, text: str) -> str:
    """The row's text that was stored. Raises CannotUnseal."""
    vault = _vault(tx) or _NO_VAULT
    return vault.open(text, kind, tenant_id, name)


def any_tenant_vault(tx: Connection) -> Vault | None:
    """The vault of this database, if it has one."""
    return _vault(tx)


def _vault(tx: Connection) -> Vault | None:
    found: Vault | None = tx.get_execution_options().get(OPTION)
    return found


def _keys(secrets: Sequence[bytes]) -> dict[str, AESSIV]:
    keys: dict[str, AESSIV] = {}
    for secret in secrets:
        key = HKDF(SHA256(), length=_SIV_KEY_BYTES, salt=None, info=b"vonal vault").derive(secret)
        key_id = hashlib.sha256(key).hexdigest()[:_ID_DIGITS]
        keys.pop(key_id, None)  # given twice, its last place counts
        keys[key_id] = AESSIV(key)
    return keys


_NO_VAULT = Vault(tuple)

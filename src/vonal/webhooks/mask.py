"""Hides what a webhook must not see of a call, before anything else looks at it. Pure.

The values under the masked paths are found first; then every text about people that is one of them, or shows one of
them in another writing, is masked in the same way. So a number cannot be read beside its mask.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vonal.domain.directory import Mask
from vonal.domain.masks import CUSTOM, MASKABLE
from vonal.webhooks import fields

Data = dict[str, Any]
PSEUDONYM_DIGITS = 32
# Where a path goes, these go with it. `ringing` is what dialects add: the people whom the number rings.
_WITH: dict[str, tuple[str, ...]] = {
    "agent.extension": ("ringing.extension",),
    "agent.name": ("ringing.name",),
    "agent.email": ("ringing.email",),
}
_RAW = {"from.number": "from.raw", "to.number": "to.raw"}
_LOOKED_AT = frozenset({*MASKABLE, *(path for more in _WITH.values() for path in more)})
_SHORTEST_WITHIN = 4  # characters; a shorter text, such as an extension, is hidden only where it stands alone
_LINE_DIGITS = 8  # the last digits of a number are the same however it is written
_NO_DIGITS = re.compile(r"\D+")


def tenant_key(secret: bytes, tenant_id: str) -> bytes:
    """The tenant's key for pseudonyms, of the service's secret (HKDF-SHA256, RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=f"vonal mask {tenant_id}".encode()).derive(secret)


def masked(data: Data, masks: Mapping[str, Mask], key: bytes) -> Data:
    """The call event's `data` with its masks on; `data` itself stays as it was.

    `key`: the tenant's, for pseudonyms. Raises ValueError when a mask needs it and it is empty.
    """
    if not masks:
        return data
    if not key and "hash" in masks.values():
        raise ValueError("a mask of kind hash needs the tenant's key")
    kinds = dict(_spread(data, masks))
    return _Masking(kinds, _hidden(data, kinds), key).of(data)


def shown(text: str, kind: Mask, key: bytes) -> str | None:
    """What is to be seen of the text."""
    if kind == "hide":
        return None
    if kind == "hash":
        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()[:PSEUDONYM_DIGITS]
    text = text.removeprefix("+")
    kept = text[-4:] if len(text) > 4 else ""  # noqa: PLR2004 - last4
    return "*" * (len(text) - len(kept)) + kept


def _spread(data: Data, masks: Mapping[str, Mask]) -> Iterator[tuple[str, Mask]]:
    for path, kind in masks.items():
        if (raw := _RAW.get(path)) and raw not in masks and fields.at(data, raw) not in _extensions(data):
            yield raw, kind  # the raw digits of a colleague are his extension, which is no number
        for more in _WITH.get(path, ()):
            yield more, kind
    yield from masks.items()


def _extensions(data: Data) -> set[str]:
    return set(_texts([fields.at(data, "agent.extension"), fields.at(data, "legs.extension")]))


def _hidden(data: Data, kinds: Mapping[str, Mask]) -> dict[str, Mask]:
    return {text: kind for path, kind in kinds.items() for text in _texts(fields.at(data, path)) if text}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


class _Masking:
    """One walk through the data. `hidden`: each text that must not be seen, and how it is masked."""

    def __init__(self, kinds: Mapping[str, Mask], hidden: Mapping[str, Mask], key: bytes) -> None:
        self._kinds, self._hidden, self._key = kinds, hidden, key
        self._within = {text: kind for text, kind in hidden.items() if len(text) >= _SHORTEST_WITHIN}
        lines = ((_NO_DIGITS.sub("", text), kind) for text, kind in hidden.items())
        self._lines = {line[-_LINE_DIGITS:]: kind for line, kind in lines if len(line) >= _LINE_DIGITS - 2}

    def of(self, data: Data) -> Data:
        return {name: self._walk(value, name, None) for name, value in data.items()}

    def _walk(self, value: Any, path: str, kind: Mask | None) -> Any:
        kind = self._kinds.get(path, kind)
        if kind == "hide":
            return None
        if isinstance(value, list):
            return [self._walk(one, path, kind) for one in value]
        if isinstance(value, dict):
            return {self._name(name, path): self._walk(one, f"{path}.{name}", kind) for name, one in value.items()}
        if value is None or isinstance(value, bool):
            return value
        if kind is None and (path in _LOOKED_AT or path.startswith(CUSTOM)):
            kind = self._kind_of(str(value))
        return value if kind is None else shown(str(value), kind, self._key)

    def _name(self, name: str, path: str) -> str:
        """Names within `custom` are the CRM's own, and could be numbers."""
        kind = self._kind_of(name) if f"{path}.".startswith(CUSTOM) else None
        return name if kind is None else shown(name, kind, self._key) or ""

    def _kind_of(self, text: str) -> Mask | None:
        if text in self._hidden:
            return self._hidden[text]
        digits = _NO_DIGITS.sub("", text)
        within = (kind for one, kind in self._within.items() if one in text)
        return next(within, None) or next((kind for line, kind in self._lines.items() if line in digits), None)

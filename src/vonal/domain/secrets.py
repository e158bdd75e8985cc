"""Which members of a webhook are secret, and what stands in their place where it is shown."""

from typing import Any

import msgspec

from vonal.domain.directory import Security

HIDDEN = "•••"
SECRETS = (
    ("security", "password"),
    ("security", "key"),
    ("security", "previous_key"),
    ("security", "hmac", "key"),
    ("security", "hmac", "previous_key"),
    ("tls", "key"),
)
SECRET_NAMES = frozenset({"secret", "password", "key", "previous_key", "secret_hash"})


def without_secrets(value: Any) -> Any:
    """Any part of the directory as plain data, with `HIDDEN` in place of each secret."""
    return _covered(msgspec.to_builtins(value))


def _covered(data: Any) -> Any:
    if isinstance(data, dict):
        return {
            name: HIDDEN if name in SECRET_NAMES and isinstance(one, str) else _covered(one)
            for name, one in data.items()
        }
    return [_covered(one) for one in data] if isinstance(data, list | tuple) else data


def secrets_of(security: Security) -> dict[str, str]:
    """The secrets of this security by their paths, such as `security.hmac.key`."""
    data = {"security": msgspec.to_builtins(security)}
    return {".".join(path): found for path in SECRETS if isinstance(found := member(data, path), str)}


def member(data: Any, path: tuple[str, ...]) -> Any:
    """What stands at this path in plain data, None where it ends."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data

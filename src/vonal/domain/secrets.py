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


def secrets_of(security: Security) -> dict[str, str]:
    """The secrets of this security by their paths, such as `security.hmac.key`."""
    data = {"security": msgspec.to_builtins(security)}
    return {".".join(path): found for path in SECRETS if isinstance(found := member(data, path), str)}


def member(data: Any, path: tuple[str, ...]) -> Any:
    """What stands at this path in plain data, None where it ends."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data

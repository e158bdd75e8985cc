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
CHANGED = f"{HIDDEN}*"
SECRET_MAPS = frozenset({"params", "headers"})
SECRET_NAMES = frozenset({"secret", "password", "key", "previous_key", "secret_hash"})


def without_secrets(value: Any, *, before: Any = None) -> Any:
    """Any part of the directory as plain data, with `HIDDEN` in place of each secret; `CHANGED` where `before` differs.

    Whatever a webhook sends beside the event may be one: parameters, headers, and the query in its address.
    """
    return _covered(msgspec.to_builtins(value), msgspec.to_builtins(before))


def _covered(data: Any, before: Any) -> Any:
    if isinstance(data, dict):
        old = before if isinstance(before, dict) else {}
        return {name: _member(name, one, old.get(name)) for name, one in data.items()}
    return [_covered(one, None) for one in data] if isinstance(data, list) else data


def _member(name: str, data: Any, before: Any) -> Any:
    if name in SECRET_NAMES and isinstance(data, str):
        return _sign(data, before)
    if name in SECRET_MAPS and isinstance(data, dict):
        old = before if isinstance(before, dict) else {}
        return {key: _sign(one, old.get(key)) for key, one in data.items()}
    if name == "url" and isinstance(data, str) and "?" in data:
        place, _, query = data.partition("?")
        return f"{place}?{_sign(query, str(before).partition('?')[2])}"
    return _covered(data, before)


def _sign(data: Any, before: Any) -> str:
    return HIDDEN if before in (None, "", data) else CHANGED


def secrets_of(security: Security) -> dict[str, str]:
    """The secrets of this security by their paths, such as `security.hmac.key`."""
    data = {"security": msgspec.to_builtins(security)}
    return {".".join(path): found for path in SECRETS if isinstance(found := member(data, path), str)}


def member(data: Any, path: tuple[str, ...]) -> Any:
    """What stands at this path in plain data, None where it ends."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data

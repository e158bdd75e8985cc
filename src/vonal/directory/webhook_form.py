"""A webhook as its own people send and see it: JSON in the shape of the YAML's, its secrets never shown. Pure.

In place of a secret stands `•••`; sent back, it stands for the secret that is kept.
"""

from typing import Any

import msgspec

from vonal.directory import structure
from vonal.directory.structure import join
from vonal.domain.directory import Webhook
from vonal.domain.errors import InvalidParts
from vonal.domain.secrets import HIDDEN, SECRETS, member

# What answers say beside the webhook; it may come back, and is passed over.
READ_ONLY = ("state", "failing_since", "next_try_at", "waiting", "last_status", "last_error")
Json = dict[str, Any]


def shown(webhook: Webhook) -> Json:
    """The webhook without its secrets."""
    data: Json = msgspec.to_builtins(webhook)
    for path in SECRETS:
        if member(data, path) is not None:
            _put(data, path, HIDDEN)
    return data


def read(sent: Json, *, id_: str, stored: Webhook | None = None) -> Webhook:
    """The webhook that was sent; what is null, or is not there, has its default. Raises InvalidParts."""
    data = {name: value for name, value in sent.items() if name not in READ_ONLY}
    if data.get("id") is None:
        data["id"] = id_
    elif data["id"] != id_ and stored is not None:
        raise InvalidParts([("id", "cannot be changed; delete the webhook and make another")])
    kept: Json = msgspec.to_builtins(stored) if stored else {}
    cleaned, faults = structure.read(_texts(_restored(data, kept)), Webhook)
    if faults:
        raise InvalidParts(faults)
    return msgspec.convert(cleaned, Webhook)


def patched(stored: Webhook, patch: Json) -> Webhook:
    """The webhook after a JSON merge patch (RFC 7396). With another `security.type`, security begins anew.

    Raises InvalidParts.
    """
    base: Json = msgspec.to_builtins(stored)
    security = patch.get("security")
    if isinstance(security, dict) and security.get("type", stored.security.type) != stored.security.type:
        base["security"] = {}
    return read(_merged(base, patch), id_=stored.id, stored=stored)


def changed(before: Webhook | None, after: Webhook | None) -> list[str]:
    """The names of what differs, such as `security.key`; never a value."""
    old: Json = msgspec.to_builtins(before) if before else {}
    new: Json = msgspec.to_builtins(after) if after else {}
    return sorted(_differing(old, new, ""))


def _differing(old: Any, new: Any, path: str) -> list[str]:
    if old == new:
        return []
    if path in ("", "security", "scope", "tls", "security.hmac") and isinstance(old, dict) and isinstance(new, dict):
        names = old.keys() | new.keys()
        return [one for name in names for one in _differing(old.get(name), new.get(name), join(path, name))]
    return [path]


def _merged(base: Any, patch: Json) -> Json:
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def _restored(data: Json, kept: Json) -> Json:
    """With the kept secrets where `•••` stands."""
    found = msgspec.json.decode(msgspec.json.encode(data))
    missing = []
    for path in SECRETS:
        if member(found, path) != HIDDEN:
            continue
        if (secret := member(kept, path)) is None:
            missing.append((".".join(path), f"{HIDDEN} stands for the secret that is kept, and there is none"))
        _put(found, path, secret)
    if missing:
        raise InvalidParts(missing)
    return dict(found)


def _texts(value: Any) -> Any:
    """JSON as `structure` reads it: scalars as text, and nothing where null stood."""
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _put(data: Json, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        data = data[name]
    data[path[-1]] = value

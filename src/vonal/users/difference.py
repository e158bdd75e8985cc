"""What an entry of the audit log has changed, member by member, so that a person can read it. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from vonal.domain.secrets import HIDDEN

LONGEST = 300  # characters of a value


class Change(Struct, frozen=True, kw_only=True):
    """One member, by its path such as `security.type`; None where there was or is nothing."""

    path: str
    before: str | None
    after: str | None


def changes_of(before: Any, after: Any) -> list[Change]:
    """The members that differ, in order; a secret that has changed stands as `CHANGED` behind `HIDDEN`."""
    old, new = dict(_members(before, "")), dict(_members(after, ""))
    paths = [*old, *(path for path in new if path not in old)]
    return [
        Change(path=path, before=old.get(path), after=new.get(path)) for path in paths if old.get(path) != new.get(path)
    ]


def has_hidden(data: Any) -> bool:
    """Whether there is a secret in it."""
    return any(HIDDEN in text for _, text in _members(data, ""))


def _members(data: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for name, one in data.items():
            yield from _members(one, f"{path}.{name}" if path else str(name))
    elif isinstance(data, list) and any(isinstance(one, dict | list) for one in data):
        for place, one in enumerate(data):
            yield from _members(one, f"{path}[{_name(one, place)}]")
    elif data is not None and data not in ("", [], {}):
        yield path, _text(data)


def _name(one: Any, place: int) -> str:
    """What an element of a list is called, so that one that moved is not taken for another."""
    keys = ("id", "number", "name", "user") if isinstance(one, dict) else ()
    return str(next((one[key] for key in keys if one.get(key)), place + 1))


def _text(data: Any) -> str:
    if isinstance(data, bool):
        return "yes" if data else "no"
    if isinstance(data, list):
        text = ", ".join(map(str, data))
    else:
        text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"

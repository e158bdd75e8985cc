"""Which part of a call a webhook gets: `minimal`, `standard`, `full`, or a list of paths. Pure."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

Fields = Literal["minimal", "standard", "full"] | Sequence[str]
Data = dict[str, Any]

MINIMAL = (
    "call.id",
    "call.revision",
    "call.direction",
    "call.disposition",
    "call.external_id",
    "from",
    "to",
    "times",
    "custom",
)
STANDARD = (*MINIMAL, "agent", "legs", "transfers", "recordings")


def select(data: Data, fields: Fields) -> Data:
    """The chosen part of a call event's `data`; what a path does not find is left out."""
    if fields == "full":
        return data
    if fields == "minimal":
        return pick(data, MINIMAL)
    if fields == "standard":
        return pick(data, STANDARD)
    return pick(data, fields)


def pick(data: Data, paths: Sequence[str]) -> Data:
    """What the dotted `paths` point to, in its place. A path goes into every member of a list (`legs.number`)."""
    picked = _prune(data, _tree(tuple(paths)))
    return picked if isinstance(picked, dict) else {}


def at(data: Data, path: str) -> Any:
    """The one value that a path points to, a list of values where it goes through a list, None where it ends."""
    value: Any = data
    for name in path.split("."):
        if isinstance(value, list):
            value = [one.get(name) for one in value if isinstance(one, dict)]
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


@lru_cache(maxsize=1024)
def _tree(paths: tuple[str, ...]) -> Data:
    tree: Data = {}
    for path in paths:
        _grow(tree, path.split("."))
    return tree


def _grow(tree: Data, names: list[str]) -> None:
    for name in names[:-1]:
        branch = tree.setdefault(name, {})
        if branch is None:  # the whole of it is wanted already
            return
        tree = branch
    tree[names[-1]] = None


def _prune(value: Any, tree: Data | None) -> Any:
    if tree is None:
        return value
    if isinstance(value, list):
        return [_prune(one, tree) for one in value]
    if not isinstance(value, dict):
        return None
    return {
        name: value[name] if branch is None else _prune(value[name], branch)
        for name, branch in tree.items()
        if name in value
    }

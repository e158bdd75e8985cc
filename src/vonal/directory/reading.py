"""Reads the YAML of `vonal apply`. Whatever the file holds, the answer is a directory or a list of faults."""

from collections.abc import Hashable, Mapping
from typing import Any, cast

import msgspec
import yaml
from msgspec import Struct

from vonal.directory import structure
from vonal.domain.directory import Directory
from vonal.domain.errors import DirectoryError
from vonal.store.directory import PartId

MAX_BYTES = 16 * 1024 * 1024
MAX_NODES = 1_000_000  # what the file unfolds to, with every alias replaced by what it stands for
MAX_DEPTH = 32
_TYPED = ("int", "float", "bool", "timestamp", "binary")


class Document(Struct, frozen=True, kw_only=True):
    """A directory, and which keys the file gives of each tenant (by position): the others it says nothing about.

    `beside`: single rows as they shall be, None for those that shall go (a tenant with all that is in it), which no
    file can say: a credential of which only the hash is known, a tenant or trunk to be removed alone.
    """

    directory: Directory = Directory()
    named: tuple[frozenset[str], ...] = ()
    beside: Mapping[PartId, Struct | None] = {}


def read(source: bytes) -> Document:
    """The file's content. Raises DirectoryError with every fault of form; unknown keys come with what was meant."""
    data = _plain(_decoded(source))
    if data is None:
        raise DirectoryError([("", "the file is empty: expected tenants or trunks")])
    cleaned, faults = structure.read(data, Directory)
    if faults:
        raise DirectoryError(faults)
    directory = msgspec.convert(cleaned, Directory)
    return Document(directory=directory, named=tuple(frozenset(map(str, one)) for one in cleaned.get("tenants", [])))


def everything(directory: Directory) -> Document:
    """A directory made by a program: it says something about every part of its tenants."""
    return Document(directory=directory, named=tuple(frozenset(one.__struct_fields__) for one in directory.tenants))


def _decoded(source: bytes) -> str:
    if len(source) > MAX_BYTES:
        raise DirectoryError([("", f"the file is larger than {MAX_BYTES // 1024**2} MiB")])
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = source.count(b"\n", 0, fault.start) + 1
        raise DirectoryError([("", f"line {line}: not UTF-8 text")]) from fault


def _plain(text: str) -> Any:
    try:
        _measure(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as fault:
        raise DirectoryError([("", _told(fault))]) from fault
    except yaml.reader.ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        raise DirectoryError(
            [("", f"line {line}: the character U+{_code(fault.character):04X} may not stand in YAML")]
        ) from fault


def _told(fault: yaml.MarkedYAMLError) -> str:
    """Where and what, and where the thing began in which it was found: a cut file is at fault at its end."""
    at, begin = fault.problem_mark, fault.context_mark
    where = f"line {at.line + 1}, column {at.column + 1}: " if at else ""
    since = f", begun at line {begin.line + 1}, column {begin.column + 1}" if fault.context and begin else ""
    return f"{where}{', '.join(one for one in (fault.context, fault.problem) if one)}{since}"


def _code(character: Any) -> int:
    return character if isinstance(character, int) else ord(character)


def _measure(text: str) -> None:
    """Refuses what would unfold to a giant or sink the parser's stack, before anything is built."""
    sizes = [0]
    anchors: dict[str, int] = {}
    names: list[str | None] = []
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.ScalarEvent):
            size, name = 1, event.anchor
        elif isinstance(event, yaml.CollectionStartEvent):
            sizes.append(1)
            names.append(event.anchor)
            if len(sizes) > MAX_DEPTH:
                raise _fault("nested too deeply", event)
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            size, name = sizes.pop(), names.pop()
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise _fault(f"*{event.anchor} stands inside itself", event)
            size, name = anchors.get(event.anchor or "", 0), None
        else:
            continue
        sizes[-1] += size
        if name is not None:
            anchors[name] = size
        if sizes[-1] > MAX_NODES:
            raise _fault("unfolds to too much", event)


def _fault(problem: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast("yaml.Mark", at.start_mark))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C parser where there is one
    """A SafeLoader that leaves scalars as they are written and does not let a key stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key must be text", key)
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise _fault(f'the key "{key.value}" stands twice', key)
            seen.add(key.value)
        return dict(super().construct_mapping(node, deep))


for _type in _TYPED:
    _Loader.add_constructor(f"tag:yaml.org,2002:{_type}", yaml.SafeLoader.construct_scalar)

"""Reads plain data into a domain type and finds every fault on the way, where msgspec would stop at the first.

YAML 1.1 guesses types (`NO` is false, `+36…` a number, `010` is eight). Here the wanted type decides: scalars come as
the text that stands in the file, and become numbers and booleans only where such are wanted.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any

from msgspec import inspect

Fault = tuple[str, str]  # (path, reason)

_TRUE, _FALSE = {"true", "yes", "on"}, {"false", "no", "off"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]{0,30}$": "lower-case letters, digits and dashes, at most 31",
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$": "letters, digits, dashes and underscores, at most 63",
    r"^[0-9]{2,6}$": "2 to 6 digits",
    r"^[A-Z]{2}$": "a country's two capital letters, such as HU",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "name"?`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def read(data: Any, wanted: type[Any]) -> tuple[Any, list[Fault]]:
    """The data with its scalars in their wanted types and without unknown keys, and all faults.

    If nothing but unknown keys is at fault, the returned data converts into `wanted`.
    """
    walk = _Walk()
    return walk.value(data, inspect.type_info(wanted), ""), walk.faults


class _Walk:
    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def fault(self, path: str, reason: str) -> None:
        self.faults.append((path, reason))

    def value(self, data: Any, wanted: inspect.Type, path: str) -> Any:
        match wanted:
            case inspect.UnionType():
                return self.value(data, _chosen(data, wanted), path)
            case inspect.StructType():
                return self.mapping(data, wanted, path)
            case inspect.DictType():
                return self.dictionary(data, wanted, path)
            case inspect.ListType():
                return self.list(data, wanted, path)
            case inspect.Metadata():
                return self.lines(data, wanted.type, path)
            case _:
                return None if isinstance(wanted, inspect.NoneType) else self.scalar(data, wanted, path)

    def lines(self, data: Any, wanted: inspect.Type, path: str) -> Any:
        """Text of several lines, such as a PEM file's."""
        kept = data.replace("\r\n", "\n") if isinstance(data, str) else data
        checked = kept.replace("\n", " ") if isinstance(kept, str) else kept
        self.scalar(checked, wanted, path)
        return kept

    def mapping(self, data: Any, wanted: inspect.StructType, path: str) -> Any:
        if not isinstance(data, dict):
            self.fault(path, f"expected a mapping (key: value), got {_name(data)}")
            return data
        fields = {field.encode_name: field for field in wanted.fields}
        for key in data:
            if key not in fields:
                self.fault(join(path, key), f"unknown key{did_you_mean(str(key), fields)}")
        for name, field in fields.items():
            if field.required and name not in data:
                self.fault(join(path, name), "is missing")
        return {key: self.value(one, fields[key].type, join(path, key)) for key, one in data.items() if key in fields}

    def dictionary(self, data: Any, wanted: inspect.DictType, path: str) -> Any:
        if not isinstance(data, dict):
            self.fault(path, f"expected a mapping (key: value), got {_name(data)}")
            return data
        return {
            self.scalar(key, wanted.key_type, join(path, key)): self.value(one, wanted.value_type, join(path, key))
            for key, one in data.items()
        }

    def list(self, data: Any, wanted: inspect.ListType, path: str) -> Any:
        if not isinstance(data, list):
            empty = "; write [] for an empty one" if data is None else ""
            self.fault(path, f"expected a list, got {_name(data)}{empty}")
            return data
        if len(data) < (wanted.min_length or 0):
            self.fault(path, "is empty")
        return [self.value(one, wanted.item_type, f"{path}[{index}]") for index, one in enumerate(data)]

    def scalar(self, data: Any, wanted: inspect.Type, path: str) -> Any:
        if not isinstance(data, str):
            self.fault(path, f"expected {_expected(wanted)}, got {_name(data)}")
            return data
        if control := _CONTROL.search(data):
            self.fault(path, f"contains the control character U+{ord(control.group()):04X}")
            return data
        match wanted:
            case inspect.IntType():
                return self.number(data, wanted, path)
            case inspect.BoolType():
                if data.lower() not in _TRUE | _FALSE:
                    self.fault(path, f"expected true or false, got {_shown(data)}")
                return data.lower() in _TRUE
            case inspect.LiteralType():
                if data not in wanted.values:
                    choices = [str(one) for one in wanted.values]
                    self.fault(path, f"{_shown(data)} is none of {', '.join(choices)}{did_you_mean(data, choices)}")
            case inspect.StrType():
                self.text(data, wanted, path)
            case _:
                raise TypeError(f"{path}: {wanted}")
        return data

    def number(self, data: str, wanted: inspect.IntType, path: str) -> Any:
        low, high = wanted.ge, wanted.le
        if not re.fullmatch("-?[0-9]{1,9}", data):
            self.fault(path, f"expected a whole number, got {_shown(data)}")
        elif (low is not None and int(data) < low) or (high is not None and int(data) > high):
            self.fault(path, f"{data} is not between {low} and {high}")
        else:
            return int(data)
        return data

    def text(self, data: str, wanted: inspect.StrType, path: str) -> None:
        if wanted.pattern and not re.search(wanted.pattern, data):
            self.fault(path, f"{_shown(data)} is not {_PATTERNS.get(wanted.pattern, f'of the form {wanted.pattern}')}")
        elif len(data) < (wanted.min_length or 0):
            self.fault(path, "is empty" if not data else f"is shorter than {wanted.min_length} characters")
        elif wanted.max_length is not None and len(data) > wanted.max_length:
            self.fault(path, f"is longer than {wanted.max_length} characters")


def join(path: str, key: Any) -> str:
    """The path of a mapping's value."""
    shown = str(key) if _PLAIN_KEY.fullmatch(str(key)) else f"[{_shown(str(key))}]"
    return f"{path}.{shown}" if path and not shown.startswith("[") else f"{path}{shown}"


def _chosen(data: Any, wanted: inspect.UnionType) -> inspect.Type:
    shapes: dict[type, tuple[type, ...]] = {
        type(None): (inspect.NoneType,),
        list: (inspect.ListType,),
        dict: (inspect.StructType, inspect.DictType),
    }
    for one in wanted.types:
        if isinstance(one, shapes.get(type(data), ())):
            return one
    scalars = [one for one in wanted.types if not isinstance(one, inspect.NoneType | inspect.ListType)]
    return scalars[0]


def _expected(wanted: inspect.Type) -> str:
    match wanted:
        case inspect.IntType():
            return "a whole number"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            return f"one of {', '.join(map(str, wanted.values))}"
        case _:
            return "text"


def _name(data: Any) -> str:
    if data is None:
        return "nothing"
    names: dict[type, str] = {dict: "a mapping", list: "a list", str: f"the text {_shown(data)}"}
    return names.get(type(data), type(data).__name__)


def _shown(data: Any) -> str:
    text = _CONTROL.sub("?", str(data))
    return f'"{text if len(text) <= 40 else text[:40] + "…"}"'  # noqa: PLR2004 - enough to recognise it

"""Reads a request's parameters, from query, form or JSON alike, into a Struct.

Contract, section 3. Names that an operation does not know are passed over: CRMs add their own.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from msgspec import Struct
from msgspec.inspect import DateTimeType, DictType, ListType, Metadata, StrType, Type, UnionType, type_info
from msgspec.structs import FieldInfo

from vonal.domain.errors import (
    InvalidExtension,
    InvalidNumber,
    InvalidRequest,
    MissingParameter,
    UnsupportedMediaType,
)

MAX_BODY = 65_536  # bytes
MAX_NAMES = 100
MAX_DEPTH = 16
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
FORM = "application/x-www-form-urlencoded"
WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Parameters = TypeVar("Parameters", bound=Struct)
PHONE_NUMBERS = frozenset({"number", "to", "caller_id"})
_ERRORS = {"extension": InvalidExtension, "number": InvalidNumber, "to": InvalidNumber, "caller_id": InvalidNumber}
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_LOST_PLUS = re.compile(r"^ (?=[0-9])")
_LOST_ZONE = re.compile(r" (?=[0-9]{2}:?[0-9]{2}$)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def read(request: Request[Any, Any, Any], *, document: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """All parameters of the request by name, and the body that is a `document`, which has no parameters in it.

    A plus sign that was not percent-encoded arrives as a space; in front of a digit it is taken for what was meant.
    Raises InvalidRequest, UnsupportedMediaType, PayloadTooLarge's cause.
    """
    found: dict[str, Any] = {}
    _merge(found, _pairs(request.scope["query_string"]))
    if document:
        return found, dict(_json_pairs(_json_body(await request.body(), request.headers.get("content-type", ""))))
    if request.method in WITH_BODY and (body := await request.body()):
        _merge(found, _body_pairs(body, request.headers.get("content-type", "")))
    return found, {}


def into(type_: type[Parameters], sent: dict[str, Any]) -> Parameters:
    """The parameters that `type_` names. Raises MissingParameter, and what is wrong with the first wrong one."""
    values: dict[str, Any] = {}
    for known in _fields(type_):
        value = sent.get(known.encode_name)
        if value is None or value == "":  # a CRM's template leaves empty what it has no value for
            if known.required:
                raise MissingParameter(f"{known.encode_name} is missing.", param=known.encode_name)
        else:
            values[known.name] = _converted(known, value)
    return type_(**values)


def _pairs(query: bytes) -> list[tuple[str, Any]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_NAMES)
    except ValueError as fault:
        raise InvalidRequest(f"The parameters must be at most {MAX_NAMES}, percent-encoded UTF-8.") from fault


def _body_pairs(body: bytes, content_type: str) -> list[tuple[str, Any]]:
    return _json_pairs(body) if _kind(content_type, (JSON, FORM)) == JSON else _pairs(body)


def _json_body(body: bytes, content_type: str) -> bytes:
    _kind(content_type, (JSON, MERGE_PATCH))
    return body


def _kind(content_type: str, known: tuple[str, str]) -> str:
    kind, _, rest = content_type.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", rest, re.IGNORECASE)
    if kind.strip().lower() not in known or (charset and charset[1].lower() not in ("utf-8", "utf8")):
        raise UnsupportedMediaType(f"Send the body as {' or '.join(known)}, in UTF-8.")
    return kind.strip().lower()


def _json_pairs(body: bytes) -> list[tuple[str, Any]]:
    decoded = _decoded(body)
    if not isinstance(decoded, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return list(decoded.items())


def _decoded(text: bytes | str, *, param: str | None = None) -> Any:
    try:
        decoded = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError) as fault:
        raise InvalidRequest("This is not valid JSON, or it is nested too deeply.", param=param) from fault
    if _deep(decoded):
        raise InvalidRequest(f"The JSON is nested more than {MAX_DEPTH} deep.", param=param)
    return decoded


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _merge(found: dict[str, Any], pairs: list[tuple[str, Any]]) -> None:
    for name, value in pairs:
        if name in found and str(found[name]) != str(value):
            shown = name[:64] if name.isprintable() else "a parameter"
            raise InvalidRequest(f"{shown} is given twice, with different values.", param=shown)
        found[name] = value


@lru_cache
def _fields(type_: type[Struct]) -> tuple[FieldInfo, ...]:
    return msgspec.structs.fields(type_)


@lru_cache
def _kinds(type_: Any) -> frozenset[type]:
    return frozenset(_kinds_in(type_info(type_)))


def _kinds_in(info: Type) -> Iterator[type]:
    if isinstance(info, Metadata):
        yield from _kinds_in(info.type)
    elif isinstance(info, UnionType):
        for one in info.types:
            yield from _kinds_in(one)
    else:
        yield type(info)


def _converted(known: FieldInfo, value: Any) -> Any:
    name, kinds = known.encode_name, _kinds(known.type)
    if DictType in kinds and isinstance(value, str):
        value = _decoded(value, param=name)
    elif ListType in kinds and isinstance(value, str):
        value = [one.strip() for one in value.split(",")]
    elif isinstance(value, str):
        value = _tidied(value, name, kinds)
    elif StrType in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # {"extension": 101}
    try:
        found = msgspec.convert(value, known.type, strict=False)
    except (ValueError, OverflowError, RecursionError) as fault:
        raise _ERRORS.get(name, InvalidRequest)(f"{name}: {_reason(fault)}.", param=name) from fault
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) and found.tzinfo is None else found


def _tidied(value: str, name: str, kinds: frozenset[type]) -> str:
    if _CONTROL.search(value):
        raise _ERRORS.get(name, InvalidRequest)(f"{name} has control characters.", param=name)
    if name in PHONE_NUMBERS:
        return _LOST_PLUS.sub("+", value)
    if DateTimeType in kinds:
        return _LOST_ZONE.sub("+", value)
    return value if StrType in kinds else _WORDS.get(value.strip().lower(), value.strip())


def _reason(fault: Exception) -> str:
    return str(fault).split(" - at ")[0][:200].lower()

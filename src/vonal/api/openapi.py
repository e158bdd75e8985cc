"""The OpenAPI 3.1 description, made from the operations that are served, so that the two cannot differ."""

import copy
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec import Struct

from vonal.api.errors import MEDIA_TYPE, Problem
from vonal.api.operation import Answers, Method, Operation
from vonal.api.parameters import FORM, JSON, MERGE_PATCH, WITH_BODY
from vonal.domain.errors import (
    AuthFailed,
    InvalidRequest,
    IpNotAllowed,
    PayloadTooLarge,
    ScopeMissing,
    UnsupportedMediaType,
    VonalError,
)

_REF = "#/components/schemas/{name}"
_EVERYWHERE: tuple[type[VonalError], ...] = (InvalidRequest, PayloadTooLarge)
_GUARDED: tuple[type[VonalError], ...] = (AuthFailed, ScopeMissing, IpNotAllowed)
_ERROR_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: ("Content-Range",),
}
_SECURITY: dict[str, dict[str, str]] = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "parameter": {"type": "apiKey", "in": "query", "name": "api_key", "description": "In query, form or JSON."},
    "user": {
        "type": "apiKey",
        "in": "query",
        "name": "user",
        "description": "With `password`, in query, form or JSON.",
    },
    "password": {"type": "apiKey", "in": "query", "name": "password", "description": "With `user`."},
}
_REQUIRED: list[dict[str, list[str]]] = [
    {"bearer": []},
    {"basic": []},
    {"header": []},
    {"parameter": []},
    {"user": [], "password": []},
]
Json = dict[str, Any]


def describe(operations: Sequence[Operation], *, base_url: str) -> Json:
    """The whole description, as JSON can hold it."""
    types = {Problem, *(one.parameters for one in operations)}
    types |= {one.document for one in operations if one.document}
    types |= {answer.body for one in operations for answer in one.answers.values() if answer.body}
    _, schemas = msgspec.json.schema_components(sorted(types, key=str), ref_template=_REF)
    paths: dict[str, Json] = {}
    for one in operations:
        for method in one.methods:
            paths.setdefault(one.path, {})[method.lower()] = _operation(one, method, schemas)
    used = {name: schema for name, schema in schemas.items() if not name.endswith("Parameters") and name != "Nothing"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vonal",
            "version": version("vonal"),
            "description": "Calls at a click, and the record of every call. Parameters may be sent in the query, as a "
            "form or as JSON. Every answer carries `X-Request-Id`.",
        },
        "servers": [{"url": base_url}],
        "paths": paths,
        "components": {"schemas": used, "securitySchemes": _SECURITY},
    }


def _operation(one: Operation, method: Method, schemas: Json) -> Json:
    fields = _fields(one.parameters, schemas)
    in_path = set(re.findall(r"{(\w+)}", one.path))
    with_body = not one.document and method in WITH_BODY and set(fields) - in_path
    described: Json = {
        "operationId": one.name if method == one.methods[0] else f"{one.name}{method.title()}",
        "summary": one.summary,
        "parameters": [*_parameters(fields, in_path, in_query=not with_body), *_header_parameters(one)],
        "responses": _responses(one, method),
        "security": _REQUIRED if one.scope else [],
    }
    if one.description or one.scope:
        scope = _needed(one.scopes)
        described["description"] = f"{one.description} {scope}".strip()
    if one.document:
        kinds = (JSON, MERGE_PATCH) if method == "PATCH" else (JSON,)
        described["requestBody"] = {"required": True, "content": {kind: _content(kind, one.document) for kind in kinds}}
    if with_body:
        described["requestBody"] = _body({name: field for name, field in fields.items() if name not in in_path})
    return described


def _needed(scopes: tuple[str, ...]) -> str:
    if len(scopes) > 1:
        return f"Needs the scopes `{'`, `'.join(scopes)}`, all of them."
    return f"Needs the scope `{scopes[0]}`." if scopes else ""


def _fields(type_: type[Struct], schemas: Json) -> dict[str, tuple[Json, bool]]:
    schema = schemas[type_.__name__] if type_.__struct_fields__ else {}
    required = schema.get("required", [])
    return {name: (_plain(one), name in required) for name, one in schema.get("properties", {}).items()}


def _plain(schema: Json) -> Json:
    """A parameter cannot be sent as null; leaving it out is how nothing is said."""
    plain = copy.deepcopy(schema)
    if plain.get("default", ...) is None:
        del plain["default"]
    if "anyOf" in plain:
        kinds = [one for one in plain.pop("anyOf") if one != {"type": "null"}]
        plain = {**plain, **kinds[0]} if len(kinds) == 1 else {**plain, "anyOf": kinds}
    if None in plain.get("enum", []):
        plain["enum"] = [one for one in plain["enum"] if one is not None]
    return plain


def _parameters(fields: dict[str, tuple[Json, bool]], in_path: set[str], *, in_query: bool) -> list[Json]:
    found = []
    for name, (schema, required) in fields.items():
        if name in in_path:
            found.append({"name": name, "in": "path", "required": True, **_described(schema)})
        elif in_query:
            found.append({"name": name, "in": "query", "required": required, **_described(schema)})
    return found


def _described(schema: Json) -> Json:
    described = {"schema": {key: value for key, value in schema.items() if key != "description"}}
    if schema.get("type") == "object":  # as JSON text
        described = {"content": {JSON: described}}
    return {**described, "description": schema["description"]} if "description" in schema else described


def _header_parameters(one: Operation) -> list[Json]:
    return [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in one.headers.items()
    ]


def _body(fields: dict[str, tuple[Json, bool]]) -> Json:
    required = [name for name, (_, needed) in fields.items() if needed]
    as_json: Json = {"type": "object", "properties": {name: schema for name, (schema, _) in fields.items()}}
    as_form = copy.deepcopy(as_json)
    for schema in as_form["properties"].values():
        if schema.get("type") == "object":
            schema.update(type="string", contentMediaType=JSON)
            schema.pop("default", None)
    more = {"required": required} if required else {}
    return {
        "required": bool(required),
        "content": {JSON: {"schema": {**as_json, **more}}, FORM: {"schema": {**as_form, **more}}},
    }


def _responses(one: Operation, method: Method) -> Json:
    good = {str(status): _answer(answer, method) for status, answer in one.answers.items()}
    errors = {*one.errors, *_EVERYWHERE}
    if one.scope:
        errors |= set(_GUARDED)
    if method in WITH_BODY:
        errors.add(UnsupportedMediaType)
    return {**good, **_problems(errors, with_body=method != "HEAD")}


def _answer(answer: Answers, method: Method) -> Json:
    described: Json = {"description": answer.description, "headers": _headers(answer.headers)}
    if answer.media_types and method != "HEAD":
        described["content"] = {kind: _content(kind, answer.body) for kind in answer.media_types}
    return described


def _content(kind: str, body: Any) -> Json:
    if body and kind == JSON:
        return {"schema": {"$ref": _REF.format(name=body.__name__)}}
    return {"schema": {"type": "object"} if kind == JSON else {"type": "string"}}


def _problems(errors: Iterable[type[VonalError]], *, with_body: bool) -> Json:
    by_status: dict[int, list[type[VonalError]]] = {}
    for error in sorted(errors, key=lambda one: (one.status, one.code)):
        by_status.setdefault(error.status, []).append(error)
    return {str(status): _problem(status, found, with_body=with_body) for status, found in by_status.items()}


def _problem(status: int, errors: list[type[VonalError]], *, with_body: bool) -> Json:
    codes = [error.code for error in errors]
    schema = {"allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    headers = {name: HTTPStatus(status).phrase for name in _ERROR_HEADERS.get(HTTPStatus(status), ())}
    described: Json = {
        "description": " · ".join(f"`{error.code}` {error.title}" for error in errors),
        "headers": _headers(headers),
    }
    if with_body:
        described["content"] = {MEDIA_TYPE: {"schema": schema}}
    return described


def _headers(named: Any) -> Json:
    texts = {"X-Request-Id": "Names this request in the service's log.", **named}
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()}

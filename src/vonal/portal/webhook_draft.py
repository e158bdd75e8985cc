"""A webhook as the fields of a form, and back: nothing that can be stored is lost on the way. Pure.

In the form everything stands side by side, also what the present choices hide, so that whoever chooses otherwise and
back again has lost nothing. In place of a kept secret stands `•••`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vonal.directory.webhook_form import Json, shown
from vonal.domain import dialects, masks
from vonal.domain.directory import Webhook
from vonal.portal.asked import Form

LIST = "list"  # the choice of fields where each is ticked
PLAIN = ("url", "method", "encoding", "recording", "timeout", "dialect")
SCOPES = ("extensions", "numbers", "directions")
PEMS = ("ca", "certificate", "key")
GROUPS = ("call", "from", "to", "times", "agent", "legs", "transfers", "recordings", "custom")
# Only sound in the body is left out: it is chosen by `recording`.
TREE: Mapping[str, tuple[str, ...]] = {
    group: tuple(path for path in dict.fromkeys([*masks.FIXED, *masks.MASKABLE]) if path.split(".")[0] == group)
    for group in GROUPS
}
_TICKED = frozenset({*GROUPS, *(path for paths in TREE.values() for path in paths)})
_API_KEY, _SIGNING, _PREVIOUS, _ENCRYPTING = "api_key", "signing_key", "previous_key", "encryption_key"
KEY_FIELD = {
    "hmac": _SIGNING,
    "encrypted": _ENCRYPTING,
    "api_key_header": _API_KEY,
    "api_key_param": _API_KEY,
}
STEPS = ("what", "where", "how", "security", "fields", "test")
_STEP_OF = {
    **dict.fromkeys(("id", "events", "dialect", *SCOPES), "what"),
    **dict.fromkeys(("url", "timeout"), "where"),
    **dict.fromkeys(("method", "encoding", "params", "headers"), "how"),
    **dict.fromkeys(("fields", "mask", "recording"), "fields"),
}


def form_of(webhook: Webhook) -> Form:
    """The fields that show this webhook."""
    data = shown(webhook)
    form: Form = {name: [str(data[name])] for name in ("id", *PLAIN)}
    form |= {"enabled": ["1" if webhook.enabled else ""], "events": list(data["events"])}
    form |= _rows("param", data["params"]) | _rows("header", data["headers"]) | _rows("mask", data["mask"])
    form |= _fields_form(data["fields"]) | _security_form(data["security"])
    form |= {name: list(data["scope"][name]) for name in SCOPES}
    return form | {f"tls_{name}": [(data["tls"] or {}).get(name) or ""] for name in PEMS}


def json_of(form: Form) -> Json:
    """What the fields say, in the shape of the API's JSON; whether it makes sense is for the directory to say."""
    native = one(form, "dialect", "native") == "native"
    chosen = one(form, "fields", "standard")
    data: Json = {
        "id": one(form, "id").strip(),
        "enabled": one(form, "enabled", "1") == "1",
        "url": one(form, "url").strip(),
        "method": one(form, "method", "POST") if native else "POST",
        "encoding": one(form, "encoding", "json"),
        "dialect": one(form, "dialect", "native"),
        "events": [event for event in form.get("events", []) if native or event in dialects.TOLD],
        "params": dict(pairs(form, "param")),
        "headers": dict(pairs(form, "header")),
        "fields": (_paths(form) if chosen == LIST else chosen) if native else "standard",
        "mask": {path: kind for path, kind in pairs(form, "mask") if kind and path},
        "recording": one(form, "recording", "reference"),
        "timeout": one(form, "timeout", "10").strip(),
        "scope": {name: form.get(name, []) for name in SCOPES},
        "security": _security(form),
    }
    if not native and data["recording"] == "inline":
        data["recording"] = "reference"
    tls = {name: one(form, f"tls_{name}") for name in PEMS}
    if any(text.strip() for text in tls.values()):
        data["tls"] = {name: text for name, text in tls.items() if text.strip()}
    return data


def one(form: Form, name: str, default: str = "") -> str:
    """The field's value, exactly as it was typed."""
    return (form.get(name) or [default])[-1]


def pairs(form: Form, name: str) -> list[tuple[str, str]]:
    """The rows of a table of names and values; those that are all empty are left out."""
    names, values = form.get(f"{name}_name", []), form.get(f"{name}_value", [])
    rows = zip(names, [*values, *[""] * len(names)], strict=False)
    return [(key, value) for key, value in rows if key or value]


def twice(form: Form) -> list[tuple[str, str]]:
    """(path, name) of each parameter and header that stands in the form twice, which JSON cannot say."""
    found = []
    for kind in ("param", "header"):
        names = [name for name, _ in pairs(form, kind)]
        found += [(f"{kind}s.{name}", name) for name in dict.fromkeys(names) if names.count(name) > 1]
    return found


def field_of(path: str, form: Form) -> str:
    """The form's field that a fault's path, such as `security.hmac.key`, is about; empty when it is none of them."""
    top, _, rest = path.replace("[", ".").partition(".")
    name = rest.partition(".")[0].removesuffix("]")
    if top == "security":
        return _security_field(rest, one(form, "security_type"))
    if top == "scope":
        return name
    if top == "tls":
        return f"tls_{name or 'ca'}"
    return top if top in _STEP_OF else ""


def step_of(field: str) -> str:
    """The step in which the field stands."""
    if field in _STEP_OF:
        return _STEP_OF[field]
    return "security" if field else STEPS[0]


def placed(faults: Iterable[tuple[str, str]], form: Form) -> dict[str, list[str]]:
    """The reasons by field; "" are those about no field of the form."""
    found: dict[str, list[str]] = {}
    for path, reason in faults:
        said = f"{path}: {reason}" if path.startswith(("params.", "headers.", "events[", "mask[")) else reason
        found.setdefault(field_of(path, form), []).append(said)
    return found


def other_paths(form: Form) -> list[str]:
    """The chosen paths that have no box of their own."""
    return [path for path in _paths(form) if path not in _TICKED]


def without(data: Json, faults: Sequence[tuple[str, str]]) -> Json:
    """The JSON without the parts at fault, so that the rest of it can be shown while somebody still types."""
    broken = {path.replace("[", ".").partition(".")[0] for path, _ in faults}
    return {name: value for name, value in data.items() if name not in broken}


def _rows(name: str, data: Mapping[str, str]) -> Form:
    return {f"{name}_name": list(data), f"{name}_value": list(data.values())}


def _fields_form(chosen: str | list[str]) -> Form:
    if isinstance(chosen, str):
        return {"fields": [chosen], "paths": [], "order": [], "more_paths": [""]}
    more = [path for path in chosen if path not in _TICKED]
    ticked = [path for path in chosen if path in _TICKED]
    return {"fields": [LIST], "paths": ticked, "order": list(chosen), "more_paths": ["\n".join(more)]}


def _paths(form: Form) -> list[str]:
    """In the order in which they are stored; what is new comes behind it, as it stands in the form."""
    typed = [line.strip() for line in one(form, "more_paths").splitlines() if line.strip()]
    chosen = dict.fromkeys([*form.get("paths", []), *typed])
    stored = [path for path in form.get("order", []) if path in chosen]
    return stored + [path for path in chosen if path not in stored]


def _security_form(data: Mapping[str, Any]) -> Form:
    kind = data["type"]
    signing = data if kind == "hmac" else data["hmac"] or {}
    form = {
        "security_type": kind,
        "also_sign": "1" if data["hmac"] else "",
        **{name: data[name] or "" for name in ("user", "password", "header", "param")},
        _SIGNING: signing.get("key") or "",
        _PREVIOUS: signing.get("previous_key") or "",
        _API_KEY: "",
        _ENCRYPTING: "",
    }
    if kind in KEY_FIELD:
        form[KEY_FIELD[kind]] = data["key"] or ""
    return {name: [value] for name, value in form.items()}


def _security(form: Form) -> Json:
    kind = one(form, "security_type", "none")
    data: Json = {"type": kind}
    if kind in ("basic", "userpass_params"):
        data |= {"user": one(form, "user") or None, "password": one(form, "password") or None}
    if kind in KEY_FIELD:
        data["key"] = one(form, KEY_FIELD[kind]) or None
    if kind == "api_key_header":
        data["header"] = one(form, "header") or None
    if kind == "api_key_param":
        data["param"] = one(form, "param") or None
    signing = {"key": one(form, _SIGNING), "previous_key": one(form, _PREVIOUS) or None}
    if kind == "hmac":
        data |= {"key": signing["key"] or None, "previous_key": signing["previous_key"]}
    elif one(form, "also_sign") == "1":
        data["hmac"] = signing
    return data


def _security_field(rest: str, kind: str) -> str:
    if rest in ("user", "password", "header", "param"):
        return rest
    if rest == "type":
        return "security_type"
    if rest == "key":
        return KEY_FIELD.get(kind, "security_type")
    return _PREVIOUS if rest.endswith("previous_key") else _SIGNING

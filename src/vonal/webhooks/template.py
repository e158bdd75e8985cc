"""Templates of webhooks' parameters, such as `{{ caller }}`. Pure.

They are written by customers, so only what cannot run long or grow large is let through: names, attributes, choices and
a few filters; no loops, no calls, no arithmetic. What is unknown is empty.
"""

from functools import lru_cache
from typing import Any

from jinja2 import ChainableUndefined, Template, TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

LONGEST_TEMPLATE = 1024
LONGEST_VALUE = 4096
FILTERS = ("default", "d", "upper", "lower", "title", "trim", "urlencode", "int", "float", "round", "length", "first",
           "last", "tojson")  # fmt: skip
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
    nodes.Filter, nodes.CondExpr, nodes.If, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Concat, nodes.Keyword,
)  # fmt: skip
_environment = ImmutableSandboxedEnvironment(undefined=ChainableUndefined, autoescape=False)
_environment.filters = {name: _environment.filters[name] for name in FILTERS}
_environment.globals = {}
_environment.finalize = lambda value: "" if value is None or callable(value) else value


class InvalidTemplate(ValueError):
    """The template cannot be used; the message says why."""


@lru_cache(maxsize=4096)
def compiled(text: str) -> Template | None:
    """The template, or None when the text is to be taken as it is. Raises InvalidTemplate."""
    if "{{" not in text and "{%" not in text and "{#" not in text:
        return None
    if len(text) > LONGEST_TEMPLATE:
        raise InvalidTemplate(f"longer than {LONGEST_TEMPLATE} characters")
    try:
        tree = _environment.parse(text)
        for node in tree.find_all(nodes.Node):
            _check(node)
        return _environment.from_string(tree)
    except TemplateError as fault:
        raise InvalidTemplate(fault.message or "not a template") from fault


def render(text: str, values: dict[str, Any]) -> str:
    """The text with its templates filled in, cut to 4096 characters. Raises InvalidTemplate."""
    template = compiled(text)
    if template is None:
        return text
    try:
        return template.render(values)[:LONGEST_VALUE]
    except Exception as fault:
        raise InvalidTemplate(f"cannot be filled in: {fault}") from fault


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        raise InvalidTemplate(f"{type(node).__name__.lower()} is not available in a parameter")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise InvalidTemplate(f"there is no filter {node.name}; there are: {', '.join(FILTERS)}")

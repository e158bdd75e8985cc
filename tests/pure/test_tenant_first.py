"""Every store function on tenant data takes the tenant first; those that cross tenants say so in their name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import vonal.store

STORE = Path(vonal.store.__file__).parent
SOURCE = STORE.parent
MODULES = sorted(
    path for path in STORE.glob("*.py") if path.stem not in {"__init__", "sql", "database", "tables", "migrate"}
)


def faults_of(source: str) -> list[str]:
    return [f"{one.name}: {fault}" for one in _store_functions(ast.parse(source)) if (fault := _fault(one))]


def _store_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """The public functions, methods too, that are given a connection."""
    for one in ast.walk(tree):
        if isinstance(one, ast.AsyncFunctionDef | ast.FunctionDef) and not one.name.startswith("_"):
            every = [*one.args.posonlyargs, *one.args.args, *one.args.kwonlyargs]
            if any(_annotation(argument) == "Connection" for argument in every):
                yield one  # type: ignore[misc]


def _fault(one: ast.FunctionDef) -> str | None:
    arguments = [(argument.arg, _annotation(argument)) for argument in one.args.args if argument.arg != "self"]
    if one.name.startswith("any_tenant_"):
        return None if arguments[:1] == [("tx", "Connection")] else "its first parameter is not `tx: Connection`"
    if arguments[:2] != [("tenant_id", "str"), ("tx", "Connection")]:
        return "its first parameters are not `tenant_id: str, tx: Connection`"
    used = any(isinstance(node, ast.Name) and node.id == "tenant_id" for node in ast.walk(one))
    return None if used else "it takes tenant_id, but does not use it"


def _annotation(argument: ast.arg) -> str:
    return ast.unparse(argument.annotation) if argument.annotation else ""


@pytest.mark.parametrize("module", MODULES, ids=[path.stem for path in MODULES])
def test_store_functions_take_the_tenant_first_or_say_that_they_cross_tenants(module: Path) -> None:
    assert faults_of(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("def load(tenant_id: str, tx: Connection): return tenant_id", False),
        ("def any_tenant_load(tx: Connection): ...", False),
        ("def _load(tx: Connection): ...", False),
        ("def load(tx: Connection): ...", True),
        ("def load(tx: Connection, tenant_id: str): return tenant_id", True),
        ("def load(tenant_id: str, tx: Connection): ...", True),
        ("def load(*, tx: Connection): ...", True),
        ("def any_tenant_load(tenant_id: str, tx: Connection): return tenant_id", True),
    ],
)
def test_the_check_itself_finds_what_it_is_for(source: str, *, faulty: bool) -> None:
    assert bool(faults_of(source)) is faulty


def test_sql_stands_in_the_store_only() -> None:
    """Elsewhere only the type of the connection that is handed on may be imported from SQLAlchemy."""
    found = []
    for path in SOURCE.rglob("*.py"):
        if STORE in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names if alias.name.split(".")[0] == "sqlalchemy"}
            else:
                continue
            found += [f"{path.relative_to(SOURCE)}: {name}" for name in names - {"Connection"}]
    assert found == []

"""How the commands speak: one line for a fault, a table for people, JSON for machines, examples in every help."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vonal.config import SettingsError
from vonal.domain.errors import DirectoryError, VonalError
from vonal.logs import without_secrets

OURS, THEIRS = 1, 2  # exit codes: our fault, or the fault of who asked
Json = Annotated[bool, typer.Option("--json", help="answer as JSON")]


def examples(*lines: str) -> str:
    """A help's epilog: commands to try. Typer joins lines that no empty one separates."""
    return "\n\n".join(["Examples:", *(f"$ {escape(line)}" for line in lines)])


def print_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())


def print_items(items: Sequence[Any]) -> None:
    """A list as every list of ours is answered."""
    print_json({"items": items, "next_cursor": None})


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A table for people, or the sentence `empty`. Whatever the cells hold is shown as it is."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(shown, row))
    if table.row_count:
        Console(width=None if sys.stdout.isatty() else 200).print(table)
    else:
        typer.echo(empty)


def shown(text: str) -> str:
    """Text of other people, harmless on a terminal and in a table's markup."""
    return escape("".join(character if character.isprintable() else "\ufffd" for character in text))


def told(fault: BaseException) -> tuple[str, int] | None:
    """The lines that tell a known fault, and the exit code; None for one that nobody has foreseen."""
    lines, codes = [], set()
    for one in _leaves(fault):
        code = _code(one)
        if code is None:
            return None
        lines.append(without_secrets(str(one)))
        codes.add(code)
    return "\n".join(dict.fromkeys(lines)), min(codes)


def _code(fault: BaseException) -> int | None:
    if isinstance(fault, SettingsError | DirectoryError):
        return THEIRS
    if isinstance(fault, VonalError):
        return THEIRS if fault.fault == "theirs" else OURS
    return OURS if isinstance(fault, OSError) else None


def _leaves(fault: BaseException) -> Iterator[BaseException]:
    if isinstance(fault, BaseExceptionGroup):
        for one in fault.exceptions:
            yield from _leaves(one)
    else:
        yield fault

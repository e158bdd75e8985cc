"""What really happened: Asterisk's own journal, kept beside Vonal, and read by rules of the test's own."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from faults.crm import Told
from vonal.domain.call import call_id

NODE = "vonal"
COLUMNS = 21
EVENT, NAME, TIME, LINKED, DETAILS = 0, 1, 2, 15, 19


class Keeper:
    """Keeps every file of the journal by a second name, for Vonal deletes those that it has left behind."""

    def __init__(self, journal: Path, kept: Path) -> None:
        self._journal, self._kept = journal, kept
        kept.mkdir()

    def keep(self) -> None:
        """Call it every few seconds."""
        for path in self._journal.glob("journal*.dsv"):
            try:
                name = self._kept / str(path.stat().st_ino)
                if not name.exists():
                    os.link(path, name)
            except FileNotFoundError:  # renamed at this moment; it is there under its new name the next time
                continue

    def calls(self) -> dict[str, float]:
        """The id of each call that the journal announces, with its beginning (s, UTC)."""
        self.keep()
        found: dict[str, float] = {}
        for path in self._kept.iterdir():
            for line in path.read_bytes().decode("utf-8", "replace").split("\n"):
                row = _row(line)
                if row and row[EVENT] == "USER_DEFINED" and row[NAME] == "call" and "tenant=acme;" in row[DETAILS]:
                    found.setdefault(call_id(NODE, row[LINKED]), float(row[TIME]))
        return found


def _row(line: str) -> list[str] | None:
    try:
        row = next(csv.reader([line.replace("\0", "")], strict=True), [])
    except csv.Error:  # cut by a death in the middle of it
        return None
    return row if len(row) == COLUMNS else None


@dataclass(frozen=True)
class Verdict:
    """The journal's calls beside the CRM's records. All but `calls` should be empty."""

    calls: int
    lost: list[str]
    invented: list[str]
    twice: list[str]
    unsettled: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.invented or self.twice or self.unsettled)


def judge(calls: dict[str, float], records: dict[str, list[Told]], last: dict[str, Told]) -> Verdict:
    """`calls` of the journal, the CRM's `records`, and the `last` that it was told of each call."""
    return Verdict(
        calls=len(calls),
        lost=sorted(calls.keys() - records.keys()),
        invented=sorted(records.keys() - calls.keys()),
        twice=sorted(call for call, told in records.items() if len(told) > 1),
        unsettled=sorted(call for call, told in last.items() if not {*told.recordings} <= {"ready", "failed"}),
    )

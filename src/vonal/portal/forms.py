"""What forms of the directory have in common: what is wrong beside each field, and lists typed line by line."""

import re
from collections.abc import Iterable

from vonal.domain.errors import InvalidParts
from vonal.portal import reasons
from vonal.portal.asked import Asked
from vonal.portal.words import N_

Faults = dict[str, str]
SAVED = N_("Saved, and in effect.")


def faults_of(asked: Asked, fault: InvalidParts, *, under: str = "") -> Faults:
    """Field → what is wrong with it, in words; under "" what belongs to no field.

    `under`: where in the tenant the form's part is, such as `extensions[0].`.
    """
    told: Faults = {}
    for path, reason in fault.faults:
        field = re.split(r"[.\[]", path.removeprefix(under), maxsplit=1)[0]
        told.setdefault(field, reasons.told(asked.language, reason))
    return told


def lines(text: str) -> list[str]:
    """What stands in a field of several lines, or between commas."""
    return [one for one in re.split(r"[\s,;]+", text) if one]


def refusing(faults: Iterable[tuple[str, str]]) -> None:
    """Raises InvalidParts when there are any."""
    if found := list(faults):
        raise InvalidParts(found)

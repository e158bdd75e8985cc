"""The portal's texts in the languages it speaks: English in the sources, the others in `translations/LANGUAGE/*.po`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from vonal.domain.users import Language

TRANSLATIONS = Path(__file__).parent / "translations"
Gettext = Callable[[str], str]


@cache
def catalog(language: Language) -> dict[str, str | tuple[str, ...]]:
    """The translations by their English text; of a text with a plural, all its forms."""
    found: dict[str, str | tuple[str, ...]] = {}
    for path in sorted((TRANSLATIONS / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=language):
                if message.id and message.string:
                    key = message.id if isinstance(message.id, str) else message.id[0]
                    found[key] = message.string if isinstance(message.string, str) else tuple(message.string)
    return found


def gettext(language: Language, text: str) -> str:
    """The text in this language; one that is not translated stays English."""
    found = catalog(language).get(text, text)
    return found if isinstance(found, str) else found[0]


def ngettext(language: Language, one: str, many: str, count: int) -> str:
    """The text that fits the number; Hungarian has one form after numerals."""
    found = catalog(language).get(one)
    if found is None:
        return one if count == 1 else many
    forms = (found,) if isinstance(found, str) else found
    return forms[0] if count == 1 or len(forms) == 1 else forms[1]

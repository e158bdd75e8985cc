"""The portal's texts in the languages it speaks: English in the sources, the others in `translations/LANGUAGE/*.po`."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args

from babel.messages.pofile import read_po
from litestar import Request

from vonal.domain.users import Language

TRANSLATIONS = Path(__file__).parent / "translations"
COOKIE = "vonal_language"
Gettext = Callable[[str], str]


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a text that is translated where it is shown."""
    return text


def language_of(text: str) -> Language | None:
    """`hu-HU` is Hungarian."""
    main = text.strip().lower().split("-")[0]
    return next((one for one in get_args(Language) if one == main), None)


def asked_for(request: Request[Any, Any, Any]) -> Language:
    """The language of a browser in which nobody is signed in: what was chosen in it, or what it asks for (RFC 9110)."""
    if chosen := language_of(request.cookies.get(COOKIE, "")):
        return chosen
    wanted: list[tuple[float, Language]] = []
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, weight = part.partition(";q=")
        if (one := language_of(tag)) and (quality := _quality(weight)) > 0:
            wanted.append((quality, one))
    return max(wanted, key=lambda one: one[0], default=(0, "en"))[1]


def _quality(weight: str) -> float:
    try:
        return float(weight or 1)
    except ValueError:
        return 0


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

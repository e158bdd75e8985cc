"""What the directory's checks say is wrong, in the words of a form and in the reader's language."""

import re

from vonal.domain.users import Language
from vonal.portal.words import N_, gettext

_HINT = re.compile(r"; did you mean (.+)\?$")
_ASIDE = re.compile(r" \(as stored: the file does not give \w+\)$")
# What a check says → what a person reads; %(a)s and %(b)s are what the check names.
REASONS: tuple[tuple[str, str], ...] = (
    (r"is missing|is empty", N_("This must be given.")),
    (r"is shorter than (\d+) characters", N_("At least %(a)s characters.")),
    (r"is longer than (\d+) characters", N_("At most %(a)s characters.")),
    (r"contains the control character .+", N_("It contains a character that cannot be seen; type it anew.")),
    (r"contains a character that cannot be seen", N_("It contains a character that cannot be seen; type it anew.")),
    (r"expected a whole number, got .+", N_("Give a whole number.")),
    (r"\S+ is not between (\S+) and (\S+)", N_("From %(a)s to %(b)s.")),
    (r".* is not 2 to 6 digits", N_("2 to 6 digits, such as 101.")),
    (r".* is not lower-case letters, digits and dashes.*", N_("Lower-case letters, digits and dashes, at most 31.")),
    (r".* is not a country's two capital letters.*", N_("A country's two capital letters, such as HU.")),
    (r"no country (.+) is known.*", N_("There is no country %(a)s. Give two capital letters, such as HU.")),
    (r"no time zone (.+) is known", N_("There is no time zone %(a)s.")),
    (r"(.+) stands twice", N_("%(a)s stands here twice.")),
    (r"expected HOST or HOST:PORT.*", N_("Give a host or HOST:PORT, such as sip.carrier.example:5060.")),
    (r"expected ADDRESS or ADDRESS:PORT.*", N_("Give an address, ADDRESS:PORT or a network, one on each line.")),
    (r"is missing: a trunk that registers needs .*", N_("A trunk that registers needs a user and a password.")),
    (r".+ begins like a trunk's name .*", N_("Choose another id: this one begins like a trunk's name.")),
    (r"has more than (\d+) addresses.*", N_("At most %(a)s addresses.")),
    (r"expected a mail address.*|expected an e-mail address", N_("Give an e-mail address, such as anna@acme.example.")),
    (r"expected a SIP URI.*", N_("Give a SIP address, such as sip:101@192.0.2.10:5060.")),
    (r"(.*) is no phone number.*", N_("%(a)s is no phone number. Give it with its country, such as +3612345678.")),
    (r"(.+) belongs to tenant (.+)", N_("%(a)s belongs to tenant %(b)s.")),
    (r"extension (.+) does not exist", N_("There is no extension %(a)s.")),
    (r"trunk (.+) does not exist", N_("There is no trunk %(a)s.")),
    (r"(.+) is none of the tenant's numbers", N_("%(a)s is none of the company's numbers.")),
    (r"(.*) is no network.*", N_("%(a)s is no network. Give an address or a network, such as 192.0.2.0/24.")),
    (r"is taken by another.*", N_("This is taken already; choose another.")),
    (r"there are (\d+) already.*", N_("There are %(a)s already; delete those that nothing uses.")),
    (r"choose at least one.*", N_("Choose at least one.")),
    (r".+ is none of .+", N_("Choose one of those that are offered.")),
    (r"calls ring it: (.+)", N_("These numbers ring it: %(a)s. Let them ring somebody else first.")),
    (r"webhooks name it: (.+)", N_("These webhooks are limited to it: %(a)s. Change them first.")),
    (r"needs a phone to ring", N_("Tick at least one extension: somebody must be rung.")),
    (r"is the caller id of outbound calls", N_("Outbound calls show this number; choose another for them first.")),
    (r"calls go out by it: (.+)", N_("These companies call out by it: %(a)s. Give them another trunk first.")),
    (r"type the id to confirm", N_("Type the id exactly as it stands above.")),
    (r"needs a number of its own", N_("To call out, the company needs a number of its own to show. Add one first.")),
)  # fmt: skip
MEANT = N_("Did you mean %(a)s?")
_KNOWN = tuple((re.compile(pattern, re.DOTALL), text) for pattern, text in REASONS)


def told(language: Language, reason: str) -> str:
    """The reason for people; one that nobody has put into words stays as the check says it."""
    bare = _ASIDE.sub("", reason)
    hint = _HINT.search(bare)
    bare = _HINT.sub("", bare)
    text = next((_filled(language, text, found) for known, text in _KNOWN if (found := known.fullmatch(bare))), bare)
    return f"{text} {gettext(language, MEANT) % {'a': hint[1]}}" if hint else text


def _filled(language: Language, text: str, found: re.Match[str]) -> str:
    given = dict(zip("ab", (one or "" for one in found.groups()), strict=False))
    return gettext(language, text) % {"a": "", "b": "", **given}

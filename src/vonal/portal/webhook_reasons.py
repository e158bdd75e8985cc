"""What is wrong with a webhook, in the reader's language: the directory's own reasons are English sentences."""

import re
from functools import cache

from vonal.domain.users import Language
from vonal.portal import words
from vonal.portal.words import N_

# Groups of the pattern go into the text by their names; what no pattern knows stays as it is.
_REASONS: tuple[tuple[str, str], ...] = (
    (r"is missing", N_("This is missing.")),
    (r"is missing: security of type .*", N_("This is missing.")),
    (
        r"is missing: certificate and key stand together.*",
        N_("Certificate and key go together; the other one is missing."),
    ),
    (r"is empty", N_("Choose at least one.")),
    (r"stands twice", N_("This stands here twice.")),
    (r"(?P<what>.+): stands twice", N_("%(what)s stands here twice.")),
    (r"expected an address such as .*", N_("This is no address. It looks like https://crm.example/calls.")),
    (
        r"the address (?P<what>\S+) is not allowed .*",
        N_("The address %(what)s is in a network that may not be reached."),
    ),
    (r"plain http is not allowed .*", N_("The address must begin with https://.")),
    (r"port (?P<what>\d+) is not allowed .*", N_("The port %(what)s may not be used.")),
    (r"(?P<what>\S+) is not allowed for webhooks .*", N_("%(what)s may not be reached from here.")),
    (
        r"holds a user or password.*",
        N_("User and password do not belong into the address; choose them under security."),
    ),
    (r"There is a webhook (?P<what>\S+) already\.", N_("There is a webhook %(what)s already; choose another name.")),
    (
        r"A tenant has at most (?P<what>\d+) webhooks.*",
        N_("There are %(what)s webhooks, which is the most; delete one first."),
    ),
    (
        r'".*" is not letters, digits, dashes and underscores, .*',
        N_("Only letters, digits, dashes and underscores, at most 63."),
    ),
    (r"expected a whole number, got .*", N_("This must be a whole number.")),
    (r"\S+ is not between (?P<low>\d+) and (?P<high>\d+)", N_("This must be between %(low)s and %(high)s.")),
    (r"is longer than (?P<what>\d+) characters", N_("This is longer than %(what)s characters.")),
    (r"is shorter than (?P<what>\d+) characters", N_("This is shorter than %(what)s characters.")),
    (r"contains the control character .*", N_("This holds a character that cannot be seen; type it anew.")),
    (
        r"a signing secret has at least (?P<what>\d+) bytes.*",
        N_("A signing key has at least %(what)s characters, 32 are usual."),
    ),
    (
        r"what follows whsec_ is not Base64",
        N_("What follows whsec_ is damaged; copy the key again, or generate another."),
    ),
    (
        r"a key to encrypt with has at least (?P<what>\d+) characters.*",
        N_("A key to encrypt with has at least %(what)s characters."),
    ),
    (
        r"••• stands for the secret that is kept, and there is none",
        N_("No secret is kept for this kind of security: type it, or generate one."),
    ),
    (r"params\.(?P<what>.+?): (?P<reason>.*)", N_("%(what)s cannot be filled in: %(reason)s")),
    (r"headers\.(?P<what>.+?): is set by the service itself", N_("The header %(what)s is set by the service itself.")),
    (r"headers\.(?P<what>.+?): is no name of a header", N_("%(what)s is no name of a header.")),
    (r"is set by the service itself", N_("This header is set by the service itself.")),
    (r"is no name of a header", N_("This is no name of a header.")),
    (r"headers\.(?P<what>.+?): .*control character.*", N_("The header %(what)s holds characters that cannot be sent.")),
    (r"more than (?P<what>\d+)", N_("There are more than %(what)s.")),
    (r"expected a path such as .*", N_("One of the paths is none; a path looks like call.id or custom.deal.")),
    (r"mask\[\"?(?P<what>.+?)\"?\]: .*", N_("%(what)s cannot be masked.")),
    (
        r"inline needs the method POST",
        N_("The sound itself can only be sent by POST; choose POST, or an address to fetch it from."),
    ),
    (r"means nothing without https", N_("Certificates need an address that begins with https://.")),
    (r"holds no certificate in PEM form", N_("This holds no certificate in PEM form.")),
    (r"holds no private key in PEM form", N_("This holds no private key in PEM form.")),
    (r"is protected by a password.*", N_("This key is protected by a password; give it without one.")),
    (r"does not belong to the certificate", N_("This key does not belong to the certificate.")),
    (r"has expired, on (?P<what>\S+)", N_("This certificate ran out on %(what)s.")),
    (r"extension (?P<what>\S+) does not exist", N_("There is no extension %(what)s any more; untick it.")),
    (r"(?P<what>\S+) is none of the tenant's numbers", N_("%(what)s is no number of yours any more; untick it.")),
    (
        r"call\.(answered|ended) and .*are told after.*",
        N_(
            "In this format the end of a call is only told if its beginning is: tick that a call comes in, or that "
            "a colleague calls out."
        ),
    ),
    (
        r"with the dialect \S+, a call begins before its extension is known.*",
        N_("In this format a call begins before its extension is known; choose by numbers."),
    ),
    (r"the dialect (?P<what>\S+) carries no recordings", N_("The format %(what)s carries no recordings.")),
    (
        r"encrypted bodies are not known to the dialect (?P<what>\S+)",
        N_("The format %(what)s knows no encrypted content; choose another kind of security."),
    ),
    (r"\"?.*\"? is none of .*", N_("Choose one of the values that are offered.")),
    (
        r"Tests of the tenant's webhooks: at most (?P<what>\d+) in .*",
        N_("At most %(what)s tests can be sent in a minute; wait a little."),
    ),
    (r"cannot be filled in: (?P<what>.*)", N_("A parameter cannot be filled in: %(what)s")),
)


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern, re.DOTALL), text) for pattern, text in _REASONS)


def said(language: Language, reason: str) -> str:
    """The reason, to be read by whoever fills in the form."""
    for pattern, text in _patterns():
        if found := pattern.fullmatch(reason):
            return words.gettext(language, text) % found.groupdict()
    return reason

"""Which passwords people may choose: long ones, and none that somebody would try first (NIST SP 800-63B). Pure."""

import re
from collections.abc import Iterable
from typing import Literal

from vonal.domain.passwords import MAX_PASSWORD

SHORTEST = 12
Fault = Literal["short", "long", "common", "own"]
# Of the passwords found in leaks most often, those that are long enough; beside what the rules below find.
_COMMON = frozenset(
    """
    passwordpassword password1234 password12345 password123456 passw0rd1234 p@ssw0rd1234 mypassword123 1q2w3e4r5t6y
    1qaz2wsx3edc 1qaz2wsx3edc4rfv q1w2e3r4t5y6 qwertyuiop12 qwertyuiop123 qwertyuiopasdf qwertzuiop123 qwertzuiopasdf
    asdfghjkl123 asdfghjklqwe zaq12wsxcde3 adminadmin12 adminadmin123 administrator administrator1 administrator123
    letmein12345 letmeinplease iloveyou1234 iloveyouforever iloveyou12345 welcome12345 welcome123456 changeme1234
    changeme12345 changemenow1 trustno1trustno1 superman1234 batman123456 football1234 baseball1234 sunshine1234
    princess1234 dragon123456 monkey123456 master123456 shadow123456 abc123456789 abcd12345678 abcdef123456
    a1b2c3d4e5f6 1a2b3c4d5e6f aa1234567890 123456789abc 123456789qwe 123qweasdzxc qweasdzxc123 qazwsxedcrfv
    correcthorsebatterystaple unknownunknown nothing12345 secret123456 jelszo123456 jelszojelszo jelszo12345678
    szeretlek123 szeretlek1234 titkosjelszo nemtudom1234 magyarorszag magyarorszag1 magyarorszag123 budapest1234
    budapest12345 fradi1234567 ferencvaros1 ferencvaros1899 telefonkozpont vonalvonal12
    """.split()  # noqa: SIM905 - a list of words is read more easily so
)
_ROWS = (
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
)
_LEAST_OWN = 3  # shorter parts of names stand in many good passwords
_LEAST_KINDS = 5  # different characters


def fault_of(password: str, *, about: Iterable[str]) -> Fault | None:
    """Why this password may not be chosen. `about`: the person's own name and e-mail address, the service's name."""
    if len(password) < SHORTEST:
        return "short"
    if len(password) > MAX_PASSWORD:
        return "long"
    plain = password.casefold()
    if plain in _COMMON or len(set(plain)) < _LEAST_KINDS or _is_a_row(plain):
        return "common"
    rest = plain
    for part in sorted({part for one in about for part in _parts(one)}, key=len, reverse=True):
        rest = rest.replace(part, "")
    # With all that anybody knows of the person taken away, enough must be left.
    return "own" if rest != plain and len(rest) < SHORTEST // 2 else None


def _is_a_row(plain: str) -> bool:
    """Whether it is typed along the keyboard, or counts, forwards or backwards."""
    bare = re.sub(r"[\W_]", "", plain)
    return any(bare in row * 2 or bare in (row * 2)[::-1] for row in _ROWS)


def _parts(text: str) -> list[str]:
    plain = text.casefold()
    parts = [plain, *re.split(r"[\W_\d]+", plain)]
    return [one for one in parts if len(one) >= _LEAST_OWN]

"""Letters to people about their own access: subject and text, in the language of who reads them. Pure."""

from collections.abc import Callable

from vonal.domain.users import Language, User

Mail = Callable[[str, str, str], None]  # to whom, subject, text
_ENDINGS: dict[Language, str] = {
    "en": "This mail was sent by Vonal, the phone system ({where}). It needs no answer.",
    "hu": "Ezt a levelet a Vonal telefonrendszer küldte ({where}). Nem kell rá válaszolni.",
}


def invitation(user: User, *, company: str, inviter: str, link: str, where: str) -> tuple[str, str]:
    """For somebody who has no password yet."""
    if user.language == "hu":
        return _letter(
            user,
            f"Meghívó: {company} telefonrendszere",
            f"{inviter} meghívta Önt, hogy használja a(z) {company} telefonrendszerét.\n\n"
            f"A belépéshez itt választhat jelszót (a hivatkozás 7 napig, egyszer használható):\n\n{link}\n\n"
            "Ha nem tudja, miről van szó, ezt a levelet figyelmen kívül hagyhatja.",
            where,
        )
    return _letter(
        user,
        f"Invitation to the phone system of {company}",
        f"{inviter} invites you to the phone system of {company}.\n\n"
        f"Choose a password here (the link is good for 7 days, and once):\n\n{link}\n\n"
        "If you do not know what this is about, do nothing.",
        where,
    )


def added(user: User, *, company: str, inviter: str, where: str) -> tuple[str, str]:
    """For somebody who signs in already, and sees one more company now."""
    if user.language == "hu":
        return _letter(
            user,
            f"Hozzáférés: {company} telefonrendszere",
            f"{inviter} hozzáférést adott Önnek a(z) {company} telefonrendszeréhez. Jelentkezzen be a szokásos módon; "
            f"a cégek között jobb felül, a nevére kattintva válthat:\n\n{where}/",
            where,
        )
    return _letter(
        user,
        f"Access to the phone system of {company}",
        f"{inviter} has given you access to the phone system of {company}. Sign in as usual; you change from one "
        f"company to the other in the menu under your name:\n\n{where}/",
        where,
    )


def reset(user: User, *, link: str, where: str) -> tuple[str, str]:
    """For somebody who has forgotten his password, or for whom an administrator made a link."""
    if user.language == "hu":
        return _letter(
            user,
            "Új jelszó választása",
            f"Itt választhat új jelszót (a hivatkozás 1 óráig érvényes, és egyszer használható):\n\n{link}\n\n"
            "Ha nem Ön kérte, nincs teendője: a jelszava nem változott.",
            where,
        )
    return _letter(
        user,
        "Choose a new password",
        f"Choose a new password here (the link is good for one hour, and once):\n\n{link}\n\n"
        "If it was not you who asked for it, do nothing: your password has not changed.",
        where,
    )


def locked(user: User, *, address: str, where: str = "") -> tuple[str, str]:
    """For somebody whose password or code was guessed at."""
    if user.language == "hu":
        return _letter(
            user,
            "Sok hibás bejelentkezési kísérlet",
            f"A(z) {address} címről sokszor próbáltak hibás jelszóval vagy kóddal belépni az Ön fiókjába. Arról a "
            "hálózatról 15 percig nem lehet belépni.\n\n"
            "Ha Ön volt, várjon egy kicsit, vagy kérjen új jelszót a bejelentkezési oldalon. Ha nem Ön volt, a fiókja "
            "biztonságban van: a jelszavát nem találták el. Érdemes kétlépcsős azonosítást beállítania.",
            where,
        )
    return _letter(
        user,
        "Many wrong attempts to sign in",
        f"Somebody at the address {address} has tried many wrong passwords or codes for your account. Nobody can sign "
        "in from that network for 15 minutes.\n\n"
        "If it was you, wait a little, or ask for a new password on the page to sign in. If it was not you, your "
        "account is safe: your password was not guessed. It is worth setting up a second factor.",
        where,
    )


def changed(user: User, *, what: str, address: str, where: str = "") -> tuple[str, str]:
    """For somebody whose password or second factor was changed; `what` is a key of `_CHANGED`."""
    subject, text = _CHANGED[user.language][what]
    return _letter(user, subject, text.format(address=address), where)


_NOT_YOU = "If it was not you, ask your administrator at once to end your sessions and to make you a new link."
_NEM_ON = (
    "Ha nem Ön volt, azonnal kérje meg a rendszergazdáját, hogy zárja le a munkameneteit, és adjon új hivatkozást."
)
_CHANGED: dict[Language, dict[str, tuple[str, str]]] = {
    "en": {
        "password": (
            "Your password was changed",
            f"Your password was changed from the address {{address}}. {_NOT_YOU}",
        ),
        "factors": (
            "Your second factor was changed",
            f"The second factors of your account were changed, from the address {{address}}. {_NOT_YOU}",
        ),
    },
    "hu": {
        "password": (
            "Megváltozott a jelszava",
            f"Fiókjának jelszavát megváltoztatták a(z) {{address}} címről. {_NEM_ON}",
        ),
        "factors": (
            "Megváltozott a kétlépcsős azonosítása",
            f"Fiókjának kétlépcsős azonosítását megváltoztatták a(z) {{address}} címről. {_NEM_ON}",
        ),
    },
}


def _letter(user: User, subject: str, text: str, where: str) -> tuple[str, str]:
    greeting = f"Tisztelt {user.name}!" if user.language == "hu" else f"Dear {user.name},"
    ending = _ENDINGS[user.language].format(where=where).replace(" ()", "")
    plain = "".join(character if character.isprintable() else " " for character in f"[Vonal] {subject}")
    return plain, f"{greeting}\n\n{text}\n\n--\n{ending}\n"

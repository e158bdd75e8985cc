"""The portal in a real browser: a house on a store of its own, and windows in which somebody is signed in."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

import portal_house
from chromium import CHROMIUM, FLAGS
from portal_house import PEOPLE, PortalHouse
from vonal.domain.users import Language
from vonal.portal.cookies import COOKIE
from vonal.store import migrate, users
from vonal.store.database import Database

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def house_in(folder: Path, *, host: str = "127.0.0.1") -> Iterator[PortalHouse]:
    """The portal on SQLite, for a whole module's tests."""
    db = Database(f"sqlite:///{folder / 'vonal.db'}", owner=True)
    migrate.upgrade(db.engine)
    with portal_house.running(db, host=host) as opened:
        yield opened
    db.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser without a window."""
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


# Who is none of PEOPLE, but one of them in some way: the owner with the second factor owed, the operator as a tenant.
SOMEHOW: dict[str, tuple[str, dict[str, str]]] = {
    "half": ("owner", {"passed": "password"}),
    "acting": ("operator", {"tenant_id": "acme"}),
}


def token_of(house: PortalHouse, who: str) -> str:
    """A new session's token."""
    person, session = SOMEHOW.get(who, (who, {}))
    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop in this one
        return thread.submit(partial(house.begin, person, **session)).result()


class Visitors:
    """A browser's window for each of PEOPLE and SOMEHOW, or "nobody", and each language; they are kept."""

    def __init__(self, browser: Browser, house: PortalHouse) -> None:
        self._browser, self._house = browser, house
        self._opened: dict[tuple[str, Language], BrowserContext] = {}

    def window(self, who: str, language: Language = "en") -> BrowserContext:
        """The window; pages in it are in this language from now on."""
        key = (who, language)
        if key not in self._opened:
            locale = {"hu": "hu-HU", "en": "en-GB"}[language]
            self._opened[key] = self._browser.new_context(viewport=WIDE, locale=locale, reduced_motion="reduce")
            if who != "nobody":
                self._sign_in(self._opened[key], who)
        if who != "nobody":
            self._speak(who, language)
        return self._opened[key]

    def _sign_in(self, window: BrowserContext, who: str) -> None:
        token = token_of(self._house, who)
        window.add_cookies([{"name": COOKIE, "value": token, "url": self._house.url}])

    def _speak(self, who: str, language: Language) -> None:
        person = PEOPLE[SOMEHOW.get(who, (who, {}))[0]]
        speak = partial(users.any_tenant_set_profile, user_id=person.id, name=person.name, language=language)
        self._house.db.submit(speak).result()

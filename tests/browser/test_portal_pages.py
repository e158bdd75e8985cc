"""Every page of the portal in a real browser: nothing fails, nothing comes from elsewhere, everybody can use it.

With VONAL_SCREENSHOTS=FOLDER each page is also drawn there, in both languages, light and dark, wide and narrow.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

import portal_day
from documents import ROOT
from portal_examples import example_of, furnish
from portal_house import PortalHouse
from portal_visits import NARROW, WIDE, Visitors, chromium, house_in
from vonal.domain.users import Language
from vonal.portal.app import ROUTES
from vonal.portal.route import Route

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What reaches out of the screen at the right, if the page can be scrolled there.
WIDER = """(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= innerWidth) return [];
    const outside = [...document.querySelectorAll("body *")]
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1);
    return [`${root.scrollWidth} px`, ...outside.map(one => one.outerHTML.slice(0, 120))];
})()"""
MOST_BYTES = 100_000
PAGES = [one for one in ROUTES if one.method == "GET"]
PICTURES = os.environ.get("VONAL_SCREENSHOTS")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalHouse]:
    with house_in(tmp_path_factory.mktemp("portal")) as opened:
        portal_day.fill(opened.db)
        furnish(opened.db)
        yield opened


@pytest.fixture(scope="module")
def visitors(house: PortalHouse) -> Iterator[Visitors]:
    with chromium() as browser:
        yield Visitors(browser, house)


class Watch:
    """What happens while a page is loaded and looked at."""

    def __init__(self, page: Page, home: str) -> None:
        self.said: list[str] = []
        self.strangers: list[str] = []
        self.bytes = 0
        page.on("console", lambda one: self.said.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: self.said.append(str(fault)))
        page.on("request", lambda one: None if one.url.startswith((home, "data:", "blob:")) else self._strange(one.url))
        wire = page.context.new_cdp_session(page)
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})
        wire.on("Network.loadingFinished", self._count)

    def _strange(self, url: str) -> None:
        self.strangers.append(url)

    def _count(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"]


@pytest.mark.parametrize("route", PAGES, ids=lambda one: one.path)
def test_a_page_is_sound_for_everybody(route: Route, visitors: Visitors, house: PortalHouse) -> None:
    example = example_of(route)
    if example.refuses or example.endless or route.path.endswith(".csv"):
        return  # no page
    window = visitors.window(example.who, "hu")
    page = window.new_page()
    watch = Watch(page, house.url)
    answer = page.goto(f"{house.url}{example.address}")
    assert answer is not None
    assert (answer.status, urlsplit(page.url).path) == (200, urlsplit(example.address).path)
    faults = {"light": _faults(page, tags=RULES)}
    _draw(page, route, "hu", "light")
    _wear(page, "dark")
    faults["dark"] = _faults(page, only=["color-contrast"])
    _draw(page, route, "hu", "dark")
    page.set_viewport_size(NARROW)
    assert page.evaluate(WIDER) == [], "it is wider than a telephone"
    _wear(page, "light")  # the next page in this window begins so
    page.close()
    assert (watch.said, watch.strangers, faults) == ([], [], {"light": [], "dark": []})
    assert watch.bytes < MOST_BYTES
    if PICTURES:
        page = visitors.window(example.who, "en").new_page()
        page.goto(f"{house.url}{example.address}")
        _draw(page, route, "en", "light")
        page.close()


def test_who_acts_as_a_tenant_sees_it_in_light_and_dark(visitors: Visitors, house: PortalHouse) -> None:
    page = visitors.window("acting").new_page()
    page.goto(f"{house.url}/")
    assert "Acme Kft." in page.locator(".acting").inner_text()
    faults = _faults(page, tags=RULES)
    _wear(page, "dark")
    assert faults + _faults(page, only=["color-contrast"]) == []


def _faults(page: Page, **chosen: list[str]) -> list[str]:
    """What axe-core finds: the rule, where, and why."""
    page.evaluate(AXE.read_text())
    kind, values = ("tag", chosen["tags"]) if "tags" in chosen else ("rule", chosen["only"])
    run = "only => axe.run({runOnly: only, resultTypes: ['violations'], iframes: false, preload: false})"
    found = page.evaluate(run, {"type": kind, "values": values})
    return [
        f"{fault['id']}: {node['target']}: {node['failureSummary']}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]


def _wear(page: Page, theme: str) -> None:
    page.evaluate(
        """async theme => {
            localStorage.setItem("theme", theme);
            dispatchEvent(new Event("theme"));
            await Promise.all(document.getAnimations().map(one => one.finished.catch(() => null)));
        }""",
        theme,
    )


def _draw(page: Page, route: Route, language: Language, theme: str) -> None:
    """Two pictures, if anybody wants them; the page is wide and light again afterwards."""
    if not PICTURES:
        return
    name = route.path.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "overview"
    for size, viewport in (("narrow", NARROW), ("wide", WIDE)):
        page.set_viewport_size(viewport)
        page.screenshot(path=Path(PICTURES) / f"{name}.{language}.{theme}.{size}.png", full_page=True)

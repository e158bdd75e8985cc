"""What the portal's tests do with forms: send them as a page would, and read what stands beside their fields."""

import html
import re
from functools import partial

import httpx

from portal_house import Browser, PortalHouse
from vonal.domain.audit import Entry
from vonal.domain.directory import Extension, Tenant
from vonal.store import audit
from vonal.store import directory as store


def stored(house: PortalHouse, tenant_id: str = "acme") -> Tenant:
    found = house.db.read_now(partial(store.load, tenant_id))
    assert found
    return found


def extension(house: PortalHouse, number: str) -> Extension | None:
    return next((one for one in stored(house).extensions if one.number == number), None)


def log(house: PortalHouse) -> list[Entry]:
    found, _ = house.db.read_now(lambda tx: audit.listing("acme", tx))
    return [one for one in found if one.actor.kind == "user"]


def hidden(browser: Browser, path: str, name: str = "shown") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', browser.get(path).text)
    assert found
    return html.unescape(found[1])


def field_fault(answer: httpx.Response, name: str) -> str:
    """What stands beside the field, which says itself that it is at fault."""
    assert answer.status_code == 422, answer.text
    assert re.search(rf'aria-invalid="true" aria-describedby="{name}-fault', answer.text)
    found = re.search(rf'id="{name}-fault">([^<]*)<', answer.text)
    assert found
    return html.unescape(found[1])


def secret_of(answer: httpx.Response) -> str:
    found = re.search(r'id="secret" value="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]

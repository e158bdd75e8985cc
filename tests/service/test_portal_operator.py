"""The operator's pages: tenants, numbers and trunks by `apply`'s code path, and acting as a tenant, seen by all."""

import re
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

import portal_house
from api_house import in_talk
from portal_forms import field_fault, hidden, log, stored
from portal_house import Browser, PortalHouse
from sample_calls import answered_call
from vonal.domain.directory import Outbound, Tenant, Trunk
from vonal.store import audit
from vonal.store import directory as store
from vonal.store.database import Database
from vonal.store.sql import upsert
from vonal.store.tables import lane

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TENANT = "/operator/tenants/acme"
PAGES = (
    "/operator",
    "/operator/nodes",
    "/operator/tenants",
    "/operator/new-tenant",
    TENANT,
    f"{TENANT}/remove",
    f"{TENANT}/numbers/3612345678/remove",
    "/operator/trunks",
    "/operator/new-trunk",
    "/operator/trunks/carrier",
    "/operator/trunks/carrier/remove",
)
DEEDS = (
    "/operator/new-tenant/add",
    f"{TENANT}/save",
    f"{TENANT}/add-number",
    f"{TENANT}/numbers/3612345679/remove-now",
    f"{TENANT}/remove-now",
    f"{TENANT}/act",
    "/operator/end-acting",
    "/operator/new-trunk/add",
    "/operator/trunks/carrier/save",
    "/operator/trunks/carrier/remove-now",
)


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def trunks(house: PortalHouse) -> dict[str, Trunk]:
    return {one.id: one for one in house.db.read_now(store.any_tenant_load).trunks}


@pytest.mark.parametrize("who", ["owner", "administrator", "supervisor", "agent"])
def test_the_operators_pages_and_deeds_are_his_alone(house: PortalHouse, who: str) -> None:
    browser, before = house.signed_in(who), house.db.read_now(store.any_tenant_parts)
    assert {browser.get(path).status_code for path in PAGES} == {403}
    assert {browser.send_form(path, confirm="acme").status_code for path in DEEDS} == {403}
    assert house.db.read_now(store.any_tenant_parts) == before


def test_what_is_not_there_is_not_found(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    for path in ("/operator/tenants/nobody", "/operator/trunks/none", f"{TENANT}/numbers/3619/remove"):
        assert operator.get(path).status_code == 404


# --- at a glance -----------------------------------------------------------------------------------------------------


def test_the_glance_says_what_works_who_calls_and_whose_webhooks_fail(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    assert "All is well." in operator.get("/operator").text
    row = {"tenant_id": "acme", "webhook_id": "log", "fails": 9, "failing_since": 1, "next_at": 1}
    house.db.submit(lambda tx: upsert(tx, lane, [row], key=["tenant_id", "webhook_id"])).result()
    house.api.keep(in_talk(answered_call()))
    page = operator.get("/operator").text
    assert "webhooks do not" in page
    assert "1 webhook is down" in page
    assert re.search(r'href="/operator/tenants/acme">acme</a>: 1<', page)
    house.api.wrong = "cannot be <reached>"
    assert "cannot be &lt;reached&gt;" in operator.get("/operator").text


# --- tenants ---------------------------------------------------------------------------------------------------------


def new_tenant(browser: Browser, **fields: str) -> httpx.Response:
    given = {"id": "beta", "name": "Beta Bt.", "country": "HU", "language": "hu", "timezone": "Europe/Budapest"}
    return browser.send_form("/operator/new-tenant/add", **{**given, **fields})


def test_a_tenant_is_made_found_and_removed_with_its_id_typed(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    assert new_tenant(operator).headers["location"] == "/operator/tenants/beta"
    assert stored(house, "beta") == Tenant(
        id="beta", name="Beta Bt.", country="HU", language="hu", timezone="Europe/Budapest"
    )
    found = operator.get("/operator/tenants", params={"q": "BETA b"}, headers={"hx-request": "true"}).text
    assert ("/operator/tenants/beta" in found, "/operator/tenants/acme" in found) == (True, False)
    refused = operator.send_form("/operator/tenants/beta/remove-now", confirm="Beta")
    assert field_fault(refused, "confirm") == "Type the id exactly as it stands above."
    assert operator.send_form("/operator/tenants/beta/remove-now", confirm="beta").status_code == 303
    assert house.db.read_now(partial(store.load, "beta")) is None
    entries, _ = house.db.read_now(lambda tx: audit.listing("beta", tx))
    assert [(one.action, one.actor.name, one.actor.operator) for one in entries] == [
        ("remove", "operator@pbx.example", True),
        ("add", "operator@pbx.example", True),
    ]


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"id": "acme"}, "id", "This is taken already; choose another."),
        ({"id": "Beta Bt"}, "id", "Lower-case letters, digits and dashes, at most 31."),
        ({"id": "trunk-beta"}, "id", "Choose another id: this one begins like a trunk's name."),
        ({"country": "XX"}, "country", "There is no country XX."),
        ({"timezone": "Budapest"}, "timezone", "There is no time zone Budapest."),
        ({"name": "x" * 10_000}, "name", "At most 128 characters."),
    ],
)
def test_a_faulty_tenant_is_refused(house: PortalHouse, typed: dict[str, str], field: str, told: str) -> None:
    assert field_fault(new_tenant(house.signed_in("operator"), **typed), field).startswith(told)


def save(browser: Browser, **fields: str) -> httpx.Response:
    given = {"name": "Acme Kft.", "country": "HU", "language": "hu", "timezone": "Europe/Budapest", "trunk": "carrier"}
    allowed = {"caller_id": "+3612345678", "countries": "HU", "max_calls": "3", "shown": hidden(browser, TENANT)}
    return browser.send_form(f"{TENANT}/save", **{**given, **allowed, **fields})


def test_the_operator_sets_what_a_company_may_call(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    assert save(operator, countries="hu, de").status_code == 303
    assert stored(house).outbound == Outbound(
        trunk="carrier", caller_id="+3612345678", countries=["HU", "DE"], max_calls=3
    )
    assert [(one.action, one.kind, one.actor.operator) for one in log(house)] == [("change", "tenant", True)]
    assert save(operator, trunk="").status_code == 303
    assert stored(house).outbound is None
    assert len(stored(house).extensions) == 3


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"trunk": "carier"}, "trunk", "There is no trunk carier. Did you mean carrier?"),
        ({"caller_id": ""}, "caller_id", "To call out, the company needs a number of its own"),
        ({"countries": "HU XX"}, "countries", "There is no country XX."),
        ({"max_calls": "0"}, "max_calls", "From 1 to 10000."),
    ],
)
def test_faulty_limits_are_refused(house: PortalHouse, typed: dict[str, str], field: str, told: str) -> None:
    assert field_fault(save(house.signed_in("operator"), **typed), field).startswith(told)
    assert log(house) == []


def test_two_operators_do_not_overwrite_each_other(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    shown = hidden(operator, TENANT)
    save(operator, max_calls="7")
    answer = save(operator, name="Mine", shown=shown)
    assert (answer.status_code, stored(house).name) == (409, "Acme Kft.")
    assert "Somebody else has changed this" in answer.text


def test_numbers_come_and_go(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    sent = {"number": "06 1 234 5670", "number_name": "Sales", "ring": "103"}
    assert operator.send_form(f"{TENANT}/add-number", **sent).status_code == 303
    number = next(one for one in stored(house).numbers if one.number == "+3612345670")
    assert (number.name, number.ring) == ("Sales", ["103"])
    assert operator.send_form(f"{TENANT}/numbers/3612345670/remove-now").status_code == 303
    assert [one.number for one in stored(house).numbers] == ["+3612345678", "+3612345679"]
    page = operator.get(f"{TENANT}/numbers/3612345678/remove").text
    assert "Outbound calls show this number" in page
    assert operator.send_form(f"{TENANT}/numbers/3612345678/remove-now").status_code == 409


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"number": "12"}, "number", "12 is no phone number."),
        ({"number": "+3612345679"}, "number", "+3612345679 stands here twice."),
        ({"ring": ""}, "ring", "2 to 6 digits"),
        ({"ring": "909"}, "ring", "There is no extension 909."),
    ],
)
def test_a_faulty_number_is_refused(house: PortalHouse, typed: dict[str, str], field: str, told: str) -> None:
    sent = {"number": "+3612345670", "number_name": "", "ring": "101", **typed}
    answer = house.signed_in("operator").send_form(f"{TENANT}/add-number", **sent)
    assert field_fault(answer, field).startswith(told)


# --- trunks ----------------------------------------------------------------------------------------------------------


def test_a_trunk_is_added_changed_and_removed_and_its_secret_never_shown(house: PortalHouse) -> None:
    operator, secret = house.signed_in("operator"), "a-secret-of-the-carrier"
    sent = {"id": "spare", "address": "sip.spare.example", "match": "", "username": "us", "register": "on"}
    assert operator.send_form("/operator/new-trunk/add", **sent, password=secret).status_code == 303
    made = Trunk(id="spare", address="sip.spare.example", username="us", password=secret, register=True)
    assert trunks(house)["spare"] == made
    assert secret not in operator.get("/operator/trunks").text + operator.get("/operator/trunks/spare").text
    changed = {**sent, "match": "192.0.2.1\r\n192.0.2.0/28", "password": ""}
    shown = hidden(operator, "/operator/trunks/spare")
    assert operator.send_form("/operator/trunks/spare/save", **changed, shown=shown).status_code == 303
    assert trunks(house)["spare"].match == ["192.0.2.1", "192.0.2.0/28"]
    assert trunks(house)["spare"].password == secret
    assert operator.send_form("/operator/trunks/spare/save", **changed, shown=shown).status_code == 409
    assert operator.send_form("/operator/trunks/spare/remove-now").status_code == 303
    entries, _ = house.db.read_now(audit.any_tenant_listing)
    mine = [one for one in entries if one.name == "spare"]
    assert [(one.action, one.kind, one.tenant_id) for one in mine] == [
        ("remove", "trunk", ""),
        ("change", "trunk", ""),
        ("add", "trunk", ""),
    ]
    assert secret not in repr(mine)


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"id": "carrier"}, "id", "This is taken already; choose another."),
        ({"address": "no host"}, "address", "Give a host or HOST:PORT"),
        ({"match": "192.0.2.1 here!"}, "match", "Give an address, ADDRESS:PORT or a network"),
        ({"register": "on"}, "username", "A trunk that registers needs a user and a password."),
    ],
)
def test_a_faulty_trunk_is_refused(house: PortalHouse, typed: dict[str, str], field: str, told: str) -> None:
    sent = {"id": "spare", "address": "sip.spare.example", "match": "", "username": "", "password": "", **typed}
    answer = house.signed_in("operator").send_form("/operator/new-trunk/add", **sent)
    assert field_fault(answer, field).startswith(told)
    assert trunks(house).keys() == {"carrier"}


def test_a_trunk_in_use_is_not_removed_and_it_says_by_whom(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    assert "call out by it: acme." in operator.get("/operator/trunks/carrier/remove").text
    assert operator.send_form("/operator/trunks/carrier/remove-now").status_code == 409
    assert trunks(house).keys() == {"carrier"}


# --- acting as a tenant ----------------------------------------------------------------------------------------------


def test_acting_as_a_tenant_is_seen_on_each_page_and_in_its_log(house: PortalHouse) -> None:
    operator = house.signed_in("operator")
    assert operator.get("/extensions").status_code == 403
    assert operator.send_form(f"{TENANT}/act").headers["location"] == "/"
    for path in ("/extensions", "/settings", "/operator/tenants"):
        page = operator.get(path).text
        assert "You act as Acme Kft." in page
        assert 'action="/operator/end-acting"' in page
    operator.send_form("/extensions/add", number="104", name="", email="")
    assert operator.send_form("/operator/end-acting").headers["location"] == "/operator/tenants"
    assert operator.get("/extensions").status_code == 403
    told = [(one.action, one.kind, one.actor.name, one.actor.operator) for one in log(house)]
    assert told == [
        ("end_acting", "tenant", "operator@pbx.example", True),
        ("add", "extension", "operator@pbx.example", True),
        ("act_as", "tenant", "operator@pbx.example", True),
    ]
    assert operator.send_form("/operator/tenants/nobody/act").status_code == 404

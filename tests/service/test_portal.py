"""The portal's gate: who is let in where."""

from collections.abc import Iterator

import pytest

import portal_house
from portal_house import PortalHouse
from vonal.store.database import Database


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def test_who_is_not_signed_in_is_sent_to_the_form(house: PortalHouse) -> None:
    answer = house.browser().get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert house.browser().get("/sign-in").status_code == 200


@pytest.mark.parametrize("who", ["owner", "administrator", "supervisor", "agent"])
def test_everybody_in_the_company_sees_its_overview(house: PortalHouse, who: str) -> None:
    assert house.signed_in(who).get("/").status_code == 200


def test_a_session_at_another_companys_tenant_shows_nothing(house: PortalHouse) -> None:
    assert house.signed_in("owner", tenant_id="other").get("/").status_code == 403


def test_pages_run_no_script_of_others_and_are_kept_by_no_cache(house: PortalHouse) -> None:
    headers = house.signed_in().get("/").headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"

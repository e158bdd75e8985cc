"""Webhooks in the portal: made by the form, watched, paused, sent again, by those who may, and by nobody else."""

from collections.abc import Iterator

import pytest

import portal_house
from portal_house import PortalHouse
from vonal.store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def test_the_list_says_in_words_what_goes_where(house: PortalHouse) -> None:
    shown = house.signed_in().get("/webhooks").text
    assert "Record of a finished call" in shown
    assert "https://crm.example/calls" in shown
    assert "nothing sent yet" in shown


def test_pausing_asks_nothing_and_resuming_takes_it_back(house: PortalHouse) -> None:
    owner = house.signed_in()
    assert owner.send_form("/webhooks/log/pause").headers["location"] == "/webhooks/log"
    assert "paused" in owner.get("/webhooks/log").text
    assert owner.send_form("/webhooks/log/resume", **{"from": "list"}).headers["location"] == "/webhooks"
    assert "nothing sent yet" in owner.get("/webhooks").text


def test_what_is_deleted_was_asked_about_first(house: PortalHouse) -> None:
    owner = house.signed_in()
    assert "Nothing waits to be sent." in owner.get("/webhooks/log/remove").text
    assert owner.send_form("/webhooks/log/remove-now").status_code == 303
    assert owner.get("/webhooks/log").status_code == 404
    assert "Choose where to start" in owner.get("/webhooks").text


def test_pages(house: PortalHouse) -> None:
    owner = house.signed_in()
    for path in ("/webhooks", "/webhooks/log", "/deliveries", "/deliveries?state=parked&event=call.ended&webhook=log"):
        assert owner.get(path).status_code == 200, path
    assert owner.get("/deliveries?after=x").status_code == 400

"""The company's people: inviting, changing, helping and removing them, and what the audit log says of it."""

import re
from collections.abc import Iterator
from functools import partial

import pytest

import portal_house
from portal_house import PEOPLE, PortalHouse
from vonal.domain.users import Membership, User
from vonal.store import users
from vonal.store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "four words in a row"
NEW = {"name": "Szabó Éva", "email": "Eva@acme.example", "role": "agent", "extension": "103", "language": "hu"}


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


def link_in(text: str) -> str:
    return re.search(r"http://[^<\"]+(/(?:welcome|reset)/[\w-]+)", text)[1]


def place(house: PortalHouse, who: str) -> Membership | None:
    found = house.db.read_now(partial(users.any_tenant_find, user_id=PEOPLE[who].id))
    return found.in_tenant("acme") if found else None


def test_somebody_is_invited_chooses_a_password_and_is_in(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = owner.send_form("/people/invite", **NEW)
    assert shown.status_code == 200
    browser = house.browser()
    answer = browser.post(link_in(shown.text), data={"password": PASSWORD, "again": PASSWORD})
    assert answer.status_code == 303
    assert "Szabó Éva" in browser.get("/account").text
    assert 'lang="hu"' in browser.get("/account").text
    assert browser.get("/people").status_code == 403
    log = owner.get("/audit?who=eva@acme.example").text
    for said in ("invited", "password chosen", "signed in", "103"):
        assert said in log, said
    assert "invited" not in owner.get("/audit?kind=tenant").text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"email": "nonsense"}, "Enter an e-mail address"),
        ({"email": "owner@acme.example"}, "among your people already"),
        ({"name": ""}, "Enter how the person is called"),
        ({"extension": ""}, "An agent sees the calls of an extension"),
        ({"extension": "999"}, "There is no such extension"),
    ],
)
def test_an_invitation_that_cannot_be_is_shown_again_with_what_is_wrong(
    house: PortalHouse, changes: dict[str, str], says: str
) -> None:
    answer = house.signed_in().send_form("/people/invite", **{**NEW, **changes})
    assert answer.status_code == 422
    assert says in answer.text


def test_owners_are_made_changed_and_helped_by_owners_only(house: PortalHouse) -> None:
    administrator, owner = house.signed_in("administrator"), PEOPLE["owner"].id
    assert administrator.send_form("/people/invite", **{**NEW, "role": "owner"}).status_code == 403
    for deed in ("change", "link", "remove-factors", "remove"):
        assert administrator.send_form(f"/people/{owner}/{deed}", role="agent", extension="101").status_code == 403, (
            deed
        )
    agent = PEOPLE["agent"].id
    assert administrator.send_form(f"/people/{agent}/change", role="owner", extension="").status_code == 403
    assert administrator.send_form(f"/people/{agent}/change", role="supervisor", extension="").status_code == 303
    assert place(house, "agent").role == "supervisor"


def test_the_last_owner_stays(house: PortalHouse) -> None:
    owner, me = house.signed_in(), PEOPLE["owner"].id
    answer = owner.send_form(f"/people/{me}/change", role="administrator", extension="", sure="yes")
    assert "last owner" in answer.text
    assert "last owner" in owner.send_form(f"/people/{me}/remove").text
    assert place(house, "owner").role == "owner"


def test_ones_own_role_is_not_given_away_by_accident(house: PortalHouse) -> None:
    owner, me, other = house.signed_in(), PEOPLE["owner"].id, PEOPLE["administrator"].id
    owner.send_form(f"/people/{other}/change", role="owner", extension="")
    assert owner.send_form(f"/people/{me}/change", role="supervisor", extension="").status_code == 422
    assert owner.send_form(f"/people/{me}/change", role="supervisor", extension="", sure="yes").status_code == 303
    assert owner.get("/people").status_code == 403


def test_who_is_removed_is_out_at_once(house: PortalHouse) -> None:
    agent = house.signed_in("agent")
    assert agent.get("/account").status_code == 200
    house.signed_in().send_form(f"/people/{PEOPLE['agent'].id}/remove")
    assert agent.get("/account").headers["location"].startswith("/sign-in")
    assert place(house, "agent") is None


def test_one_company_opens_no_door_to_another(house: PortalHouse) -> None:
    both = (Membership(tenant_id="acme", role="administrator"), Membership(tenant_id="other", role="owner"))
    person = User(id="usr_both", email="both@example.com", name="Both", memberships=both)
    house.db.submit(partial(users.any_tenant_add, person=person, at=0)).result()
    owner = house.signed_in()
    for deed in ("link", "remove-factors"):
        assert owner.send_form(f"/people/usr_both/{deed}").status_code == 403, deed
    shown = owner.send_form("/people/invite", **{**NEW, "email": "owner@other.example", "role": "supervisor"})
    assert "signs in here already" in shown.text
    assert "/welcome/" not in shown.text
    stranger = house.signed_in("stranger")
    assert stranger.send_form("/switch", tenant="acme").headers["location"] == "/"
    assert stranger.get("/people").status_code == 403  # a supervisor here, the owner there
    assert stranger.send_form("/switch", tenant="nowhere").status_code == 404
    owner.send_form("/people/usr_both/remove")
    assert house.db.read_now(partial(users.any_tenant_find, user_id="usr_both")).memberships == both[1:]


def test_a_lost_password_is_helped_with_a_link_that_is_shown_once(house: PortalHouse) -> None:
    owner, agent = house.signed_in(), house.signed_in("agent")
    path = link_in(owner.send_form(f"/people/{PEOPLE['agent'].id}/link").text)
    assert path.startswith("/reset/")
    assert house.browser().post(path, data={"password": PASSWORD, "again": PASSWORD}).status_code == 303
    assert agent.get("/account").headers["location"].startswith("/sign-in")


def test_only_an_owner_asks_everybody_for_a_second_factor(house: PortalHouse) -> None:
    house.signed_in("administrator").send_form("/people/second-factor", required="on")
    assert "checked" not in house.signed_in().get("/people").text
    house.signed_in().send_form("/people/second-factor", required="on")
    assert "checked" in house.signed_in().get("/people").text


def test_the_log_shows_what_changed_before_and_after(house: PortalHouse) -> None:
    owner = house.signed_in()
    owner.send_form(f"/people/{PEOPLE['agent'].id}/change", role="supervisor", extension="101")
    log = re.sub(r"\s+", " ", owner.get("/audit?who=agent@acme.example").text)
    assert "<code>role</code>" in log
    assert "agent</del>" in log
    assert "supervisor</ins>" in log
    assert "<code>extension</code>" not in log
    assert owner.get("/audit?after=nonsense").status_code == 400
    assert "supervisor</ins>" in house.signed_in("operator").get("/operator/audit?who=agent@acme.example").text

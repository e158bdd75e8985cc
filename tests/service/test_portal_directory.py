"""Extensions in the portal: every change is `apply`'s, and no more than meant."""

import html
import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import portal_house
from api_house import in_talk
from portal_forms import extension, field_fault, hidden, log, secret_of, stored
from portal_house import PortalHouse
from sample_calls import answered_call
from vonal.directory.apply import apply
from vonal.directory.reading import Document
from vonal.domain.directory import Directory, Extension
from vonal.store import directory as store
from vonal.store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def house(database: Database) -> Iterator[PortalHouse]:
    with portal_house.running(database) as opened:
        yield opened


# --- extensions -----------------------------------------------------------------------------------


def test_the_list_says_which_phones_can_be_reached(house: PortalHouse) -> None:
    house.api.telephony.up["17.1"] = ("acme", "102")
    page = house.signed_in().get("/extensions").text
    states = re.findall(r'/extensions/(\d+)">.*?<span class="badge[^>]*>([^<]+)<', page, re.DOTALL)
    assert states == [("101", "reachable"), ("102", "in a call"), ("103", "not reachable")]


def test_who_is_in_a_call_is_shown_since_when(house: PortalHouse) -> None:
    house.api.telephony.up["17.1"] = ("acme", "101")
    house.api.keep(in_talk(answered_call(ended_at=None)))
    page = house.signed_in().get("/extensions").text
    assert re.search(r'in a call</span> <span class="text-secondary">since \d\d:\d\d<', page)


def test_a_silent_phone_system_leaves_the_list_readable(house: PortalHouse) -> None:
    house.api.telephony.silent = True
    page = house.signed_in().get("/extensions").text
    assert "does not answer at the moment" in page
    assert page.count("not known now") == 3


def test_extensions_are_looked_for_by_name_too(house: PortalHouse) -> None:
    found = house.signed_in().get("/extensions", params={"q": "ANNA"}, headers={"HX-Request": "true"}).text
    assert "Kovács Anna" in found
    assert "Nagy Béla" not in found


def test_a_new_extensions_secret_is_shown_once_and_stands_in_no_log(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = owner.send_form("/extensions/add", number="104", name="Tóth Éva", email="eva@acme.example")
    secret = secret_of(shown)
    assert 'value="acme-104"' in shown.text
    assert extension(house, "104") == Extension(number="104", name="Tóth Éva", email="eva@acme.example", secret=secret)
    assert secret not in owner.get("/extensions/104").text
    (entry,) = log(house)
    assert (entry.action, entry.kind, entry.name, entry.actor.name) == ("add", "extension", "104", "owner@acme.example")
    assert entry.after["name"] == "Tóth Éva"
    assert secret not in repr(entry)


def test_a_softphone_gets_its_settings_by_the_codes_address_for_a_while(house: PortalHouse) -> None:
    shown = house.signed_in().send_form("/extensions/add", number="104", name='A "B" <C> & D', email="")
    link = re.search(r'id="link" value="([^"]+)"', shown.text)
    assert link
    assert secret_of(shown) not in link[1]
    settings = house.browser().get(link[1])
    assert settings.headers["content-type"].startswith("application/xml")
    assert f">{secret_of(shown)}</entry>" in settings.text
    assert ">acme-104</entry>" in settings.text
    assert '"A B C &amp; D" &lt;sip:acme-104@' in settings.text
    assert link[1].partition("?")[0].endswith("/phone")  # the rest of an address stands in no log
    assert house.browser().get("/phone?code=of-nobody").status_code == 404


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"number": "101"}, "number", "This is taken already; choose another."),
        ({"number": ""}, "number", "2 to 6 digits, such as 101."),
        ({"number": "10a"}, "number", "2 to 6 digits, such as 101."),
        ({"name": "x" * 10_000}, "name", "At most 128 characters."),
        ({"name": "a\x00b"}, "name", "It contains a character that cannot be seen; type it anew."),
        ({"email": "<script>"}, "email", "Give an e-mail address, such as anna@acme.example."),
    ],
)
def test_a_fault_stands_beside_its_field_and_nothing_typed_is_lost(
    house: PortalHouse, typed: dict[str, str], field: str, told: str
) -> None:
    sent = {"number": "104", "name": "Kiss & Kis", "email": "", **typed}
    answer = house.signed_in().send_form("/extensions/add", **sent)
    assert field_fault(answer, field) == told
    for value in sent.values():
        assert html.escape(value.replace("\x00", ""))[:20] in answer.text.replace("\x00", "")
    assert len(stored(house).extensions) == 3


def test_names_are_shown_as_text_whatever_stands_in_them(house: PortalHouse) -> None:
    owner = house.signed_in()
    name = "<script>alert(1)</script> 📞 {{ 7*7 }}"
    owner.send_form("/extensions/add", number="104", name=name)
    for path in ("/extensions", "/extensions/104", "/extensions/104/remove", "/numbers/3612345678"):
        page = owner.get(path).text
        assert html.escape(name) in page
        assert "<script>alert" not in page


def test_an_extension_is_changed_and_its_secret_stays(house: PortalHouse) -> None:
    owner = house.signed_in()
    shown = hidden(owner, "/extensions/101")
    answer = owner.send_form("/extensions/101/save", name="Kovács Panni", email="", shown=shown)
    assert answer.status_code == 303
    assert extension(house, "101") == Extension(number="101", name="Kovács Panni", secret="phone-secret-1")
    (entry,) = log(house)
    assert (entry.before["name"], entry.after["name"]) == ("Kovács Anna", "Kovács Panni")


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(house: PortalHouse) -> None:
    first, second = house.signed_in(), house.signed_in("administrator")
    shown = hidden(first, "/extensions/101")
    second.send_form("/extensions/101/save", name="Theirs", email="", shown=hidden(second, "/extensions/101"))
    answer = first.send_form("/extensions/101/save", name="Mine", email="", shown=shown)
    assert answer.status_code == 409
    assert "Somebody else has changed this" in answer.text
    assert ('value="Mine"' in answer.text, "Theirs" in answer.text) == (True, True)
    assert extension(house, "101").name == "Theirs"
    again = re.search(r'name="shown" value="([^"]*)"', answer.text)
    assert again
    assert first.send_form("/extensions/101/save", name="Mine", email="", shown=again[1]).status_code == 303
    assert extension(house, "101").name == "Mine"


def test_only_an_operator_gives_a_phone_a_fixed_address(house: PortalHouse) -> None:
    owner = house.signed_in()
    sent = {"name": "", "email": "", "contact": "sip:103@192.0.2.9"}
    owner.send_form("/extensions/103/save", **sent, shown=hidden(owner, "/extensions/103"))
    assert extension(house, "103").contact is None
    operator = house.signed_in("operator", tenant_id="acme")
    operator.send_form("/extensions/103/save", **sent, shown=hidden(operator, "/extensions/103"))
    assert extension(house, "103").contact == "sip:103@192.0.2.9"
    assert log(house)[0].actor.operator


def test_a_new_secret_replaces_the_old_one(house: PortalHouse) -> None:
    owner = house.signed_in()
    assert "can register no more" in owner.get("/extensions/101/new-secret").text
    secret = secret_of(owner.send_form("/extensions/101/renew"))
    assert extension(house, "101").secret == secret != "phone-secret-1"


def test_an_extension_that_numbers_ring_is_not_removed_and_it_says_which(house: PortalHouse) -> None:
    owner = house.signed_in()
    assert "+3612345678" in owner.get("/extensions/101/remove").text
    assert "remove-now" not in owner.get("/extensions/101/remove").text
    assert owner.send_form("/extensions/101/remove-now").status_code == 409
    assert extension(house, "101")


def test_a_removed_extension_can_be_put_back_with_its_secret(house: PortalHouse) -> None:
    owner = house.signed_in()
    owner.send_form("/extensions/103/remove-now")
    assert extension(house, "103") is None
    undo = re.search(r'action="(/undo/[^"]+)"', owner.get("/extensions").text)
    assert undo
    assert house.signed_in("stranger").send_form(undo[1]).status_code == 404
    assert house.signed_in("agent").send_form(undo[1]).status_code == 404
    assert owner.send_form(undo[1]).headers["location"] == "/extensions"
    assert extension(house, "103") == Extension(number="103", secret="phone-secret-3")
    assert owner.send_form(undo[1]).status_code == 404
    assert [one.action for one in log(house)] == ["add", "remove"]


# --- who may --------------------------------------------------------------------------------------

READ = ("/extensions", "/extensions/101", "/numbers", "/numbers/3612345678")
CHANGE = ("/extensions/new", "/extensions/101/remove", "/extensions/101/new-secret", "/recordings", "/settings")
DEEDS = (
    "/extensions/add",
    "/extensions/101/save",
    "/extensions/101/renew",
    "/extensions/103/remove-now",
    "/numbers/3612345678/save",
    "/numbers/3612345678/arrange",
    "/recordings/save",
    "/settings/save",
)


def test_supervisors_read_and_agents_see_nothing(house: PortalHouse) -> None:
    supervisor, agent = house.signed_in("supervisor"), house.signed_in("agent")
    assert [supervisor.get(path).status_code for path in READ] == [200] * len(READ)
    assert "/save" not in "".join(supervisor.get(path).text for path in READ)
    assert {supervisor.get(path).status_code for path in CHANGE} == {403}
    assert {supervisor.send_form(path).status_code for path in DEEDS} == {403}
    assert {agent.get(path).status_code for path in (*READ, *CHANGE)} == {403}
    assert {agent.send_form(path).status_code for path in DEEDS} == {403}
    assert log(house) == []


def test_another_company_finds_none_of_it(house: PortalHouse) -> None:
    stranger = house.signed_in("stranger")
    assert "Kovács" not in stranger.get("/extensions").text + stranger.get("/numbers").text
    assert stranger.get("/extensions/102").status_code == 404
    assert stranger.get("/numbers/3612345678").status_code == 404
    assert stranger.send_form("/extensions/103/remove-now").status_code == 404
    assert stranger.send_form("/numbers/3612345678/save", ring="101").status_code == 404


def test_an_empty_company_is_taught_what_extensions_and_numbers_are(house: PortalHouse) -> None:
    empty = Document(
        directory=Directory(tenants=[replace(portal_house.api_house.OTHER, extensions=[])]),
        named=(frozenset({"extensions"}),),
    )
    apply(house.db, empty)
    house.api.directory = house.db.read_now(store.any_tenant_load)
    stranger = house.signed_in("stranger")
    assert "Add the first extension" in stranger.get("/extensions").text
    assert "No public number yet" in stranger.get("/numbers").text

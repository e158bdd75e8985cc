"""The record of calls, commands to live ones, extensions and deliveries, over HTTP."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from api_house import ACME, KEY, NUMBER, OTHER_KEY, House, in_talk
from sample_calls import INBOUND, answered_call, event, recording
from vonal.api.shapes import CallPage, CallRecord
from vonal.domain.call import Call
from vonal.store import deliveries, events

CALLS = "/api/v1/calls"
CLICK = "/api/v1/click-to-call"


def _click(house: House) -> Call:
    with house.client() as client:
        answer = client.get(CLICK, params={"extension": "101", "number": NUMBER})
        found = house.call(answer.json()["call_id"])
    assert found
    return found


def test_calls_are_listed_newest_first_page_by_page(house: House) -> None:
    start = datetime(2026, 11, 22, 9, tzinfo=UTC)
    stored = [house.keep(answered_call(at=start + timedelta(minutes=n % 3))) for n in range(7)]
    house.keep(answered_call("other"))
    with house.client() as client:
        seen, cursor, pages = [], "", 0
        while cursor is not None:
            page = client.get(CALLS, params={"limit": 2, "after": cursor}).json()
            seen += [one["call"]["id"] for one in page["items"]]
            cursor, pages = page["next_cursor"], pages + 1
    wanted = sorted(stored, key=lambda call: (call.started_at, call.id), reverse=True)
    assert seen == [call.id for call in wanted]
    assert pages == 4


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "ab"),
        ({"direction": "inbound"}, "a"),
        ({"disposition": "busy"}, "b"),
        ({"extension": "102"}, "a"),
        ({"extension": "10"}, ""),
        ({"number": "06 30 555 0123"}, "a"),
        ({"number": "+36305550123"}, "a"),
        ({"has_recording": "true"}, "a"),
        ({"has_recording": "0"}, "b"),
        ({"from": "2026-11-22T10:00:00Z"}, "b"),
        ({"until": "2026-11-22T11:00:00+01:00"}, "a"),
        ({"from": "2026-11-22T08:00:00", "until": "2026-11-22T12:00:00", "direction": "outbound"}, "b"),
    ],
)
def test_calls_are_found_by_what_is_known_of_them(house: House, query: dict[str, str], found: str) -> None:
    first = answered_call(at=datetime(2026, 11, 22, 9, tzinfo=UTC), recordings=[recording()])
    second = answered_call(
        at=datetime(2026, 11, 22, 10, tzinfo=UTC),
        direction="outbound",
        disposition="busy",
        legs=[],
        agent=None,
        from_=first.to,
        to=first.to,
    )
    names = {house.keep(first).id: "a", house.keep(second).id: "b"}
    with house.client() as client:
        answer = client.get(CALLS, params=query)
    assert answer.status_code == 200, answer.text
    assert "".join(sorted(names[one["call"]["id"]] for one in answer.json()["items"])) == found


def test_a_call_is_told_as_in_its_events_with_addresses_of_its_sound(house: House) -> None:
    call = house.keep(answered_call(recordings=[recording("ready"), recording("processing")]))
    with house.client() as client:
        answer = client.get(f"{CALLS}/{call.id}")
        page = client.get(CALLS)
    record = msgspec.json.decode(answer.content, type=CallRecord)
    assert msgspec.json.decode(page.content, type=CallPage).items == [record]
    assert record.call.id == call.id
    assert record.times.talk_s == 240.1
    ready, unready = record.recordings
    assert ready.url == f"{house.url}/api/v1/recordings/{ready.id}"
    assert unready.url is None


def test_a_foreign_call_is_no_call(house: House) -> None:
    call = house.keep(in_talk(answered_call("other", state="live", id="call_theirs")))
    house.telephony.up = {leg.channel: None for leg in call.legs}
    with house.client() as client:
        for answer in (
            client.get(f"{CALLS}/{call.id}"),
            client.delete(f"{CALLS}/{call.id}"),
            client.post(f"{CALLS}/{call.id}/transfer", json={"to": "102"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "call_not_found")
    assert len(house.telephony.up) == 2


def test_hanging_up_ends_every_channel_of_the_call(house: House) -> None:
    call = house.keep(in_talk(_click(house)))
    house.telephony.up["17.2"] = None
    with house.client() as client:
        answer = client.delete(f"{CALLS}/{call.id}")
        assert (answer.status_code, answer.json()) == (202, {"call_id": call.id, "status": "hanging_up"})
        assert not house.telephony.up
        again = client.delete(f"{CALLS}/{call.id}")  # though the journal has not told of the end
    assert (again.status_code, again.json()["code"]) == (409, "call_already_ended")


def test_a_phone_that_still_rings_can_be_hung_up(house: House) -> None:
    call = _click(house)
    with house.client() as client:
        assert client.delete(f"{CALLS}/{call.id}").status_code == 202
    assert not house.telephony.up


def test_what_is_over_cannot_be_hung_up_or_transferred(house: House) -> None:
    call = house.keep(answered_call(state="completed"))
    with house.client() as client:
        for answer in (client.delete(f"{CALLS}/{call.id}"), client.post(f"{CALLS}/{call.id}/transfer?to=102")):
            assert (answer.status_code, answer.json()["code"]) == (409, "call_already_ended")


@pytest.mark.parametrize(("to", "dial"), [("102", "102"), ("06301112222", "+36301112222")])
def test_the_customer_is_handed_over_and_the_agent_is_free(house: House, to: str, dial: str) -> None:
    call = house.keep(in_talk(_click(house)))
    house.telephony.talking.add(call.id)
    with house.client() as client:
        answer = client.post(f"{CALLS}/{call.id}/transfer", json={"to": to})
    assert (answer.status_code, answer.json()) == (202, {"call_id": call.id, "status": "transferring", "to": dial})
    assert house.telephony.transfers == [(call.id, "acme", dial)]


def test_a_transfer_obeys_the_dialling_rules_and_needs_a_conversation(house: House) -> None:
    call = _click(house)
    house.telephony.talking.add(call.id)
    with house.client() as client:

        def refused(to: str) -> tuple[int, str, str]:
            answer = client.post(f"{CALLS}/{call.id}/transfer", data={"to": to})
            return answer.status_code, answer.json()["code"], answer.json()["param"]

        assert refused("102") == (409, "transfer_not_possible", None)
        house.keep(in_talk(call))
        assert refused("") == (400, "missing_parameter", "to")
        assert refused("x") == (400, "invalid_number", "to")
        assert refused("+14155550123") == (403, "destination_forbidden", "to")
        house.telephony.talking.clear()
        assert refused("102") == (409, "transfer_not_possible", None)
    assert not house.telephony.transfers


def test_extensions_show_what_their_phones_do(house: House) -> None:
    house.telephony.up["17.9"] = ("acme", "102")
    with house.client() as client:
        items = client.get("/api/v1/extensions").json()["items"]
        theirs = client.get("/api/v1/extensions", headers={"X-API-Key": OTHER_KEY}).json()["items"]
    assert [(one["number"], one["registered"], one["in_call"], one["state"]) for one in items] == [
        ("101", True, False, "idle"),
        ("102", True, True, "in_call"),
        ("103", False, False, "offline"),
    ]
    assert [one["number"] for one in theirs] == ["101"]


def test_without_a_phone_system_there_are_no_states_to_show(house: House) -> None:
    house.telephony.silent = True
    with house.client() as client:
        assert client.get("/api/v1/extensions").json()["code"] == "telephony_unavailable"


def test_deliveries_are_listed_and_sent_again(house: House) -> None:
    call = house.keep(answered_call())
    happened = [event(type_, call) for type_ in INBOUND]
    webhooks = [one for one in ACME.webhooks if one.id == "log"]

    def owe(tx: object) -> None:
        events.any_tenant_add(tx, happened)
        deliveries.enqueue(
            "acme",
            tx,
            events=happened,
            webhooks=webhooks,
            matches=lambda hook, one: one.type in hook.events,
            now=datetime.now(UTC),
        )

    house.db.submit(owe).result()
    with house.client() as client:
        [one] = client.get("/api/v1/deliveries", params={"call": call.id, "webhook": "log", "state": "open"}).json()[
            "items"
        ]
        assert (one["type"], one["call_id"], one["attempts"]) == ("call.completed", call.id, [])
        assert client.get("/api/v1/deliveries", params={"state": "parked"}).json()["items"] == []
        again = client.post(f"/api/v1/deliveries/{one['id']}/replay")
        assert (again.status_code, again.json()["state"]) == (202, "open")
        for foreign, key in ((one["id"], OTHER_KEY), ("dlv_none", KEY), ("*", KEY)):
            answer = client.post(f"/api/v1/deliveries/{foreign}/replay", headers={"X-API-Key": key})
            assert (answer.status_code, answer.json()["code"]) == (404, "delivery_not_found")

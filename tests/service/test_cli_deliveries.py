"""`vonal deliveries`, run as the operator runs it."""

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from delivery_house import House, webhook
from sample_calls import events_of_call
from vonal.cli import app
from vonal.domain.delivery import Outcome
from vonal.store import migrate
from vonal.store.database import Database
from vonal.store.sql import from_ms, to_ms


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VONAL_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("VONAL_DATABASE_URL", raising=False)
    db = Database(f"sqlite:///{tmp_path / 'vonal.db'}", owner=True)
    migrate.upgrade(db.engine)
    opened = House(db, now=to_ms(datetime.now(UTC)))
    await opened.save(webhook(), webhook("other", events=["call.completed"]))
    opened.script = lambda hook, _: Outcome(status=200 if hook == "log" else 422, answer="no [bold]\x1b[31m number")
    await opened.tell(events_of_call(at=from_ms(opened.now), types=("call.incoming", "call.completed")))
    await opened.settle()
    yield opened
    await opened.worker.stop(0)
    db.close()


run = partial(CliRunner().invoke, app)


async def test_deliveries_are_listed_for_people_and_for_machines(house: House):
    table = run(["deliveries"])
    assert table.exit_code == 0
    assert table.output.count("dlv_") == 3
    listed = json.loads(run(["deliveries", "--json"]).output)
    assert [one["state"] for one in listed["items"]] == ["delivered", "delivered", "open"]
    assert listed["items"][2]["attempts"][0]["status"] == 422


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--webhook", "other"], 1),
        (["--state", "delivered"], 2),
        (["--tenant", "acme"], 3),
        (["--tenant", "nobody"], 0),
        (["--limit", "1"], 1),
        (["--call", "call_x"], 0),
    ],
)
async def test_options_choose_deliveries(house: House, options: list[str], count: int):
    assert len(json.loads(run(["deliveries", *options, "--json"]).output)["items"]) == count


async def test_attempts_show_what_was_answered_without_harm_to_the_terminal(house: House):
    shown = run(["deliveries", "--webhook", "other", "--attempts"]).output
    assert "422" in shown
    assert "no [bold]" in shown
    assert "\x1b[31m" not in shown


async def test_a_delivery_is_sent_again_on_request(house: House):
    [first, _, _] = await house.log()
    answer = run(["deliveries", "--replay", first.id])
    assert answer.exit_code == 0
    assert f"{first.id} (call.incoming to log of acme) will be sent again" in answer.output
    await house.advance(60)
    assert house.sent_to("log").count("call.incoming") == 2


async def test_an_unknown_delivery_is_told_in_one_line(house: House):
    answer = run(["deliveries", "--replay", "dlv_nothing"])
    assert answer.exit_code != 0
    assert "there is no delivery dlv_nothing" in str(answer.exception)


async def test_a_webhooks_deliveries_of_a_time_are_sent_again(house: House):
    early = ["--from", from_ms(house.now - 3_600_000).isoformat()]
    house.sent.clear()
    done = run(["deliveries", "--replay-webhook", "acme/log", *early, "--json"])
    assert json.loads(done.stdout) == {"replayed": 2}
    await house.advance(1)
    assert house.sent_to("log") == ["call.incoming", "call.completed"]
    assert {one.attempt for one in house.sent if one.webhook == "log"} == {2}


@pytest.mark.parametrize(
    "options",
    [
        ["--replay-webhook", "acme/log"],
        ["--replay-webhook", "log", "--from", "2026-11-22"],
        ["--replay-webhook", "acme/log", "--from", "soon"],
        ["--replay-webhook", "acme/nothing", "--from", datetime.now(UTC).date().isoformat()],
        ["--replay-webhook", "acme/log", "--from", "2020-01-01"],
    ],
)
async def test_a_time_or_webhook_that_cannot_be_is_refused(house: House, options: list[str]):
    done = run(["deliveries", *options])
    assert done.exit_code != 0
    assert await house.states() == ["delivered", "delivered", "open"]


async def test_webhooks_are_listed_with_how_they_are_doing(house: House):
    listed = json.loads(run(["webhooks", "--json"]).output)["items"]
    assert [(one["tenant"], one["id"], one["waiting"], one["last_status"]) for one in listed] == [
        ("acme", "log", 0, 200),
        ("acme", "other", 1, 422),
    ]
    table = run(["webhooks", "--tenant", "acme"]).output
    assert "other" in table
    assert "crm.example" in table
    assert "/hook" not in table
    assert json.loads(run(["webhooks", "--tenant", "nobody", "--json"]).output)["items"] == []

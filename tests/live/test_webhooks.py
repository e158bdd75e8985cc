"""A company connects its CRM by the API alone: made, previewed, tested, called, failed, told, replayed, removed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from receiver import Answer, Got
from world import World, until, world

pytestmark = pytest.mark.asyncio(loop_scope="session")
KEY = "a-signing-secret-of-32-characters"


def _got(made: World, path: str) -> list[Got]:
    return [one for one in made.crm.requests if one.path == path]


async def test_the_whole_story_of_a_webhook_made_by_api(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        await _call(made)
        [record] = await made.completed()
        hook = {
            "id": "crm",
            "url": f"http://127.0.0.1:{made.crm.port}/crm",
            "events": ["call.completed"],
            "security": {"type": "hmac", "key": KEY},
            "mask": {"from.number": "last4"},
        }
        code, answer = await made.request("POST", "/api/v1/webhooks", json=hook)
        assert code == 201, answer
        assert KEY not in str(answer)
        code, preview = await made.request("POST", "/api/v1/webhooks/crm/preview", json={})
        assert (code, preview["call_id"]) == (200, record["data"]["call"]["id"])
        assert record["data"]["from"]["number"] not in preview["body"]
        assert _got(made, "/crm") == []
        code, trial = await made.request("POST", "/api/v1/webhooks/crm/test", json={})
        assert (code, trial["delivered"], trial["status"]) == (200, True, 200)
        await _a_call_arrives(made)
        await _it_fails_and_comes_back(made)
        assert (await made.request("DELETE", "/api/v1/webhooks/crm"))[0] == 204
        assert (await made.get("/api/v1/webhooks/crm"))[0] == 404
        assert KEY.encode() not in (tmp_path / "data" / "vonal.db").read_bytes()
        assert KEY not in made.log()


async def _a_call_arrives(made: World) -> None:
    before = len(_got(made, "/crm"))
    await _call(made)
    await until(lambda: len(_got(made, "/crm")) > before, "the new webhook has the call")
    assert _got(made, "/crm")[-1].headers["webhook-signature"].startswith("v1,")


async def _it_fails_and_comes_back(made: World) -> None:
    made.crm.answer(lambda got: Answer(status=503 if got.path == "/crm" else 200))
    for _ in range(2):
        await _call(made)
    await until(lambda: _state(made, "down"), "it is known to be down")
    made.crm.answer(Answer())
    await until(lambda: _state(made, "up"), "it is known to be back", seconds=60)
    await until(lambda: _all_delivered(made), "the backlog is worked off")
    _, notices = await made.get("/api/v1/notices")
    assert [one["type"] for one in notices["items"]] == ["webhook.up", "webhook.down"]
    sent = [one.json["id"] for one in _got(made, "/crm") if one.json["type"] != "webhook.test"]
    since = {"from": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    before = len(_got(made, "/crm"))
    code, answer = await made.request("POST", "/api/v1/webhooks/crm/replay", json=since)
    assert (code, answer["replayed"]) == (202, len(set(sent)))
    await until(lambda: len(_got(made, "/crm")) >= before + answer["replayed"], "all of it comes again")


async def _state(made: World, state: str) -> bool:
    return bool((await made.get("/api/v1/webhooks/crm"))[1]["state"] == state)


async def _call(made: World) -> None:
    call = await made.call_in()
    await call.answered.wait()
    await call.hang_up()


async def _all_delivered(made: World) -> bool:
    _, log = await made.get("/api/v1/deliveries", webhook="crm")
    return {one["state"] for one in log["items"]} == {"delivered"}

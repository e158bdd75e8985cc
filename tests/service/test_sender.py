"""One HTTP attempt against a real receiver that behaves in every bad way."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

import ports
from certificates import self_signed, server_context
from receiver import Answer, Receiver, receiving
from vonal.domain.delivery import Outcome, Request, Withdrawn
from vonal.webhooks.sender import LONGEST_ANSWER, CurlSender, retry_after

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[CurlSender]:
    one = CurlSender(LOOPBACK)
    yield one
    await one.close()


def _post(url: str, **members: Any) -> Request:
    return Request(**{"method": "POST", "url": url, "headers": {"X-A": "1"}, "body": b"{}", "timeout_s": 1, **members})


async def test_a_post_arrives_as_it_was_made(receiver: Receiver, sender: CurlSender):
    body = '{"név": "ő"}'.encode()
    outcome = await sender.send(_post(f"{receiver.url}?a=%C5%91", headers={"X-A": "é"}, body=body))
    assert outcome.status == 200
    assert outcome.fault is None
    [got] = receiver.requests
    assert (got.method, got.path_qs, got.body) == ("POST", "/hook?a=%C5%91", body)
    assert got.headers["x-a"] == "é"
    assert got.headers["content-length"] == str(len(body))
    assert "expect" not in got.headers
    assert "cookie" not in got.headers


async def test_a_get_has_no_body(receiver: Receiver, sender: CurlSender):
    await sender.send(_post(receiver.url, method="GET", body=b""))
    [got] = receiver.requests
    assert (got.method, got.body) == ("GET", b"")
    assert "content-type" not in got.headers


async def test_an_empty_post_is_still_a_post(receiver: Receiver, sender: CurlSender):
    await sender.send(_post(receiver.url, body=b""))
    assert receiver.requests[0].headers["content-length"] == "0"


async def test_a_request_that_is_not_ours_any_more_when_its_connection_stands_is_not_sent(
    receiver: Receiver, sender: CurlSender
):
    for ours in (False, True, False):  # over a new connection, and over the one that is kept of the second
        with nullcontext() if ours else pytest.raises(Withdrawn):
            await sender.send(_post(receiver.url, still=partial(bool, ours)))
    assert len(receiver.requests) == 1


async def test_nothing_of_one_request_is_left_in_the_next(receiver: Receiver, sender: CurlSender):
    await sender.send(_post(receiver.url, headers={"X-Secret": "1"}))
    await sender.send(_post(receiver.url, method="GET", body=b"", headers={}))
    got = receiver.requests[1]
    assert (got.method, got.body) == ("GET", b"")
    assert "x-secret" not in got.headers


async def test_what_the_receiver_says_is_kept_up_to_2_kb(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(status=500, body=b"no \xff\x00\x1b[31m" + b"x" * 5000))
    outcome = await sender.send(_post(receiver.url))
    assert (outcome.status, outcome.fault) == (500, "theirs")
    assert len(outcome.answer) == 2048
    assert outcome.answer.startswith("no \ufffd\ufffd\ufffd[31mxxx")


async def test_secrets_that_come_back_in_the_answer_are_not_kept(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(status=400, body=b"you sent s3cr3t"))
    outcome = await sender.send(_post(f"{receiver.url}?k=s3cr3t", secrets=("s3cr3t",)))
    assert outcome.answer == "you sent …"


async def test_redirects_are_not_followed(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(status=302, headers={"Location": "/elsewhere"}))
    assert (await sender.send(_post(receiver.url))).status == 302
    assert len(receiver.requests) == 1


async def test_a_proxy_in_the_environment_is_not_used(
    receiver: Receiver, sender: CurlSender, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{ports.free_port()}")
    assert (await sender.send(_post(receiver.url))).status == 200


@pytest.mark.parametrize(("broken", "error"), [("hang", "timeout"), ("garbage", "bad_answer"), ("close", "bad_answer")])
async def test_a_receiver_that_breaks_http_is_at_fault(receiver: Receiver, sender: CurlSender, broken: str, error: str):
    receiver.answer(Answer(broken=broken))
    outcome = await sender.send(_post(receiver.url))
    assert (outcome.status, outcome.error, outcome.fault) == (None, error, "theirs")


async def test_nobody_listening_is_told_without_the_address_s_query(sender: CurlSender):
    outcome = await sender.send(_post(f"http://127.0.0.1:{ports.free_port()}/x?k=s3cr3t"))
    assert (outcome.error, outcome.fault) == ("not_connected", "theirs")
    assert "s3cr3t" not in outcome.answer


async def test_an_unknown_name_is_told(sender: CurlSender):
    assert (await sender.send(_post("https://nobody.invalid/x"))).error in {"name_not_found", "timeout"}


@pytest.mark.parametrize("broken", ["endless", "drip"])
async def test_an_answer_without_end_is_cut_and_its_status_counts(receiver: Receiver, sender: CurlSender, broken: str):
    receiver.answer(Answer(status=200, broken=broken))
    outcome = await sender.send(_post(receiver.url))
    assert outcome.status == 200
    assert len(outcome.answer) <= 2048


async def test_an_answer_is_read_up_to_64_kb_only(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(body=b"x" * (LONGEST_ANSWER * 100)))
    assert (await sender.send(_post(receiver.url))).status == 200


async def test_connections_are_kept(receiver: Receiver, sender: CurlSender, monkeypatch: pytest.MonkeyPatch):
    opened: list[int] = []

    def counting(_host: str, port: int, *_: Any, **__: Any) -> bool:
        opened.append(port)
        return True

    monkeypatch.setattr("vonal.webhooks.guard.permits", counting)
    for _ in range(5):
        await sender.send(_post(receiver.url))
    assert len(receiver.requests) == 5
    assert opened == [receiver.port]


async def test_many_requests_run_side_by_side(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(delay=0.2))
    outcomes = await asyncio.gather(*(sender.send(_post(receiver.url, timeout_s=20)) for _ in range(60)))
    assert {one.status for one in outcomes} == {200}


async def test_a_cancelled_request_leaves_the_sender_usable(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(broken="hang"))
    task = asyncio.create_task(sender.send(_post(receiver.url, timeout_s=30)))
    await receiver.got(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    receiver.answer(Answer(status=204))
    assert (await sender.send(_post(receiver.url))).status == 204


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
async def test_no_spelling_of_this_machine_is_reached(receiver: Receiver, host: str):
    for scheme in ("http", "https"):
        sender = CurlSender()
        outcome = await sender.send(_post(f"{scheme}://{host}:{receiver.port}/hook"))
        await sender.close()
        assert outcome.status is None
        assert outcome.error in {"address_refused", "not_connected", "name_not_found", "url_invalid"}
    assert receiver.requests == []


async def test_only_http_and_https_are_spoken(sender: CurlSender):
    for url in ("file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
        outcome = await sender.send(_post(url))
        assert (outcome.status, outcome.error) == (None, "url_invalid")


async def test_a_certificate_nobody_vouches_for_is_refused(sender: CurlSender, tmp_path: Path):
    async with receiving(ssl_context=server_context(self_signed(), tmp_path)) as receiver:
        outcome = await sender.send(_post(receiver.url.replace("http:", "https:")))
        assert (outcome.error, outcome.fault) == ("tls_not_trusted", "theirs")
        assert "certificate" in outcome.answer
        assert receiver.requests == []


async def test_retry_after_is_read(receiver: Receiver, sender: CurlSender):
    receiver.answer(Answer(status=429, headers={"Retry-After": "17"}))
    assert (await sender.send(_post(receiver.url))).retry_after_s == 17


def test_retry_after_may_be_a_date_and_nonsense_is_nothing():
    now = time.time()
    in_a_minute = format_datetime(datetime.fromtimestamp(now + 60, UTC), usegmt=True)
    assert abs((retry_after(in_a_minute, now) or 0) - 60) <= 1
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT", now) == 0
    for nonsense in ("", "soon", "-5", "1.5", "٣", "Thu, 99 Foo 1970"):
        assert retry_after(nonsense, now) is None


def test_a_timer_that_is_over_when_it_is_set_does_not_end_all_requests():
    async def send() -> Outcome:
        async with receiving() as receiver:
            sender = CurlSender(LOOPBACK)
            await sender.send(_post(receiver.url))
            sender._transfers._due = 0.0
            sender._transfers._set_timer()  # uvloop calls back at once, and its handle knows of no time
            sender._transfers._wake_in(5000)
            outcome = await sender.send(_post(receiver.url))
            await sender.close()
            return outcome

    assert uvloop.run(send()).status == 200

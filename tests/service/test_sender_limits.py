"""What a receiver can do to the sender: nothing, however it breaks HTTP, and nothing of the machine goes out."""

import asyncio
import gzip
import ipaddress
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pycurl
import pytest

import ports
from raw_server import Connection, serving
from vonal.domain.delivery import Request
from vonal.webhooks import sender as sender_module
from vonal.webhooks.sender import CurlSender

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def sender() -> AsyncIterator[CurlSender]:
    one = CurlSender(LOOPBACK)
    yield one
    await one.close()


def _post(url: str, **members: Any) -> Request:
    return Request(**{"method": "POST", "url": url, "headers": {}, "body": b'{"a": 1}', "timeout_s": 20, **members})


def _endless(beginning: str, piece: str) -> Any:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(beginning)
        for _ in range(100_000):
            await connection.say(piece * 100)

    return behave


def _slowly(beginning: str, piece: str) -> Any:
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(beginning)
        while True:
            await connection.say(piece)
            await asyncio.sleep(0.05)

    return behave


HEAD = "HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "headers": _endless(HEAD, f"X-A: {'a' * 1000}\r\n"),
    "headers that are empty": _endless(HEAD, "a:\r\n"),
    "one header": _endless(HEAD + "X-A: ", "a" * 1000),
    "folded header": _endless(HEAD + "X-A: a\r\n", " a\r\n"),
    "status line": _endless("HTTP/1.1 200 ", "a" * 1000),
    "no http": _endless("", "a" * 1000),
    "1xx": _endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
    "103 with headers": _endless("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "cookies": _endless(HEAD, f"Set-Cookie: a={'a' * 500}\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_a_head_without_end_is_cut_and_is_no_success(sender: CurlSender, kind: str):
    async with serving(ENDLESS[kind]) as server:
        outcome = await sender.send(_post(server.url))
        assert (outcome.status, outcome.error, outcome.fault) == (None, "bad_answer", "theirs")
        assert len(outcome.answer) <= 2048


SLOW = {
    "nothing": _slowly("", ""),
    "status line": _slowly("HTTP/1.1 ", "2"),
    "headers": _slowly(HEAD, "X-A: a\r\n"),
    "1xx": _slowly("", "HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
async def test_a_slow_head_ends_with_the_timeout_and_is_no_success(sender: CurlSender, kind: str):
    async with serving(SLOW[kind]) as server:
        outcome = await sender.send(_post(server.url, timeout_s=1))
        assert (outcome.status, outcome.error, outcome.fault) == (None, "timeout", "theirs")


BODIES = {
    "content": _endless(HEAD + "\r\n", "a" * 1000),
    "chunks": _endless(HEAD + "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
    "chunk extensions": _endless(HEAD + "Transfer-Encoding: chunked\r\n\r\n", f"1;{'a' * 100}\r\na\r\n"),
    "announced content": _endless(HEAD + "Content-Length: 99999999999999\r\n\r\n", "a" * 1000),
    "trailers": _endless(HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", f"X-A: {'a' * 1000}\r\n"),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_body_without_end_is_cut_and_its_status_counts(sender: CurlSender, kind: str):
    async with serving(BODIES[kind]) as server:
        outcome = await sender.send(_post(server.url))
        assert (outcome.status, outcome.fault, outcome.endless) == (200, None, True)
        assert len(outcome.answer) <= 2048


async def test_a_body_that_drips_is_cut_by_the_timeout_and_its_status_counts(sender: CurlSender):
    async with serving(_slowly(HEAD + "\r\n", "a")) as server:
        outcome = await sender.send(_post(server.url, timeout_s=1))
        assert (outcome.status, outcome.fault, outcome.endless) == (200, None, True)


@pytest.mark.parametrize(
    "answer",
    [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nX-A: a\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 000 Nothing\r\n\r\n",
        "HTTP/1.1 099 Nothing\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 2OO OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "220 mail.example ESMTP\r\n",
        "+PONG\r\n",
        "\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_half_an_answer_or_none_is_no_success(sender: CurlSender, answer: str):
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(answer)

    async with serving(behave) as server:
        outcome = await sender.send(_post(server.url, timeout_s=5))
        assert (outcome.status, outcome.error, outcome.fault) == (None, "bad_answer", "theirs")


async def test_the_final_status_after_hints_counts(sender: CurlSender):
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n" + OK)

    async with serving(behave) as server:
        outcome = await sender.send(_post(server.url))
        assert (outcome.status, outcome.answer) == (200, "ok")


async def test_nothing_is_decompressed(sender: CurlSender):
    bomb = gzip.compress(b"a" * 10_000_000)

    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(f"{HEAD}Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n")
        await connection.say(bomb)

    async with serving(behave) as server:
        outcome = await sender.send(_post(server.url))
        assert outcome.status == 200
        assert "aaaa" not in outcome.answer
        assert "accept-encoding" not in server.heads[0].lower()


async def _answering(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.say(OK)


async def test_a_connection_is_kept_for_the_next_request(sender: CurlSender):
    async with serving(_answering) as server:
        for _ in range(3):
            assert (await sender.send(_post(server.url))).status == 200
        assert [len(one.heads) for one in server.connections] == [3]


async def test_cookies_are_not_kept(sender: CurlSender):
    async def behave(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.say("HTTP/1.1 204 No\r\nSet-Cookie: session=1; Path=/\r\n\r\n")

    async with serving(behave) as server:
        for _ in range(2):
            await sender.send(_post(server.url))
        assert len(server.heads) == 2
        assert "session" not in server.heads[1]


async def test_a_netrc_of_the_machine_is_not_read(sender: CurlSender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login operator password s3cr3t\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with serving(_answering) as server:
        await sender.send(_post(server.url))
        assert "authorization" not in server.heads[0].lower()


@pytest.mark.parametrize(
    "names", [("http_proxy",), ("HTTP_PROXY",), ("all_proxy", "ALL_PROXY"), ("https_proxy", "HTTPS_PROXY")]
)
@pytest.mark.parametrize("scheme", ["http", "socks5h"])
async def test_no_proxy_of_the_environment_is_asked(
    names: tuple[str, ...], scheme: str, monkeypatch: pytest.MonkeyPatch
):
    for name in [one for one in os.environ if one.lower() == "no_proxy"]:
        monkeypatch.delenv(name)
    async with serving(_answering) as proxy, serving(_answering) as server:
        for name in names:
            monkeypatch.setenv(name, f"{scheme}://user:pw@127.0.0.1:{proxy.port}")
        sender = CurlSender(LOOPBACK)
        assert (await sender.send(_post(server.url))).status == 200
        await sender.send(_post(f"https://127.0.0.1:{ports.free_port()}/"))
        await sender.close()
        assert proxy.connections == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300])
async def test_a_redirect_to_a_private_address_is_not_followed(status: int):
    async with serving(_answering, "127.0.0.2") as secret:

        async def behave(connection: Connection) -> None:
            await connection.request()
            await connection.say(
                f"HTTP/1.1 {status} Go\r\nLocation: http://127.0.0.2:{secret.port}/\r\n"
                f"Refresh: 0; url=http://127.0.0.2:{secret.port}/\r\nContent-Length: 0\r\n\r\n"
            )

        sender = CurlSender(LOOPBACK)
        async with serving(behave) as server:
            outcome = await sender.send(_post(server.url))
        await sender.close()
        assert (outcome.status, outcome.fault) == (status, "theirs")
        assert secret.connections == []


async def test_an_alternative_service_or_strict_transport_is_not_followed(sender: CurlSender):
    async with serving(_answering, "127.0.0.2") as secret:

        async def behave(connection: Connection) -> None:
            await connection.request()
            await connection.say(
                f'HTTP/1.1 200 OK\r\nAlt-Svc: http/1.1="127.0.0.2:{secret.port}"\r\n'
                "Strict-Transport-Security: max-age=99999\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )

        async with serving(behave) as server:
            assert [(await sender.send(_post(server.url))).status for _ in range(2)] == [200, 200]
            assert len(server.connections) == 2
        assert secret.connections == []


async def test_a_post_that_dies_on_a_kept_connection_before_any_answer_is_sent_again_at_once(sender: CurlSender):
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(OK)
        if connection.number == 0:
            await connection.request()  # and hangs up: it had timed the connection out
        else:
            await _answering(connection)

    async with serving(behave) as server:
        assert (await sender.send(_post(server.url))).status == 200
        assert (await sender.send(_post(server.url, body=b"second"))).status == 200
        assert [len(one.heads) for one in server.connections] == [2, 1]
        assert all(head.endswith("second") for head in server.heads[1:])


async def test_a_post_that_dies_on_a_new_connection_is_not_sent_again(sender: CurlSender):
    async def behave(connection: Connection) -> None:
        await connection.request()

    async with serving(behave) as server:
        outcome = await sender.send(_post(server.url))
        assert (outcome.status, outcome.error) == (None, "bad_answer")
        assert len(server.heads) == 1


async def test_a_post_that_dies_on_a_kept_connection_after_a_part_of_the_answer_is_not_sent_again(sender: CurlSender):
    async def behave(connection: Connection) -> None:
        await connection.request()
        await connection.say(OK)
        await connection.request()
        await connection.say(HEAD)

    async with serving(behave) as server:
        await sender.send(_post(server.url))
        outcome = await sender.send(_post(server.url))
        assert (outcome.status, outcome.error) == (None, "bad_answer")
        assert len(server.heads) == 2


async def test_the_answer_of_a_name_server_is_not_kept(sender: CurlSender, monkeypatch: pytest.MonkeyPatch):
    async with serving(_answering) as server:
        # The "+" makes it an answer like any other, which libcurl would use for a minute.
        entry = f"+crm.example:{server.port}:127.0.0.1"
        monkeypatch.setitem(sender_module._OPTIONS, pycurl.RESOLVE, [entry])
        outcome = await sender.send(_post(f"http://crm.example:{server.port}/", timeout_s=2))
        assert outcome.error in {"name_not_found", "timeout"}
        assert server.connections == []

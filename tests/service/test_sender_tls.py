"""Mutual TLS and authorities of a webhook's own, against real servers."""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pycurl
import pytest

from certificates import Authority, Identity, judging_server, self_signed, server_context
from receiver import Receiver, receiving
from vonal.domain.delivery import Request
from vonal.domain.directory import Tls
from vonal.webhooks import sender as sender_module
from vonal.webhooks.sender import CurlSender

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ROOT = Authority()
SERVER = ROOT.issue("server")


@pytest.fixture
async def sender() -> AsyncIterator[CurlSender]:
    one = CurlSender(LOOPBACK)
    yield one
    await one.close()


@asynccontextmanager
async def _server(
    folder: Path, *, own: Identity = SERVER, mutual: bool = True, **options: Any
) -> AsyncIterator[Receiver]:
    context = server_context(own, folder, clients_of=ROOT if mutual else None)
    for name, value in options.items():
        setattr(context, name, value)
    async with receiving(ssl_context=context) as receiver:
        yield receiver


def _request(receiver: Receiver, tls: Tls | None) -> Request:
    return _to(receiver.url.replace("http:", "https:"), tls)


def _to(url: str, tls: Tls | None) -> Request:
    return Request(method="POST", url=url, headers={}, body=b"{}", timeout_s=10, tls=tls)


def _as(own: Identity | None, ca: str | None = ROOT.pem) -> Tls:
    return Tls(ca=ca, certificate=own.certificate if own else None, key=own.key if own else None)


REFUSED = [_as(None), _as(Authority("another").issue("anna")), _as(self_signed())]


async def test_a_webhook_shows_its_certificate(sender: CurlSender, tmp_path: Path):
    async with _server(tmp_path) as receiver:
        assert (await sender.send(_request(receiver, _as(ROOT.issue("anna"))))).status == 200
        assert [one.peer for one in receiver.requests] == ["anna"]


async def test_webhooks_with_different_certificates_never_share_a_connection(sender: CurlSender, tmp_path: Path):
    anna, bela = _as(ROOT.issue("anna")), _as(ROOT.issue("bela"))
    async with _server(tmp_path) as receiver:
        for tls in (anna, bela, anna, bela, bela, anna):
            assert (await sender.send(_request(receiver, tls))).status == 200
        assert [one.peer for one in receiver.requests] == ["anna", "bela", "anna", "bela", "bela", "anna"]
        receiver.requests.clear()
        both = [_request(receiver, tls) for tls in (anna, bela) for _ in range(20)]
        await asyncio.gather(*(sender.send(one) for one in both))
        assert sorted(one.peer or "" for one in receiver.requests) == ["anna"] * 20 + ["bela"] * 20


async def test_a_connection_with_a_certificate_is_kept(
    sender: CurlSender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    opened = []
    monkeypatch.setattr("vonal.webhooks.guard.permits", lambda *args, **_: opened.append(args) or True)
    tls = _as(ROOT.issue("anna"))
    async with _server(tmp_path) as receiver:
        for _ in range(3):
            await sender.send(_request(receiver, tls))
        assert len(opened) == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_certificate_says_whom_it_refuses(
    sender: CurlSender, tmp_path: Path, version: ssl.TLSVersion
):
    context = server_context(SERVER, tmp_path, clients_of=ROOT)
    context.maximum_version = version
    with judging_server(context) as port:
        for refused in REFUSED:
            outcome = await sender.send(_to(f"https://127.0.0.1:{port}/", refused))
            assert (outcome.status, outcome.error, outcome.fault) == (None, "tls_refused", "theirs")
            assert "alert" in outcome.answer
        assert (await sender.send(_to(f"https://127.0.0.1:{port}/", _as(ROOT.issue("anna"))))).status == 204


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_hangs_up_on_strangers_does_not_serve_them_by_anothers_connection(
    sender: CurlSender, tmp_path: Path, version: ssl.TLSVersion
):
    async with _server(tmp_path, maximum_version=version) as receiver:
        tls = _as(ROOT.issue("anna"))
        assert (await sender.send(_request(receiver, tls))).status == 200
        for refused in REFUSED:
            outcome = await sender.send(_request(receiver, refused))
            assert (outcome.status, outcome.error, outcome.fault) == (None, "tls_failed", "theirs")
        assert (await sender.send(_request(receiver, tls))).status == 200
        assert [one.peer for one in receiver.requests] == ["anna", "anna"]


async def test_a_handle_that_held_a_certificate_is_not_used_again(sender: CurlSender, tmp_path: Path):
    async with _server(tmp_path) as receiver, _server(tmp_path, mutual=False) as open_to_all:
        assert (await sender.send(_request(receiver, _as(ROOT.issue("anna"))))).status == 200
        assert sender._idle == []
        assert (await sender.send(_request(receiver, _as(None)))).error == "tls_failed"
        assert (await sender.send(_request(open_to_all, _as(None)))).status == 200
        assert open_to_all.requests[0].peer is None
        assert (await sender.send(_request(open_to_all, None))).error == "tls_not_trusted"


async def test_an_own_authority_replaces_the_systems(
    sender: CurlSender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "system.pem").write_text(ROOT.pem)
    monkeypatch.setattr(sender_module, "_TRUSTED", {pycurl.CAINFO: str(tmp_path / "system.pem")})
    other = Authority("another")
    async with (
        _server(tmp_path, mutual=False) as known,
        _server(tmp_path, own=other.issue("server"), mutual=False) as private,
    ):
        assert (await sender.send(_request(known, None))).status == 200
        assert (await sender.send(_request(known, _as(None, ca=other.pem)))).error == "tls_not_trusted"
        assert (await sender.send(_request(private, _as(None, ca=other.pem)))).status == 200
        assert (await sender.send(_request(private, None))).error == "tls_not_trusted"
        assert (await sender.send(_request(private, _as(None, ca=ROOT.pem + other.pem)))).status == 200
        # A certificate of one's own, with the system's authorities.
        assert (await sender.send(_request(known, _as(ROOT.issue("anna"), ca=None)))).status == 200


async def test_an_expired_or_foreign_server_is_not_trusted(sender: CurlSender, tmp_path: Path):
    async with _server(tmp_path, own=ROOT.issue("server", days=-1), mutual=False) as receiver:
        outcome = await sender.send(_request(receiver, _as(None)))
        assert (outcome.error, outcome.fault) == ("tls_not_trusted", "theirs")
        assert "expired" in outcome.answer


async def test_a_key_that_cannot_be_used_is_told_and_not_shown(sender: CurlSender, tmp_path: Path):
    anna, bela = ROOT.issue("anna"), ROOT.issue("bela")
    async with _server(tmp_path) as receiver:
        for key in (bela.key, "-----BEGIN PRIVATE KEY-----\nbm8ga2V5\n-----END PRIVATE KEY-----\n"):
            outcome = await sender.send(_request(receiver, Tls(ca=ROOT.pem, certificate=anna.certificate, key=key)))
            assert (outcome.status, outcome.error, outcome.fault) == (None, "tls_failed", "theirs")
            assert not [line for line in key.splitlines() if line in outcome.answer]
        assert receiver.requests == []


async def test_a_broken_authority_is_told(sender: CurlSender, tmp_path: Path):
    async with _server(tmp_path, mutual=False) as receiver:
        outcome = await sender.send(
            _request(receiver, Tls(ca="-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----"))
        )
        assert (outcome.status, outcome.error) == (None, "tls_failed")


async def test_a_server_of_another_name_is_not_trusted(sender: CurlSender, tmp_path: Path):
    async with _server(tmp_path, mutual=False) as receiver:
        request = Request(method="GET", url=f"https://localhost:{receiver.port}/", headers={}, tls=_as(None))
        assert (await sender.send(request)).error == "tls_not_trusted"

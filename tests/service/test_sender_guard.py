"""Every attempt to reach what is not the public internet, all the way through libcurl, with a service that listens."""

import ipaddress
import socket
from collections.abc import AsyncIterator

import pycurl
import pytest

from attempts import EVERY, THIS_MACHINE
from raw_server import Connection, RawServer, serving
from sample_calls import event
from vonal.domain.delivery import Outcome, Request
from vonal.domain.directory import Webhook
from vonal.webhooks import envelope
from vonal.webhooks import sender as sender_module
from vonal.webhooks.guard import IPNetwork
from vonal.webhooks.sender import CurlSender

SETTING = envelope.Setting(timezone="UTC", base_url="https://pbx.example")
REFUSED = {"address_refused", "url_invalid"}
# What these spell is no address: a resolver may be asked, and knows no such name.
NOT_FOUND = {"name_not_found", "timeout"}


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        return probe.connect_ex(("::1", 9)) != 99  # EADDRNOTAVAIL


HOSTS = ["127.0.0.1", "127.0.0.2", *(["::1"] if _has_ipv6() else [])]


needs_ipv6 = pytest.mark.skipif(len(HOSTS) < 3, reason="the machine has no IPv6")


async def _answering(connection: Connection) -> None:
    while True:
        await connection.request()
        await connection.say("HTTP/1.1 204 No\r\n\r\n")


@pytest.fixture
async def service() -> AsyncIterator[RawServer]:
    """Something private on this machine."""
    async with serving(_answering, *HOSTS) as server:
        yield server


async def _sent(request: Request, *allow: str) -> Outcome:
    sender = CurlSender(tuple(_network(one) for one in allow))
    try:
        return await sender.send(request)
    finally:
        await sender.close()


def _network(text: str) -> IPNetwork:
    return ipaddress.ip_network(text)


def _get(url: str) -> Request:
    return Request(method="GET", url=url, headers={}, timeout_s=2)


@pytest.mark.parametrize("url", [url for url, _ in EVERY])
async def test_no_url_leads_to_a_private_service(service: RawServer, url: str):
    url = url.replace("PORT", str(service.port))
    requests = [_get(url)] if url.isascii() and "\x00" not in url else []
    try:
        webhook = Webhook(id="log", url=url, method="GET", events=["call.completed"])
        requests.append(envelope.request(event(), webhook, SETTING, attempt=1, timestamp=1))
    except ValueError:  # no request is made of it at all
        pass
    for request in requests:
        outcome = await _sent(request)
        assert outcome.status is None
        assert outcome.error in REFUSED | NOT_FOUND
        assert outcome.fault == "theirs"
    assert service.connections == []


@pytest.mark.parametrize("url", [url for url, _ in THIS_MACHINE if url.isascii() and not set(url) & set("\\ \t\n")])
async def test_no_spelling_of_this_machine_passes_where_plain_http_is_open_to_another(service: RawServer, url: str):
    url = url.replace("PORT", str(service.port)).replace("https:", "http:")
    outcome = await _sent(_get(url), "127.0.0.77/32")
    assert (outcome.status, service.connections) == (None, [])


@pytest.mark.parametrize(
    ("allow", "reached", "refused"),
    [
        ("127.0.0.2/32", ["127.0.0.2", "127.2", "2130706434", "127.0.0.2."], ["127.0.0.1", "127.0.0.3", "localhost"]),
        ("127.0.0.0/31", ["127.0.0.1", "localhost"], ["127.0.0.2", "0.0.0.0"]),
        ("127.0.0.1/32", ["127.0.0.1", "0x7f.1", "%31%32%37.0.0.1"], ["127.0.0.2", "0.0.0.0"]),
        ("10.0.0.0/8", [], ["127.0.0.1", "127.0.0.2", "localhost", "[::1]"]),
        pytest.param("::1/128", ["[::1]"], ["127.0.0.1", "[::ffff:127.0.0.1]"], marks=needs_ipv6),
    ],
)
async def test_the_operator_opens_exactly_what_is_named(
    service: RawServer, allow: str, reached: list[str], refused: list[str]
):
    for host in reached:
        assert (await _sent(_get(f"http://{host}:{service.port}/"), allow)).status == 204
    assert len(service.connections) == len(reached)
    for host in refused:
        outcome = await _sent(_get(f"http://{host}:{service.port}/"), allow)
        assert (outcome.status, outcome.error) == (None, "address_refused")
    assert len(service.connections) == len(reached)


async def test_a_mapped_spelling_of_an_allowed_address_is_that_address(service: RawServer):
    assert (await _sent(_get(f"http://[::ffff:127.0.0.1]:{service.port}/"), "127.0.0.1/32")).status == 204
    refused = await _sent(_get(f"http://[::ffff:127.0.0.2]:{service.port}/"), "127.0.0.1/32")
    assert refused.error == "address_refused"


def _resolves(monkeypatch: pytest.MonkeyPatch, port: int, *addresses: str) -> None:
    """What the name server says of crm.example from now on, to handles not yet made."""
    monkeypatch.setitem(sender_module._OPTIONS, pycurl.RESOLVE, [f"crm.example:{port}:{','.join(addresses)}"])


async def test_a_name_that_changes_its_address_is_judged_by_the_one_connected_to(monkeypatch: pytest.MonkeyPatch):
    async def once(connection: Connection) -> None:
        await connection.request()
        await connection.say("HTTP/1.1 204 No\r\nConnection: close\r\n\r\n")

    async with serving(once, *HOSTS) as service:
        sender = CurlSender((_network("127.0.0.2/32"),))
        request = _get(f"http://crm.example:{service.port}/")
        _resolves(monkeypatch, service.port, "127.0.0.2")
        assert (await sender.send(request)).status == 204
        sender._idle.clear()
        _resolves(monkeypatch, service.port, "127.0.0.1")
        outcome = await sender.send(request)
        assert (outcome.status, outcome.error) == (None, "address_refused")
        sender._idle.clear()
        _resolves(monkeypatch, service.port, "127.0.0.2")
        assert (await sender.send(request)).status == 204
        await sender.close()
        assert {one.writer.get_extra_info("sockname")[0] for one in service.connections} == {"127.0.0.2"}


@pytest.mark.parametrize("addresses", [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.2")])
async def test_of_a_names_addresses_only_the_permitted_are_connected_to(
    service: RawServer, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
):
    _resolves(monkeypatch, service.port, *addresses)
    assert (await _sent(_get(f"http://crm.example:{service.port}/"), "127.0.0.2/32")).status == 204
    assert [one.writer.get_extra_info("sockname")[0] for one in service.connections] == ["127.0.0.2"]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fd00:ec2::254"]
)
async def test_a_public_name_with_a_private_address_is_refused(
    service: RawServer, monkeypatch: pytest.MonkeyPatch, address: str
):
    _resolves(monkeypatch, service.port, address)
    outcome = await _sent(_get(f"https://crm.example:{service.port}/"))
    assert (outcome.status, outcome.error) == (None, "address_refused")
    assert "VONAL_WEBHOOK_ALLOW" in outcome.answer
    assert service.connections == []

"""Which addresses webhooks may reach."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attempts import EVERY
from vonal.webhooks.guard import fault_of_url, permits

PRIVATE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "192.0.2.1", "203.0.113.9",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "2002:a00:1::", "2001::1", "64:ff9b:1::1", "100::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:400d::200e", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("host", PRIVATE)
def test_what_is_not_the_public_internet_is_refused(host: str):
    assert not permits(host, 443, (), plain=False)


@pytest.mark.parametrize("host", PUBLIC)
def test_the_public_internet_is_reached_over_tls(host: str):
    assert permits(host, 443, (), plain=False)


@pytest.mark.parametrize("host", PUBLIC)
def test_the_public_internet_is_not_reached_without_tls(host: str):
    assert not permits(host, 80, (), plain=True)


@pytest.mark.parametrize("port", [22, 25, 110, 465, 1023])
def test_other_services_ports_are_refused(port: int):
    assert not permits("8.8.8.8", port, (), plain=False)


def test_what_the_operator_allows_is_reached_also_without_tls():
    allow = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    assert permits("10.1.2.3", 8080, allow, plain=True)
    assert permits("::ffff:10.1.2.3", 8080, allow, plain=True)
    assert permits("fd00::5", 80, allow, plain=False)
    assert not permits("10.2.0.1", 8080, allow, plain=True)


@pytest.mark.parametrize("host", ["", "localhost", "crm.example", "1.2.3", "0x7f000001", "2130706433"])
def test_what_is_no_address_is_refused(host: str):
    assert not permits(host, 443, (ipaddress.ip_network("0.0.0.0/0"),), plain=False)


@given(st.ip_addresses(v=4))
def test_an_address_dressed_as_ipv6_is_judged_as_itself(address: ipaddress.IPv4Address):
    itself = permits(str(address), 443, (), plain=False)
    number = int(address)
    for dressed in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert permits(str(ipaddress.IPv6Address(dressed)), 443, (), plain=False) == itself


@pytest.mark.parametrize(("url", "told"), EVERY)
def test_a_url_that_leads_elsewhere_is_told_before_any_connection(url: str, told: str):
    fault = fault_of_url(url.replace("PORT", "8443"), ())
    assert fault is not None
    assert told in fault


def test_there_are_many_attempts():
    assert len({url for url, _ in EVERY}) == len(EVERY) >= 90


@pytest.mark.parametrize(
    "url",
    [
        "https://crm.example/calls?a=1#b",
        "https://crm.example:443",
        "https://crm.example:8443/",
        "https://crm.example:1024/",
        "https://ügyfél.example/hívás?név=ő",
        "https://CRM.Example./",
        "https://8.8.8.8/",
        "https://134744072/",
        "https://[2a00:1450:400d::200e]:8443/",
        "https://[::ffff:8.8.8.8]/",
        "https://127.0.0.1.crm.example/",
        "https://localhost.crm.example/",
        "https://internal.example/",
        "https://1and1.example/",
        "https://0x7f.example/",
        "https://under_score.example/",
    ],
)
def test_an_ordinary_address_has_no_fault(url: str):
    assert fault_of_url(url, ()) is None


def _networks(*texts: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    return [ipaddress.ip_network(one) for one in texts]


@pytest.mark.parametrize(
    ("allow", "inside", "outside"),
    [
        (["10.0.0.5/32"], ["10.0.0.5"], ["10.0.0.4", "10.0.0.6", "10.0.0.0", "10.0.0.255", "127.0.0.1"]),
        (["10.1.0.0/16"], ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0", "172.16.1.1", "192.168.1.1"]),
        (["192.168.7.128/25"], ["192.168.7.128", "192.168.7.255"], ["192.168.7.127", "192.168.8.0"]),
        (["127.0.0.2/32"], ["127.0.0.2", "2130706434", "0x7f000002"], ["127.0.0.1", "127.0.0.3", "0.0.0.0", "[::1]"]),
        (["10.0.0.5/32"], ["[::ffff:10.0.0.5]", "[2002:a00:5::]", "[64:ff9b::a00:5]"], ["[::ffff:10.0.0.6]"]),
        (["fd00:1::5/128"], ["[fd00:1::5]", "[fd00:1:0::5]"], ["[fd00:1::4]", "[fd00:1::6]", "[fd00:2::5]"]),
        (["fd00:1::/32"], ["[fd00:1::1]", "[fd00:1:ffff::]"], ["[fd00:2::]", "[fd00::1]", "[fe80::1]", "10.0.0.1"]),
        (["::1/128"], ["[::1]"], ["127.0.0.1", "[::]", "[::ffff:127.0.0.1]", "[::2]"]),
        (["::/0"], ["[::1]", "[fd00::1]", "[fe80::1]"], ["127.0.0.1", "10.0.0.1", "[::ffff:10.0.0.1]"]),
        (["0.0.0.0/0"], ["127.0.0.1", "[::ffff:10.0.0.1]"], ["[::1]", "[fd00::1]"]),
        (["169.254.169.254/32", "10.0.0.0/8"], ["169.254.169.254", "10.9.9.9"], ["169.254.169.253", "172.16.0.1"]),
    ],
)
def test_the_operator_opens_exactly_what_is_named(allow: list[str], inside: list[str], outside: list[str]):
    networks = _networks(*allow)
    for host in inside:
        for url in (f"https://{host}/", f"http://{host}/", f"https://{host}:25/", f"http://{host}:8080/"):
            assert fault_of_url(url, networks) is None, url
    for host in outside:
        for url in (f"https://{host}/", f"http://{host}/", f"https://{host}:8443/"):
            assert fault_of_url(url, networks) is not None, url


def test_a_name_may_stand_for_what_the_operator_allows():
    allow = _networks("10.0.0.0/8")
    for url in ("http://crm.internal/", "https://crm.local:25/", "http://crm.example/"):
        assert fault_of_url(url, allow) is None
    assert fault_of_url("http://localhost/", allow) is not None
    assert fault_of_url("http://localhost:8080/", _networks("127.0.0.1/32")) is None


@given(st.text(max_size=60))
def test_no_text_makes_the_guard_stumble(text: str):
    for url in (text, f"https://{text}", f"https://{text}@127.0.0.1/", f"https://[{text}]/", f"https://a:{text}/"):
        assert isinstance(fault_of_url(url, ()), str | None)

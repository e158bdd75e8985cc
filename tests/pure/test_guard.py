"""Which addresses webhooks may reach."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vonal.webhooks.guard import permits

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

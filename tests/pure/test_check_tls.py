"""Which faults of a webhook's `tls` are told."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import Authority, pem_of
from directories import directory, example
from vonal.directory import check
from vonal.directory.check import Surroundings

ROOT = Authority()
OWN, OTHER, OLD = ROOT.issue("own"), ROOT.issue("other"), ROOT.issue("old", days=-1)
LOCKED = pem_of(ec.generate_private_key(ec.SECP256R1()), password=b"secret")
BROKEN = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
NO_PEM = "this is not what was asked for, and long enough"


def _faults(tls: dict[str, Any], url: str = "https://crm.example") -> list[str]:
    data = example()
    data["tenants"][0]["webhooks"][1] |= {"tls": tls, "url": url}
    found = check.faults_of(directory(data), Surroundings())
    return [f"{path.removeprefix('tenants[0].webhooks[1].')}: {reason}" for path, reason in found]


@pytest.mark.parametrize(
    "tls",
    [
        {"ca": ROOT.pem},
        {"ca": ROOT.pem + OWN.certificate},
        {"certificate": OWN.certificate, "key": OWN.key},
        {"certificate": OWN.certificate + ROOT.pem, "key": OWN.key, "ca": ROOT.pem},
    ],
)
def test_what_can_be_used_has_no_fault(tls: dict[str, Any]):
    assert _faults(tls) == []


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ({"certificate": OWN.certificate}, "tls.key: is missing: "),
        ({"key": OWN.key}, "tls.certificate: is missing: "),
        ({"ca": NO_PEM}, "tls.ca: holds no certificate"),
        ({"ca": BROKEN}, "tls.ca: holds no certificate"),
        ({"ca": OWN.key}, "tls.ca: holds no certificate"),
        ({"certificate": NO_PEM, "key": OWN.key}, "tls.certificate: holds no certificate"),
        ({"certificate": OWN.certificate, "key": NO_PEM}, "tls.key: holds no private key"),
        ({"certificate": OWN.certificate, "key": OWN.certificate}, "tls.key: holds no private key"),
        ({"certificate": OWN.certificate, "key": LOCKED}, "tls.key: is protected by a password"),
        ({"certificate": OWN.certificate, "key": OTHER.key}, "tls.key: does not belong to the certificate"),
        ({"certificate": ROOT.pem + OWN.certificate, "key": OWN.key}, "tls.key: does not belong to the certificate"),
        ({"certificate": OLD.certificate, "key": OLD.key}, "tls.certificate: has expired, on 20"),
    ],
)
def test_a_fault_is_told_without_the_key(tls: dict[str, Any], told: str):
    [fault] = _faults(tls)
    assert fault.startswith(told)
    assert not [line for line in tls.get("key", "").splitlines() if line in fault]


def test_tls_means_nothing_without_https():
    assert _faults({"ca": ROOT.pem}, "http://crm.example") == ["tls: means nothing without https"]

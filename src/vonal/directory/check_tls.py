"""Whether a webhook's certificates and key can be used. Pure."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from vonal.directory.structure import Fault
from vonal.domain.directory import Tls

EXPIRED = "has expired"
_UNREADABLE = (ValueError, UnsupportedAlgorithm)


def faults(tls: Tls, url: str, now: datetime) -> Iterator[Fault]:
    """(field, reason) of each; the field is empty when it is all of it. `now` has its time zone."""
    if url.partition(":")[0].lower() != "https":
        yield "", "means nothing without https"
    for field, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, field) is None and getattr(tls, other) is not None:
            yield field, f"is missing: certificate and key stand together, and here is only the {other}"
    if tls.ca is not None and _certificate(tls.ca) is None:
        yield "ca", "holds no certificate in PEM form"
    certificate = None
    if tls.certificate is not None:
        certificate = _certificate(tls.certificate)
        if certificate is None:
            yield "certificate", "holds no certificate in PEM form"
        elif certificate.not_valid_after_utc < now:
            yield "certificate", f"{EXPIRED}, on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if tls.key is not None and (reason := _key_fault(tls.key, certificate)):
        yield "key", reason


def _certificate(text: str) -> x509.Certificate | None:
    """The first, which is one's own; those of its authorities follow."""
    try:
        return x509.load_pem_x509_certificates(text.encode())[0]
    except _UNREADABLE:
        return None


def _key_fault(text: str, certificate: x509.Certificate | None) -> str | None:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except TypeError:
        return "is protected by a password; give it without one"
    except _UNREADABLE:
        return "holds no private key in PEM form"
    if certificate is None:
        return None
    try:
        theirs = certificate.public_key()
    except _UNREADABLE:
        return "cannot be compared with the certificate, whose kind of key is not known"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    same = key.public_key().public_bytes(*form) == theirs.public_bytes(*form)
    return None if same else "does not belong to the certificate"

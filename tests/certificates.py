"""A certificate authority for tests, what it issues, and servers that ask for it."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Identity:
    """Certificate and key, as PEM texts."""

    certificate: str
    key: str


class Authority:
    """Signs certificates; `pem` is its own."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        usage = x509.KeyUsage(
            key_cert_sign=True, crl_sign=True, digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        built = (
            _builder(self._name, self._name, self._key.public_key(), days=1)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        self.pem = _pem(built.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *, days: int = 1) -> Identity:
        """An identity of this common name, for servers at 127.0.0.1 and ::1 too; `days` may be negative: expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        places = [x509.IPAddress(ipaddress.ip_address(one)) for one in ("127.0.0.1", "::1")]
        built = _builder(_name(name), self._name, key.public_key(), days=days).add_extension(
            x509.SubjectAlternativeName([*places, x509.DNSName("crm.example")]), critical=False
        )
        return Identity(_pem(built.sign(self._key, hashes.SHA256())), pem_of(key))


def self_signed(name: str = "127.0.0.1") -> Identity:
    """An identity that no authority vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = _builder(_name(name), _name(name), key.public_key(), days=1).add_extension(places, critical=False)
    return Identity(_pem(built.sign(key, hashes.SHA256())), pem_of(key))


def server_context(own: Identity, folder: Path, *, clients_of: Authority | None = None) -> ssl.SSLContext:
    """A server's side; with `clients_of` it lets in only those who show a certificate of this authority."""
    path = folder / f"{abs(hash(own))}.pem"
    path.write_text(own.key + own.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if clients_of:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients_of.pem)
    return context


@contextmanager
def judging_server(context: ssl.SSLContext) -> Iterator[int]:
    """The port of a server that says with an alert whom it refuses, as OpenSSL does; asyncio's hangs up instead."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_judge, args=(listening, context), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _judge(listening: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the test is over
        while True:
            raw, _ = listening.accept()
            with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False) as one:
                one.settimeout(10)
                try:
                    one.do_handshake()
                    one.recv(65536)
                    one.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                except ssl.SSLError:
                    socket.socket.shutdown(one, socket.SHUT_WR)
                    while socket.socket.recv(one, 65536):  # so that the alert is not lost in a reset
                        pass


def pem_of(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
    """The key as PEM text."""
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    until = datetime.now(UTC) + timedelta(days=days)
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=until - timedelta(days=30),
        not_valid_after=until,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

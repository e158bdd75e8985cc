"""A small mail server: takes mails by SMTP, with STARTTLS and passwords, and refuses what the test wants refused."""

import asyncio
import ssl
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Mail:
    """One mail as it was taken; `user` who had logged in, `tls` whether nobody could listen."""

    sender: str
    to: list[str]
    message: EmailMessage
    tls: bool
    user: str

    @property
    def text(self) -> str:
        return self.message.get_content()


@dataclass
class MailServer:
    """`refuse`: address → status; `password` makes logging in necessary; `broken` closes each connection at once."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    data_status: int = 250
    quit_status: int = 221
    password: str = ""
    starttls: bool = False
    tls: bool = False
    broken: bool = False
    delay: float = 0.0
    connections: int = 0

    @property
    def url(self) -> str:
        return f"smtp{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if not self.broken:
                await _Conversation(self, reader, writer).run()
        writer.close()


class _Conversation:
    def __init__(self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.tls, self.user, self.sender = server.tls, "", ""
        self.to: list[str] = []

    async def say(self, status: int, *lines: str) -> None:
        lines = lines or ("well",)
        for place, line in enumerate(lines):
            self.writer.write(f"{status}{' ' if place == len(lines) - 1 else '-'}{line}\r\n".encode())
        await self.writer.drain()

    async def run(self) -> None:
        await self.say(220)
        while line := (await self.reader.readline()).decode().strip():
            command, _, rest = line.partition(" ")
            await getattr(self, f"do_{command.lower()}")(rest)
            if command.upper() == "QUIT":
                return

    async def do_ehlo(self, _: str) -> None:
        more = [*(["STARTTLS"] if self.server.starttls and not self.tls else []), "AUTH PLAIN"]
        await self.say(250, "here", *more)

    async def do_starttls(self, _: str) -> None:
        await self.say(220)
        await self.writer.start_tls(certificate())
        self.tls = True

    async def do_auth(self, rest: str) -> None:
        _, user, password = b64decode(rest.partition(" ")[2]).decode().split("\0")
        self.user = user if password == self.server.password else ""
        await self.say(235 if self.user else 535)

    async def do_noop(self, _: str) -> None:
        await self.say(250)

    async def do_rset(self, _: str) -> None:
        await self.say(250)

    async def do_mail(self, rest: str) -> None:
        self.sender, self.to = rest.partition("<")[2].partition(">")[0], []
        await self.say(530 if self.server.password and not self.user else 250)

    async def do_rcpt(self, rest: str) -> None:
        address = rest.partition("<")[2].partition(">")[0]
        status = self.server.refuse.get(address, 250)
        self.to += [address] if status == 250 else []
        await self.say(status)

    async def do_data(self, _: str) -> None:
        await self.say(354)
        content = await self.reader.readuntil(b"\r\n.\r\n")
        await asyncio.sleep(self.server.delay)
        if self.server.data_status == 250:
            message = message_from_bytes(content[:-5].replace(b"\r\n..", b"\r\n."), policy=policy.default)
            self.server.mails.append(Mail(self.sender, self.to, message, self.tls, self.user))
        await self.say(self.server.data_status)

    async def do_quit(self, _: str) -> None:
        await self.say(self.server.quit_status)


@asynccontextmanager
async def mailing(**how: object) -> AsyncIterator[MailServer]:
    """A mail server on a free port."""
    server = MailServer(**how)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=certificate() if server.tls else None)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


@cache
def certificate() -> ssl.SSLContext:
    """A makeshift one, as a small office's server has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    pem = made.sign(key, SHA256()).public_bytes(Encoding.PEM)
    pem += key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(pem)
        context.load_cert_chain(file.name)
    return context

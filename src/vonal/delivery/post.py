"""Sends mails through the operator's server (VONAL_MAIL_URL). Blocks: not for an event loop's thread."""

import ipaddress
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Self
from urllib.parse import unquote, urlsplit

from vonal.config import SettingsError

SECONDS = 10.0  # for each step of the conversation
PORTS = {"smtp": 587, "smtps": 465}


class NotAccepted(Exception):
    """The server is well, but takes no mail to these addresses, or not this mail; says why."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """One mail server. With a password, mail goes over TLS only, unless the server is on this machine."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    sender: str

    @classmethod
    def of(cls, url: str, sender: str) -> Self:
        """From VONAL_MAIL_URL and VONAL_MAIL_FROM; raises SettingsError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        except (KeyError, ValueError):
            host, port = "", 0
        if not host:
            raise SettingsError("VONAL_MAIL_URL: expected smtp://USER:PASSWORD@HOST:PORT or smtps://…")
        if sender.count("@") != 1 or not sender.isascii() or not sender.isprintable() or set(sender) & set(" <>,;"):
            raise SettingsError(f"VONAL_MAIL_FROM={sender!r}: expected a mail address, such as vonal@example.com")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii():
            raise SettingsError("VONAL_MAIL_URL: user and password may hold ASCII characters only")
        return cls(scheme=parts.scheme, host=host, port=port, user=user, password=password, sender=sender)

    def send(self, message: EmailMessage) -> dict[str, int]:
        """Hands the mail over; the addresses that were refused while others were taken, with the server's status.

        Raises NotAccepted, and OSError (of which smtplib's errors are kinds) when the server cannot be used.
        """
        with self._opened() as server:
            try:
                refused = server.send_message(message)
            except smtplib.SMTPRecipientsRefused as fault:
                raise NotAccepted(f"all addresses were refused: {_statuses(fault.recipients)}") from fault
            except smtplib.SMTPDataError as fault:
                raise NotAccepted(f"the mail was refused: {fault.smtp_code}") from fault
        return {address: status for address, (status, _) in refused.items()}

    def check(self) -> str:
        """Reaches the server and logs in, and sends nothing; how it went, in words. Raises OSError."""
        with self._opened() as server:
            server.noop()
            secure = "over TLS" if isinstance(server.sock, ssl.SSLSocket) else "without TLS"
        return f"{self.host}:{self.port} answers {secure}" + (", and lets us in" if self.user else "")

    def message(self, to: Sequence[str], subject: str, text: str, *, number: str) -> EmailMessage:
        """A mail; `number` is the same whenever it is sent again, so that mail programs can tell."""
        made = EmailMessage()
        made["Subject"], made["From"], made["To"] = subject, self.sender, ", ".join(to)
        made["Date"] = formatdate()
        made["Message-ID"] = f"<{number}@{self.sender.rpartition('@')[2]}>"
        made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers to this
        made.set_content(text)
        return made

    @contextmanager
    def _opened(self) -> Iterator[smtplib.SMTP]:
        server = self._connected()
        try:
            self._greet(server)
            yield server
            with suppress(OSError):  # whatever it answers to our farewell, it has taken the mail
                server.quit()
        finally:
            server.close()

    def _connected(self) -> smtplib.SMTP:
        if self.scheme == "smtps":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=self._tls())
        return smtplib.SMTP(self.host, self.port, timeout=SECONDS)

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._is_here:  # nobody stands in between, and such servers often have a makeshift certificate
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _greet(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if self.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=self._tls())
            server.ehlo()
        elif self.scheme == "smtp" and self.user and not self._is_here:
            raise smtplib.SMTPNotSupportedError("the server offers no STARTTLS, so the password is not sent to it")
        if self.user:
            server.login(self.user, self.password)

    @property
    def _is_here(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def said(fault: OSError) -> str:
    """The fault in words, which hold no password."""
    if isinstance(fault, smtplib.SMTPAuthenticationError):
        return f"the server does not accept user and password ({fault.smtp_code})"
    if isinstance(fault, smtplib.SMTPResponseException):
        return f"the server answers {fault.smtp_code}"
    return str(fault)[:200] or type(fault).__name__


def _statuses(recipients: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(sorted({str(status) for status, _ in recipients.values()}))

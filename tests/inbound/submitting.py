"""The submission port in tests: a listener, and a mail program that has greeted it in TLS."""

import base64
from email.message import EmailMessage
from pathlib import Path

from apps.inbound.limits import Limits
from apps.inbound.submission import SubmissionDesk
from tests.inbound.certificate import anybody, certificates_in, encrypt
from tests.inbound.listening import Listening
from tests.inbound.wire import RawClient


def listen_for_submissions(folder: Path, **limits: object) -> Listening:
    """As the receive process does, with a certificate of its own in `folder`."""
    bounds = Limits(**limits)  # type: ignore[arg-type]
    return Listening(bounds, certificates_in(folder), SubmissionDesk(bounds), requires_tls=True)


class MailProgram(RawClient):
    """In TLS and greeted; `signs_in` says who it is."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        assert self.asks(b"STARTTLS").startswith("220")
        encrypt(self, anybody())
        self.greeting = self.asks(b"EHLO laptop.example")

    def signs_in(self, username: str, secret: str) -> str:
        return self.asks(b"AUTH PLAIN " + plain(username, secret))


def plain(username: str, secret: str, authzid: str = "") -> bytes:
    return base64.b64encode(f"{authzid}\0{username}\0{secret}".encode())


def mail(
    subject: str = "Your invoice",
    sender: str = "House Support <support@house.test>",
    to: str = "Elena <elena@customer.example>",
    **headers: str,
) -> EmailMessage:
    """What a program makes with Python's own library."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Hello Elena,\nit is mended.\n")
    return message

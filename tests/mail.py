"""Raw mails for tests, written by hand so that each test shows what it sends."""

from collections.abc import Mapping


def raw_mail(
    *,
    sender: str = "Elena Marsh <elena@customer.example>",
    to: str = "support@house.test",
    subject: str = "Invoice 20931 charged twice",
    text: str = "Hello,\r\nour card was charged twice.\r\n",
    message_id: str = "first@customer.example",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """One plain-text mail with CRLF line ends. `headers` are added as they are."""
    lines = [
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Message-ID: <{message_id}>",
        "Date: Mon, 02 Mar 2026 10:00:00 +0100",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()

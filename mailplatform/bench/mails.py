"""The mails of a load: numbered, of one size, and no two alike, since a listener may recognise a repetition."""

import re
import secrets
from dataclasses import dataclass, field
from email.utils import formatdate

_LINE = b"The parcel we ordered has not come, and its tracking page says nothing.\r\n"
_SIZES = {4: "4 KB", 60: "60 KB"}


def size_title(kilobytes: int) -> str:
    return _SIZES.get(kilobytes, f"{kilobytes} KB")


@dataclass(frozen=True, slots=True)
class Mails:
    """`size_bytes` is the whole of a mail, its headers included. `token` makes the mails of this load unlike others."""

    size_bytes: int
    sender: str
    recipient: str
    token: str = field(default_factory=lambda: secrets.token_hex(6))

    def subject(self, number: int) -> str:
        return f"Parcel {self.token}-{number:06}"

    def build(self, number: int) -> bytes:
        """A mail ready for DATA: CRLF line ends, no line that begins with a dot, without the end of data."""
        head = (
            f"From: A customer <{self.sender}>\r\n"
            f"To: <{self.recipient}>\r\n"
            f"Subject: {self.subject(number)}\r\n"
            f"Date: {formatdate()}\r\n"
            f"Message-ID: <{self.token}.{number}@bench.invalid>\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=us-ascii\r\n"
            "\r\n"
        ).encode("ascii")
        return head + self.body(self.size_bytes - len(head))

    def body(self, size_bytes: int) -> bytes:
        """Exactly so many bytes of text, in lines."""
        lines, rest = divmod(size_bytes, len(_LINE))
        return _LINE * lines + (_LINE[-rest:] if rest else b"")

    def numbers_in(self, text: str) -> set[int]:
        """Which mails of this load a list shows, by their subjects."""
        return {int(number) for number in re.findall(rf"Parcel {self.token}-(\d{{6}})", text)}

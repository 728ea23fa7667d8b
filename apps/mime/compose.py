"""Write a message: a composition in, bytes out that every mail server carries unchanged.

Seven-bit (unless an address is not: RFC 6532), CRLF only, no line over 998 octets (76 aimed at), so that no relay needs
to re-encode and break a signature. The same composition gives the same bytes: a retry is the same message. Bcc is no
field of a composition, so it cannot leak. Every value that comes from a person is checked for line ends before it is
written.

    multipart/mixed                  when there are attachments
      multipart/alternative          when there is HTML, or an answer to an invitation
        text/plain
        multipart/related            when the HTML shows images of its own
          text/html
          image/… with a Content-ID
        text/calendar                RFC 6047 §2.4
      application/…
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from apps.mime.address import Address
from apps.mime.clean import clean_filename, clean_text
from apps.mime.folding import (
    MAX_CHARS,
    InvalidHeader,
    check_value,
    fold_addresses,
    fold_text,
    fold_tokens,
    parameter,
)
from apps.mime.html import sanitise_html
from apps.mime.own_headers import why_refused
from apps.mime.text import html_to_text

__all__ = [
    "CalendarPart",
    "Composition",
    "InvalidHeader",
    "OutgoingAttachment",
    "Unsubscribe",
    "compose",
    "make_message_id",
]

_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,63}")
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
# No comma: many readers split the field at every one, brackets or not.
_URI = re.compile(r"[!-+\--;=?-~]{1,900}")
MAX_VALUE_CHARS = 20 * MAX_CHARS


@dataclass(frozen=True, slots=True)
class OutgoingAttachment:
    """A file to send. With a `content_id` (no brackets) it is an image that the HTML shows as `cid:…`."""

    filename: str
    content_type: str
    data: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """How to leave a list: by a POST to `url` (https; RFC 8058) and by a mail to `mailto`, one of them or both."""

    url: str = ""
    mailto: str = ""


@dataclass(frozen=True, slots=True)
class CalendarPart:
    """An iCalendar object and what it wants (RFC 5546 §1.4), such as REPLY."""

    method: str
    text: str


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything a message is made of. Ids stand without brackets; `html` is sanitised already, "" for none."""

    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    text: str
    html: str
    message_id: str
    date: datetime
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[OutgoingAttachment, ...] = ()
    auto_submitted: str = ""
    unsubscribe: "Unsubscribe | None" = None
    calendar: "CalendarPart | None" = None


def make_message_id(domain: str, unique: str) -> str:
    """A Message-ID (RFC 5322 §3.6.4) without its brackets. `unique` must be that; both must be plain ASCII."""
    message_id = f"{unique}@{domain}"
    return _checked_id("Message-ID", message_id)


def compose(composition: Composition) -> bytes:
    """The message as bytes. Raises InvalidHeader(field, reason) for what must not stand in a header."""
    body = _Writer(composition).entity()
    return b"".join([_headers(composition).encode(), b"MIME-Version: 1.0\r\n", body])


def _headers(composition: Composition) -> str:
    c = composition
    if c.date.tzinfo is None:
        raise InvalidHeader("Date", "a date needs its time zone")
    out = [fold_tokens("Date", [format_datetime(c.date)]), fold_addresses("From", [c.sender])]
    out += [
        fold_addresses(name, given)
        for name, given in (("Reply-To", c.reply_to), ("To", c.to), ("Cc", c.cc))
        if given
    ]
    if not (c.to or c.cc):
        # Some servers refuse mail without any recipient field; an empty group names nobody (RFC 5322 §3.6.3).
        out.append("To: undisclosed-recipients:;\r\n")
    out.append(fold_text("Subject", c.subject))
    out.append(fold_tokens("Message-ID", [f"<{_checked_id('Message-ID', c.message_id)}>"]))
    for name, ids in (
        ("In-Reply-To", (c.in_reply_to,) if c.in_reply_to else ()),
        ("References", c.references),
    ):
        writable = [f"<{each}>" for each in ids if _can_be_referred_to(name, each)]
        out += [fold_tokens(name, writable)] if writable else []
    if c.auto_submitted:
        out.append(fold_tokens("Auto-Submitted", [check_value("Auto-Submitted", c.auto_submitted)]))
    out += _unsubscribe(c.unsubscribe) if c.unsubscribe else []
    return "".join([*out, *(_custom_header(name, value) for name, value in c.headers)])


def _unsubscribe(way: Unsubscribe) -> list[str]:
    """RFC 2369 §3.2: URIs in brackets, best one first. RFC 8058 §3.1: the second field only beside an https URI."""
    uris = [*([way.url] if way.url else []), *([f"mailto:{way.mailto}"] if way.mailto else [])]
    for uri in uris:
        if not _URI.fullmatch(check_value("List-Unsubscribe", uri)):
            raise InvalidHeader(
                "List-Unsubscribe", "an address here has visible ASCII and neither brackets nor commas"
            )
    if not uris:
        raise InvalidHeader("List-Unsubscribe", "it needs a URL or a mail address")
    tokens = [*(f"<{uri}>," for uri in uris[:-1]), f"<{uris[-1]}>"]
    fields = [fold_tokens("List-Unsubscribe", tokens)]
    if way.url.lower().startswith("https://"):
        fields.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
    return fields


def _custom_header(name: str, value: str) -> str:
    why = why_refused(name)
    if why:
        raise InvalidHeader(name[:80], why)
    if len(check_value(name, value)) > MAX_VALUE_CHARS:
        raise InvalidHeader(name, f"a value has at most {MAX_VALUE_CHARS:,} characters")
    if value.isascii() and "=?" not in value:
        # Structured fields such as List-Unsubscribe must keep their bytes, so no encoded words here.
        return fold_tokens(name, value.split())
    return fold_text(name, value)


def _checked_id(field: str, message_id: str) -> str:
    if not _MESSAGE_ID.fullmatch(message_id) or "@" not in message_id:
        raise InvalidHeader(field, "not a message id: one word of ASCII with an @, at most 900 characters")
    return message_id


def _can_be_referred_to(field: str, message_id: str) -> bool:
    """False for an id that cannot be written; it came from another program, and must not stop our answer to it."""
    return _MESSAGE_ID.fullmatch(check_value(field, message_id)) is not None


class _Writer:
    """Write the MIME entities of one composition. Each entity is bytes: its Content- headers, a blank line, a body."""

    def __init__(self, composition: Composition) -> None:
        self.composition = composition
        self.levels = 0

    def entity(self) -> bytes:
        files = [each for each in self.composition.attachments if not self._is_shown(each)]
        body = self._readable()
        if not files:
            return body
        return self._multipart("mixed", [body, *(_attachment(each) for each in files)])

    def _is_shown(self, attachment: OutgoingAttachment) -> bool:
        return bool(attachment.content_id and self.composition.html)

    def _readable(self) -> bytes:
        c = self.composition
        calendars = [_calendar(c.calendar)] if c.calendar else []
        if not c.html:
            words = _text("plain", c.text)
            return self._multipart("alternative", [words, *calendars]) if calendars else words
        plain = c.text if c.text.strip() else html_to_text(sanitise_html(c.html))
        shown = [each for each in c.attachments if self._is_shown(each)]
        html = _text("html", c.html)
        if shown:
            html = self._multipart(
                "related", [html, *(_attachment(each) for each in shown)], 'type="text/html"'
            )
        return self._multipart("alternative", [_text("plain", plain), html, *calendars])

    def _multipart(self, kind: str, entities: list[bytes], *parameters: str) -> bytes:
        self.levels += 1
        # RFC 2046 §5.1.1: a boundary may not occur in the parts. "=_" never occurs in quoted-printable or
        # base64, and the digest keeps it out of seven-bit text that quotes another message of ours.
        digest = hashlib.sha256(b"".join([self.composition.message_id.encode(), *entities])).hexdigest()[:32]
        boundary = f"=_{self.levels}_{digest}"
        tokens = [f"multipart/{kind};", *(f"{each};" for each in parameters), f'boundary="{boundary}"']
        head = fold_tokens("Content-Type", tokens)
        delimiter = f"--{boundary}".encode()
        out = [head.encode("ascii"), b"\r\n"]
        for entity in entities:
            out += [delimiter, b"\r\n", entity, b"\r\n"]
        return b"".join([*out, delimiter, b"--\r\n"])


def _text(subtype: str, text: str) -> bytes:
    """A text entity: seven-bit where it already is, else whichever of quoted-printable and base64 is shorter."""
    lines = clean_text(text.replace("\r\n", "\n").replace("\r", "\n")).rstrip("\n") + "\n"
    data = lines.encode("utf-8")
    if _is_seven_bit(data):
        head = f"Content-Type: text/{subtype}; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        return head.encode() + data.replace(b"\n", b"\r\n")
    quoted = _quoted_printable(data)
    # Latin scripts stay legible in the source; of others, base64 is the shorter.
    if len(quoted) <= len(data) * 5 // 3:
        encoding, body = "quoted-printable", quoted
    else:
        encoding, body = "base64", _base64(data.replace(b"\n", b"\r\n"))
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def _calendar(calendar: CalendarPart) -> bytes:
    """RFC 6047 §2.4: the method stands in the type, too, and is the same."""
    if not re.fullmatch(r"[A-Z]{1,20}", calendar.method):
        raise InvalidHeader("Content-Type", "a calendar's method is one word")
    head = f"Content-Type: text/calendar; method={calendar.method}; charset=utf-8\r\n"
    return f"{head}Content-Transfer-Encoding: base64\r\n\r\n".encode() + _base64(calendar.text.encode())


def _is_seven_bit(data: bytes) -> bool:
    """True when the text passes every relay as it is: ASCII, short lines, nothing that a relay or mbox file
    rewrites.
    """
    if not data.isascii():
        return False
    lines = data.split(b"\n")
    return not any(
        len(line) > 78 or line.endswith((b" ", b"\t")) or line.startswith(b"From ") for line in lines
    )


def _quoted_printable(data: bytes) -> bytes:
    encoded = binascii.b2a_qp(data, istext=True, quotetabs=False)
    # "From " at a line's start would gain a ">" in mbox files.
    encoded = re.sub(rb"^From ", b"=46rom ", encoded, flags=re.MULTILINE)
    return encoded.replace(b"\n", b"\r\n")


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _attachment(attachment: OutgoingAttachment) -> bytes:
    content_type = attachment.content_type.partition(";")[0].strip().lower()
    if not _MEDIA_TYPE.fullmatch(content_type) or content_type.startswith("multipart/"):
        content_type = "application/octet-stream"
    data = attachment.data
    if content_type.startswith("message/"):
        # RFC 2046 §5.2.1: a message within a message may not be base64. One that is not clean goes as a file.
        if content_type == "message/rfc822" and _is_clean_message(data):
            return _attachment_head(attachment, content_type, "7bit") + data
        content_type = "application/octet-stream"
    return _attachment_head(attachment, content_type, "base64") + _base64(data)


def _is_clean_message(data: bytes) -> bool:
    whole = data.replace(b"\r\n", b"")
    return (
        data.isascii() and b"\r" not in whole and b"\n" not in whole and b"\0" not in whole
        and all(len(line) <= MAX_CHARS for line in data.split(b"\r\n"))
    )  # fmt: skip


def _attachment_head(attachment: OutgoingAttachment, content_type: str, encoding: str) -> bytes:
    check_value("Content-Disposition", attachment.filename)
    name = clean_filename(attachment.filename) or "attachment"
    disposition = "inline" if attachment.content_id else "attachment"
    given = parameter("filename", name)
    tokens = [f"{disposition};", *(f"{each};" for each in given[:-1]), given[-1]]
    head = [fold_tokens("Content-Type", [content_type]), fold_tokens("Content-Disposition", tokens)]
    if attachment.content_id:
        content_id = attachment.content_id
        if not re.fullmatch(r"[!-;=?-~]{1,200}", content_id):
            raise InvalidHeader("Content-ID", "a content id is one word of ASCII without brackets")
        head.append(fold_tokens("Content-ID", [f"<{content_id}>"]))
    return "".join([*head, f"Content-Transfer-Encoding: {encoding}\r\n\r\n"]).encode("ascii")

"""Look into winmail.dat: what Outlook and Exchange wrap a message in when they take the recipient for one of theirs.

MS-OXTNEF: a signature, then attributes, each with its level, name, length and checksum; attributes hold lists of MAPI
properties (§2.1.3). Read are the body in its three forms, the kind of message, and the attachments, messages within
the message among them. All else stays in the file, which is kept.

Linear in the bytes, bounded in attributes and properties, and never raises: a damaged file gives what stands before the
damage.

Limits: checksums are not looked at, because files that lack a byte are worth reading too; OLE objects and links to
files stay in the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from apps.mime.charset import decode_text
from apps.mime.clean import clean_text
from apps.mime.rtf import decompress_rtf, read_rtf

SIGNATURE = 0x223E9F78
MAX_ATTACHMENTS = 500
MAX_ATTRIBUTES = 20_000
MAX_PROPERTIES = 2_000
_MAX_STRING_BYTES = 64 * 1024

_HEAD = struct.Struct("<IH")
_ATTRIBUTE = struct.Struct("<BHHI")
_U32 = struct.Struct("<I")
_PROPERTY = struct.Struct("<HH")

# MS-OXTNEF §2.1.3.3
_MESSAGE_CLASS, _BODY, _ATTACH_DATA, _ATTACH_TITLE = 0x8008, 0x800C, 0x800F, 0x8010
_ATTACH_REND_DATA, _MESSAGE_PROPERTIES, _ATTACHMENT, _OEM_CODEPAGE = 0x9002, 0x9003, 0x9005, 0x9007
_ON_ATTACHMENT = 2
# MS-OXPROPS
_PR_MESSAGE_CLASS, _PR_BODY, _PR_RTF_COMPRESSED, _PR_BODY_HTML = 0x001A, 0x1000, 0x1009, 0x1013
_PR_DISPLAY_NAME, _PR_ATTACH_DATA, _PR_ATTACH_FILENAME, _PR_ATTACH_LONG_FILENAME = (
    0x3001,
    0x3701,
    0x3704,
    0x3707,
)
_PR_ATTACH_MIME_TAG, _PR_ATTACH_CONTENT_ID, _PR_INTERNET_CPID = 0x370E, 0x3712, 0x3FDE

_STRING8, _UNICODE, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_LONG = 0x0003
_MANY = 0x1000
# Two-byte values take four (MS-OXTNEF §2.1.3.4).
_FIXED_BYTES = {
    0x0001: 0, 0x0002: 4, 0x0003: 4, 0x0004: 4, 0x0005: 8, 0x0006: 8, 0x0007: 8, 0x000A: 4, 0x000B: 4, 0x0014: 8,
    0x0040: 8, 0x0048: 16,
}  # fmt: skip
_IID_IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")
_CODEPAGES = {65001: "utf-8", 65000: "utf-7", 20127: "us-ascii", 28591: "iso-8859-1", 28592: "iso-8859-2"}


@dataclass(slots=True)
class TnefAttachment:
    """One file in a winmail.dat. `is_message`: its data is the TNEF of a message again."""

    filename: str = ""
    content_type: str = ""
    content_id: str = ""
    data: bytes = b""
    is_message: bool = False
    display_name: str = ""


@dataclass(slots=True)
class Tnef:
    """What a winmail.dat holds. `damaged`: it could not be read to its end."""

    message_class: str = ""
    text: str = ""
    html: str = ""
    attachments: list[TnefAttachment] = field(default_factory=list)
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class _Property:
    """`value` is the first one of several. A number stands in `number`."""

    name: int
    type: int
    value: memoryview


class _Damaged(Exception):
    """A length points beyond the end."""


def is_tnef(data: bytes) -> bool:
    """Whether bytes begin as a winmail.dat does, whatever they are called."""
    return len(data) >= _HEAD.size and _U32.unpack_from(data)[0] == SIGNATURE


def read_tnef(data: bytes) -> Tnef:
    """Take a winmail.dat apart. Never raises."""
    reader = _Reader(memoryview(data))
    try:
        reader.read()
    except (_Damaged, struct.error):
        reader.found.damaged = True
    return reader.finish()


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.found = Tnef()
        self.charset = ""
        self.html_charset = ""
        self.html = b""
        self.rtf = b""

    def read(self) -> None:
        if not is_tnef(bytes(self.data[:6])):
            raise _Damaged
        position = _HEAD.size
        for _attribute in range(MAX_ATTRIBUTES):
            if position + _ATTRIBUTE.size > len(self.data):
                return
            level, name, _type, length = _ATTRIBUTE.unpack_from(self.data, position)
            position += _ATTRIBUTE.size
            value = self.data[position : position + length]
            if level == _ON_ATTACHMENT:
                self._on_attachment(name, value)
            else:
                self._on_message(name, value)
            if length > len(self.data) - position:
                raise _Damaged
            position += length + 2  # its checksum

    def _on_message(self, name: int, value: memoryview) -> None:
        if name == _OEM_CODEPAGE and len(value) >= 4:
            self.charset = _charset(_U32.unpack_from(value)[0])
        elif name == _MESSAGE_CLASS:
            self.found.message_class = self._string(value)
        elif name == _BODY:
            self.found.text = self._string(value, whole=True)
        elif name == _MESSAGE_PROPERTIES:
            for one in _properties(value):
                self._on_message_property(one)

    def _on_message_property(self, one: _Property) -> None:
        if one.name == _PR_MESSAGE_CLASS:
            self.found.message_class = self._text_of(one)
        elif one.name == _PR_BODY and one.type in {_STRING8, _UNICODE}:
            self.found.text = self._text_of(one, whole=True)
        elif one.name == _PR_BODY_HTML:
            if one.type == _UNICODE:
                self.html, self.html_charset = self._text_of(one, whole=True).encode(), "utf-8"
            else:
                self.html = bytes(one.value)
        elif one.name == _PR_RTF_COMPRESSED:
            self.rtf = bytes(one.value)
        elif one.name == _PR_INTERNET_CPID and one.type == _LONG:
            self.html_charset = self.html_charset or _charset(_U32.unpack(one.value)[0])

    def _on_attachment(self, name: int, value: memoryview) -> None:
        if name == _ATTACH_REND_DATA:  # §2.1.3.2: it comes first and begins one
            if len(self.found.attachments) >= MAX_ATTACHMENTS:
                raise _Damaged
            self.found.attachments.append(TnefAttachment())
            return
        if not self.found.attachments:
            return
        attachment = self.found.attachments[-1]
        if name == _ATTACH_TITLE:
            attachment.filename = attachment.filename or self._string(value)
        elif name == _ATTACH_DATA:
            attachment.data = bytes(value)
        elif name == _ATTACHMENT:
            for one in _properties(value):
                self._on_attachment_property(attachment, one)

    def _on_attachment_property(self, attachment: TnefAttachment, one: _Property) -> None:
        if one.name == _PR_ATTACH_LONG_FILENAME:
            attachment.filename = self._text_of(one) or attachment.filename
        elif one.name == _PR_ATTACH_FILENAME:
            attachment.filename = attachment.filename or self._text_of(one)
        elif one.name == _PR_DISPLAY_NAME:
            attachment.display_name = self._text_of(one)
        elif one.name == _PR_ATTACH_MIME_TAG:
            attachment.content_type = self._text_of(one).strip().lower()
        elif one.name == _PR_ATTACH_CONTENT_ID:
            attachment.content_id = self._text_of(one).strip("<> ")
        elif one.name == _PR_ATTACH_DATA and one.type == _BINARY:
            attachment.data = bytes(one.value)
        elif one.name == _PR_ATTACH_DATA and one.value[:16] == _IID_IMESSAGE:
            attachment.data, attachment.is_message = bytes(one.value[16:]), True

    def finish(self) -> Tnef:
        """The bodies last: what charset they are in may stand after them."""
        if self.html:
            self.found.html = clean_text(decode_text(self.html, self.html_charset)[0]).rstrip("\x00")
        elif self.rtf:
            text, html = read_rtf(decompress_rtf(self.rtf))
            self.found.html = html
            self.found.text = self.found.text or text
        for attachment in self.found.attachments:
            if not attachment.filename and attachment.is_message:
                attachment.filename = f"{attachment.display_name or 'message'}.dat"
            attachment.filename = attachment.filename or attachment.display_name
        return self.found

    def _text_of(self, one: _Property, *, whole: bool = False) -> str:
        if one.type == _UNICODE:
            data = bytes(one.value if whole else one.value[:_MAX_STRING_BYTES])
            return clean_text(data.decode("utf-16-le", "replace")).rstrip("\x00")
        return self._string(one.value, whole=whole)

    def _string(self, value: memoryview, *, whole: bool = False) -> str:
        data = bytes(value if whole else value[:_MAX_STRING_BYTES]).partition(b"\x00")[0]
        return clean_text(decode_text(data, self.charset)[0])


def _properties(data: memoryview) -> Iterator[_Property]:
    """The MAPI properties of an attribute (§2.1.3.4). Raises struct.error or _Damaged at the first that is none."""
    (count,) = _U32.unpack_from(data)
    position = 4
    for _number in range(min(count, MAX_PROPERTIES)):
        kind, name = _PROPERTY.unpack_from(data, position)
        position += _PROPERTY.size
        if name >= 0x8000:
            position = _after_name(data, position)
        kind, many = kind & ~_MANY, bool(kind & _MANY)
        values = 1
        if many or kind in {_STRING8, _UNICODE, _OBJECT, _BINARY}:
            (values,) = _U32.unpack_from(data, position)
            position += 4
        first: memoryview | None = None
        for _value in range(min(values, MAX_PROPERTIES)):
            size, position = _size_of(kind, data, position)
            if position + size > len(data):
                raise _Damaged
            first = data[position : position + size] if first is None else first
            position += size + -size % 4
        yield _Property(name, kind, first if first is not None else data[:0])


def _size_of(kind: int, data: memoryview, position: int) -> tuple[int, int]:
    """(a value's size, where it begins)."""
    if kind in _FIXED_BYTES:
        return _FIXED_BYTES[kind], position
    if kind in {_STRING8, _UNICODE, _OBJECT, _BINARY}:
        return _U32.unpack_from(data, position)[0], position + 4
    raise _Damaged


def _after_name(data: memoryview, position: int) -> int:
    """Behind the GUID and the number or name of a named property."""
    (is_string,) = _U32.unpack_from(data, position + 16)
    (length,) = _U32.unpack_from(data, position + 20)
    return position + 24 + ((length + -length % 4) if is_string else 0)


def _charset(codepage: int) -> str:
    return _CODEPAGES.get(codepage, f"cp{codepage}")

"""Write header fields: folded at 76 characters where possible, never past 998, in ASCII whatever the text is, but for
an address that is not (RFC 6532).

Fields of ids and addresses fold only at whitespace between them and never become encoded words, which the
standard library's folding gets wrong (cpython gh-79986, gh-80222, gh-121284); nothing a caller gives can
end a line (gh-121650).
"""

import re
from collections.abc import Iterable

from apps.mime.address import Address
from apps.mime.words import encode_words

AIM_CHARS = 76
MAX_CHARS = 998  # RFC 5322 §2.1.1

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_EXTENDED_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`|~")


class InvalidHeader(ValueError):
    """A header that must not be written; `field` names it, `reason` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def check_value(field: str, value: str) -> str:
    """The value, when no character in it can end the line or break the header. Raises InvalidHeader."""
    if _CONTROL.search(value):
        raise InvalidHeader(field, "line ends and control characters are not allowed")
    return value


def fold_tokens(field: str, tokens: Iterable[str], *, utf8: bool = False) -> str:
    """`Field: token token …`, folded between tokens only. Raises InvalidHeader for a token that fits no line.

    With `utf8` a token may hold what RFC 6532 §3.2 allows, and the message then needs SMTPUTF8 on its way.
    """
    lines: list[str] = []
    line = f"{field}:"
    for token in tokens:
        piece = f" {token}"
        if len(line) + len(piece) > AIM_CHARS and (
            lines or line != f"{field}:" or len(piece) > MAX_CHARS - 40
        ):
            lines.append(line)
            line = piece
        else:
            line += piece
        if len(line) > MAX_CHARS:
            raise InvalidHeader(field, f"a part of it is longer than a line may be ({MAX_CHARS})")
    folded = "\r\n".join([*lines, line]) + "\r\n"
    if not utf8 and not folded.isascii():
        raise InvalidHeader(field, "only ASCII may stand here")
    return folded


def fold_text(field: str, text: str) -> str:
    """An unstructured field (RFC 5322 §2.2.1): ASCII as it is, anything else in encoded words."""
    check_value(field, text)
    words = text.split(" ")
    # A line must fold before a word and may not consist of blanks, so odd blanks are kept by encoding the whole.
    plain = (
        text.isascii()
        and "=?" not in text
        and all(words)
        and all(len(word) < MAX_CHARS - 80 for word in words)
    )
    return fold_tokens(field, words if plain else encode_words(text)) if text else f"{field}: \r\n"


def fold_addresses(field: str, addresses: Iterable[Address]) -> str:
    """A list of mailboxes (RFC 5322 §3.4), one never split from its comma.

    A local part beyond ASCII stands as it is, in UTF-8 (RFC 6532 §3.2): encoding it would make another address of it.
    """
    addresses = list(addresses)
    tokens: list[str] = []
    for each in addresses:
        pieces = _mailbox(field, each)
        tokens += [*pieces[:-1], pieces[-1] + ","]
    if tokens:
        tokens[-1] = tokens[-1].removesuffix(",")
    return fold_tokens(field, tokens, utf8=any(not each.address.isascii() for each in addresses))


def _mailbox(field: str, address: Address) -> list[str]:
    check_value(field, address.name)
    check_value(field, address.address)
    if not address.address:
        raise InvalidHeader(field, "an address is missing")
    if any(mark in address.address for mark in "<>, ") and not address.address.startswith('"'):
        raise InvalidHeader(field, "an address may not contain brackets, commas or spaces")
    if not address.name:
        return [address.address]
    return [*_phrase(address.name), f"<{address.address}>"]


def _phrase(name: str) -> list[str]:
    """A display name: atoms, a quoted string, or encoded words (RFC 5322 §3.2.5, RFC 2047 §5 (3))."""
    if not name.isascii() or "=?" in name or "  " in name or name != name.strip():
        return encode_words(name)
    if _PLAIN_PHRASE.fullmatch(name):
        return name.split(" ")
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.split(" ")


def parameter(name: str, value: str) -> list[str]:
    """A MIME parameter as `name="value"`, or in RFC 2231's sections where it is long or not ASCII."""
    if value.isascii() and len(value) <= 60:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{name}="{escaped}"']
    pieces = [chr(byte) if byte in _EXTENDED_SAFE else f"%{byte:02X}" for byte in value.encode()]
    room = AIM_CHARS - len(name) - len("*99*=utf-8'';") - 2
    sections = [""]
    for piece in pieces:
        if len(sections[-1]) + len(piece) > room:
            sections.append("")
        sections[-1] += piece
    if len(sections) == 1:
        return [f"{name}*=utf-8''{sections[0]}"]
    return [
        f"{name}*{number}*={'' if number else 'utf-8' + chr(39) * 2}{section}"
        for number, section in enumerate(sections)
    ]

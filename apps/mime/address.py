"""Addresses: read them out of any header value, and bring them to the one form in which they are compared.

Reading is tolerant and never raises (RFC 5322 §3.4 with everything that mail programs make of it);
`normalise_address` is strict, because it decides who is who (RFC 5321 §4.1.2, RFC 6531 §3.3).
"""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import idna

from apps.mime.clean import clean_line
from apps.mime.words import decode_words

MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_ADDRESS_OCTETS = 254  # RFC 3696 erratum 1690: a path is 256 octets with its brackets
MAX_NAME_CHARS = 250
MAX_HEADER_CHARS = 200_000

_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# The last two ranges reorder what stands around them on a screen (Unicode TR9): no address anybody has contains them.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
# One step of the reader. Every alternative is linear, and an unclosed quote, comment or bracket ends at the
# value's end.
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*+"?)|(?P<angle><[^<>]*+>?)|(?P<open>\()|(?P<separator>[,;])|(?P<colon>:)"""
    r"""|(?P<literal>\[[^\[\]<>,;]*+\]?)|(?P<text>[^"<(,;:\[]++|.)""",
    re.DOTALL,
)


class InvalidAddress(ValueError):
    """An address that no mail system could deliver to; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: its display name, cleaned, and its address.

    The address keeps the local part as written; the domain is lower-cased ASCII (A-labels). Either may be "".
    """

    name: str
    address: str


def normalise_address(address: str) -> str:
    """The form in which addresses are compared: both sides lower-cased, the domain in A-labels.

    RFC 5321 §2.4 lets a host treat local parts as case-sensitive; no mail system people use does, and a
    customer who writes from Anna@ and from anna@ is one customer. Raises InvalidAddress.
    """
    local, domain = _split(address)
    # RFC 5321 §4.1.2: a quoted local part that needs no quotes is the same mailbox as without them.
    if local.startswith('"'):
        bare = _QUOTED_PAIR.sub(r"\1", local[1:-1])
        local = bare if _is_dot_atom(bare) else local
    normal = f"{unicodedata.normalize('NFC', local.lower())}@{domain}"
    if len(normal.encode()) > MAX_ADDRESS_OCTETS:
        raise InvalidAddress(f"an address may have {MAX_ADDRESS_OCTETS} octets at most")
    return normal


def comparable_address(address: str) -> str:
    """`normalise_address` for what is an address; anything else, as strangers and old rows have it, in lower case."""
    try:
        return normalise_address(address)
    except InvalidAddress:
        return address.lower()


def typed_address(name: str, address: str) -> str:
    """An address as a person types it with its name, which stands in quotes where it must (RFC 5322 §3.2.4)."""
    if not name:
        return address
    if any(character in '()<>[]:;@\\,."' for character in name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    return f"{name} <{address}>"


def _split(address: str) -> tuple[str, str]:
    """Check an address and answer (local part as written, normal domain). Raises InvalidAddress."""
    if _FORBIDDEN.search(address):
        raise InvalidAddress("an address may not contain control characters or line ends")
    local, at, domain = address.strip(" ").rpartition("@")
    if not at:
        raise InvalidAddress("an address needs an @")
    if not local:
        raise InvalidAddress("there is nothing before the @")
    if not domain:
        raise InvalidAddress("there is nothing after the @")
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        raise InvalidAddress(f"the part before the @ may have {MAX_LOCAL_OCTETS} octets at most")
    if not (_is_dot_atom(local) or _QUOTED.fullmatch(local)):
        raise InvalidAddress("the part before the @ has a character or a dot where none may stand")
    normal_domain = _normalise_domain(domain)
    if len(local.encode()) + 1 + len(normal_domain) > MAX_ADDRESS_OCTETS:
        raise InvalidAddress(f"an address may have {MAX_ADDRESS_OCTETS} octets at most")
    return local, normal_domain


def _is_dot_atom(local: str) -> bool:
    return all(_ATOM.fullmatch(atom) for atom in local.split("."))


def _normalise_domain(domain: str) -> str:
    if domain.startswith("[") and domain.endswith("]"):
        return _normalise_literal(domain[1:-1])
    if len(domain) > MAX_ADDRESS_OCTETS:
        raise InvalidAddress("the domain is too long")
    name = domain.lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise InvalidAddress(f"{clean_line(domain, 80)!r} is not a domain name") from error
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise InvalidAddress(f"{clean_line(domain, 80)!r} is not a domain name")
    return name


def _normalise_literal(literal: str) -> str:
    """RFC 5321 §4.1.3: `[192.0.2.1]` or `[IPv6:2001:db8::1]`."""
    tagged = literal.lower().startswith("ipv6:")
    try:
        ip = ipaddress.IPv6Address(literal[5:]) if tagged else ipaddress.IPv4Address(literal)
    except ValueError as error:
        raise InvalidAddress("the address literal after the @ holds no IP address") from error
    return f"[IPv6:{ip}]" if tagged else f"[{ip}]"


def parse_addresses(header_value: str, *, limit: int = 1000) -> tuple[Address, ...]:
    """Every address in a header value, in order; groups are flattened and garbage is skipped. Never raises.

    Encoded words are decoded only after the value is taken apart, so that an encoded comma stays within its
    name.
    """
    found: list[Address] = []
    for name, spec in _mailboxes(header_value[:MAX_HEADER_CHARS]):
        address = _tolerant_address(spec)
        if address:
            found.append(Address(clean_line(decode_words(name), MAX_NAME_CHARS).strip(" '\""), address))
            if len(found) >= limit:
                break
    return tuple(found)


def _tolerant_address(spec: str) -> str:
    """An address as a stranger wrote it, made fit to store; "" when it is none."""
    # A blank within quotes is part of the name (RFC 5321 §4.1.2); any other came by folding or by hand.
    compact = spec.strip() if spec.lstrip().startswith('"') else "".join(spec.split())
    # RFC 5322 §4.4: an obsolete source route, `@relay,@relay:user@host`.
    if compact.startswith("@"):
        compact = compact.rpartition(":")[2]
    if compact.lower().startswith("mailto:"):
        compact = compact[7:]
    try:
        local, domain = _split(compact)
    except InvalidAddress:
        # A domain with an underscore or a local part with two dots is wrong, and it is still who wrote to us.
        local, at, domain = clean_line(compact, MAX_ADDRESS_OCTETS).rpartition("@")
        domain = domain.lower()
        if not (at and local and domain) or any(mark in domain for mark in "<>,;:()\"' ") or "@" in local:
            return ""
    return f"{local}@{domain}"


def _mailboxes(value: str) -> Iterator[tuple[str, str]]:
    """Take a header value apart into (raw display name, raw address)."""
    words: list[str] = []
    comments: list[str] = []
    angle = ""
    at_seen = False
    position = 0
    while position < len(value):
        match = _TOKEN.match(value, position)
        if match is None:  # unreachable: the last alternative takes any character
            break
        position = match.end()
        kind, token = match.lastgroup, match.group()
        if kind == "open":
            comment, position = _comment(value, position)
            comments.append(comment)
        elif kind == "separator":
            yield _mailbox(words, comments, angle)
            words, comments, angle, at_seen = [], [], "", False
        elif kind == "colon" and not angle and not at_seen:
            # `Group name:` opens a group, and its name is nobody's; so does what stands before `mailto:` mean nothing.
            words = []
        elif kind == "angle" and not angle:
            angle = token.strip("<>").strip()
        else:
            words.append(token)
            at_seen = at_seen or "@" in token
    yield _mailbox(words, comments, angle)


def _mailbox(words: list[str], comments: list[str], angle: str) -> tuple[str, str]:
    if angle:
        name = "".join(_unquote(word) for word in words).strip() or " ".join(comments)
        return name, angle
    # Without brackets the words are the address, and a comment is the name: `anna@example.org (Anna)`.
    joined = "".join(words).strip()
    if "@" in joined and " " in joined and not joined.startswith('"'):
        # `Anna Berg anna@example.org`, which some programs write: the last word with an @ is the address.
        address = next(word for word in reversed(joined.split()) if "@" in word)
        return " ".join(word for word in joined.split() if word != address), address
    return " ".join(comments), joined


def _unquote(word: str) -> str:
    if not word.startswith('"'):
        return word
    return _QUOTED_PAIR.sub(r"\1", word[1:-1] if word.endswith('"') and len(word) > 1 else word[1:])


def _comment(value: str, position: int) -> tuple[str, int]:
    """Read a comment whose "(" stands just before `position`; comments nest (RFC 5322 §3.2.2)."""
    depth = 1
    start = position
    while position < len(value):
        character = value[position]
        position += 1
        if character == "\\":
            position += 1
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return value[start : position - 1], position
    return value[start:], len(value)

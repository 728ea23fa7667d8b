"""One signature field, DKIM's or ARC's, held against the message (RFC 6376 §6.1).

What is cheap comes first: its tags, the key, the header; the body is hashed only for a signature whose header holds,
and once for all of them. So a stranger who wants us to work must own a key and sign with it.

`l=` is ignored (§8.2): the whole body is hashed, and a signature that covers only its beginning does not hold when
anything follows. SHA-1 and short RSA keys prove nothing (RFC 8301 §3).
"""

import base64
import binascii
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apps.mailauth.canonical import (
    CRLF,
    Field,
    relaxed_body,
    simple_body,
    split_fields,
)
from apps.mailauth.keys import PublicKey, Unproven, find_key
from apps.mailauth.results import FAIL, PERMERROR
from apps.mailauth.tags import TagsInvalid, parse_tags
from apps.names.asking import Names
from apps.names.domains import ascii_domain

# A header beyond this is not looked at for signatures: hashing it for each of them would cost what the sender likes.
MAX_HEADER_BYTES = 512 * 1024


class SignedMessage:
    """A message's bytes, taken apart once for all that looks at its signatures."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        if raw.count(b"\n") != raw.count(CRLF):
            # Signed as it went over the wire; what was kept with bare line ends is read as if it had.
            self._raw = raw.replace(CRLF, b"\n").replace(b"\n", CRLF)
        end = 0 if self._raw.startswith(CRLF) else self._raw.find(CRLF * 2)
        self._header_bytes = len(self._raw) if end < 0 else end
        self.is_too_large = self._header_bytes > MAX_HEADER_BYTES

    @functools.cached_property
    def fields(self) -> list[Field]:
        """The header's, from top to bottom; of one that is too large, those of its beginning."""
        return split_fields(self._raw[: min(self._header_bytes, MAX_HEADER_BYTES)])

    def named(self, *names: str) -> list[Field]:
        return [field for field in self.fields if field.name in names]

    def selected(self, names: Iterable[str]) -> list[Field]:
        """RFC 6376 §5.4.2: of fields with the same name the lowest first; a name that finds none selects nothing."""
        wanted = list(names)
        below: dict[str, list[Field]] = {name: [] for name in wanted}
        for field in self.fields:
            if field.name in below:
                below[field.name].append(field)
        return [below[name].pop() for name in wanted if below[name]]

    @functools.cached_property
    def relaxed_digest(self) -> bytes:
        return hashlib.sha256(relaxed_body(self._body)).digest()

    @functools.cached_property
    def simple_digest(self) -> bytes:
        return hashlib.sha256(simple_body(self._body)).digest()

    @property
    def _body(self) -> bytes:
        blank = 2 if self._header_bytes == 0 else 4
        return self._raw[self._header_bytes + blank :]


@dataclass(frozen=True, slots=True)
class SignatureField:
    """A signature as its field says it is. Domain and selector are fit for a question to DNS."""

    field: Field
    tags: Mapping[str, str]
    domain: str
    selector: str

    @property
    def algorithm(self) -> str:
        return self.tags["a"].lower()

    @property
    def digest(self) -> str:
        """The beginning of b=, by which it is told from others (RFC 6008)."""
        return "".join(self.tags["b"].split())[:8]

    @property
    def names(self) -> list[str]:
        """Of the fields it covers."""
        return [name.strip().lower() for name in self.tags.get("h", "").split(":")]


def read_signature(field: Field, *, needs: Sequence[str]) -> SignatureField:
    """Raises Unproven where it lacks one of `needs` or says what nobody can ask for."""
    try:
        tags = parse_tags(field.value.replace(CRLF, b"").decode("utf-8", "replace"))
    except TagsInvalid as error:
        raise Unproven(PERMERROR, "A signature cannot be read.") from error
    missing = [name for name in ("a", "b", "d", "s", *needs) if not tags.get(name)]
    if missing:
        raise Unproven(PERMERROR, f"A signature lacks its {missing[0]}=.")
    domain, selector = ascii_domain(tags["d"]), ascii_domain(tags["s"])
    if not domain or not selector:
        raise Unproven(PERMERROR, "A signature names no domain that could publish its key.")
    return SignatureField(field, tags, domain, selector)


def usable_key(signature: SignatureField, names: Names) -> PublicKey:
    """The key the signature names, which must be of its kind. Raises Unproven."""
    if signature.algorithm == "rsa-sha1":
        # RFC 8301 §3.1: such a signature has permanently failed.
        raise Unproven(
            FAIL, f"The signature of {signature.domain} uses SHA-1, which proves nothing any more."
        )
    if signature.algorithm not in ("rsa-sha256", "ed25519-sha256"):
        raise Unproven(PERMERROR, f"The signature of {signature.domain} is of a kind that is not known.")
    key = find_key(signature.domain, signature.selector, names)
    if key.algorithm != signature.algorithm:
        raise Unproven(PERMERROR, f"The key of {signature.domain} is of another kind than the signature.")
    return key


def check_message_signature(message: SignedMessage, signature: SignatureField, key: PublicKey) -> None:
    """A signature with `h=` and `bh=` over header and body. Raises Unproven."""
    header_form, _slash, body_form = signature.tags.get("c", "simple/simple").lower().partition("/")
    if header_form not in ("simple", "relaxed") or body_form not in ("", "simple", "relaxed"):
        raise Unproven(PERMERROR, f"The signature of {signature.domain} uses a form that is not known.")
    if not covers_all(message, signature, ["from"]):
        # §5.4 demands the first; a From beyond those that are signed could be added by anybody (§8.15).
        raise Unproven(FAIL, f"There is a From that the signature of {signature.domain} does not cover.")
    covered = message.selected(signature.names)
    check_header(signature, covered, key, is_relaxed=header_form == "relaxed")
    found = message.relaxed_digest if body_form == "relaxed" else message.simple_digest
    if found != _decoded(signature.tags["bh"]):
        cut = "l" in signature.tags
        raise Unproven(
            FAIL,
            f"{signature.domain} signed only the beginning of the text, and more may have been added."
            if cut
            else f"The text was changed after {signature.domain} signed it.",
        )


def covers_all(message: SignedMessage, signature: SignatureField, names: Iterable[str]) -> bool:
    """Whether a signature covers fields of each of these names, and every one there is: one that is added above those
    that are signed is read first (§8.15)."""
    return all(signature.names.count(name) >= max(1, len(message.named(name))) for name in names)


def check_header(
    signature: SignatureField, covered: Iterable[Field], key: PublicKey, *, is_relaxed: bool
) -> None:
    """`covered` in order, and the signature's own field last (§3.7). Raises Unproven."""
    hashed = hashlib.sha256()
    for field in covered:
        hashed.update(field.relaxed() if is_relaxed else field.simple())
    own = _without_value_of_b(signature.field)
    # §3.7: without the CRLF at its end.
    hashed.update((own.relaxed() if is_relaxed else own.simple())[: -len(CRLF)])
    if not key.verifies(hashed.digest(), _decoded(signature.tags["b"])):
        raise Unproven(
            FAIL,
            f"The signature of {signature.domain} is forged, or the mail’s header was changed on the way.",
        )


def _without_value_of_b(field: Field) -> Field:
    """§3.5: b= counts as empty, and all else stays as it is."""
    parts = field.value.split(b";")
    for at, part in enumerate(parts):
        name, equals, _value = part.partition(b"=")
        if equals and name.strip() == b"b":
            parts[at] = name + equals
    return Field(field.name, b";".join(parts), field.written)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise Unproven(PERMERROR, "A signature is no Base64.") from error

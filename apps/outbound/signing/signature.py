"""DKIM signatures over the bytes that go over the line (RFC 6376, RFC 8463).

One pass makes all signatures of a message: the body is canonicalised and hashed once, the signed header fields once;
what differs between an RSA and an Ed25519 signature is a few lines of its own field and the signing itself. dkimpy,
which the tests verify with, does all of it anew for each key and its RSA in Python.

`c=relaxed/relaxed` throughout. Never `l=`: what comes after the counted bytes would be anybody's. `t=` and `x=`: a
signature that never ends lets one bought or stolen copy of a mail be replayed for as long as the key is published, so
it ends after `VALID_FOR`, which is longer than mail servers keep trying (RFC 5321 §4.5.4.1: four to five days).
"""

import base64
import functools
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from apps.mailauth.canonical import Field, relaxed_body, split_message
from apps.outbound.signing.fields import OVERSIGNED
from apps.outbound.signing.keys import Key

VALID_FOR = timedelta(days=7)
LINE_CHARS = 76
_FOLD = "\r\n\t"


def sign(raw: bytes, from_domain: str, keys: Sequence[Key], *, at: datetime) -> bytes:
    """The message with a DKIM-Signature field on top for each key. `raw` has CRLF line ends only.

    `from_domain` in its ASCII form becomes `d=`, and so is aligned with From (RFC 7489 §3.1).
    """
    return signature_fields(raw, from_domain, keys, at=at) + raw


def signature_fields(raw: bytes, from_domain: str, keys: Sequence[Key], *, at: datetime) -> bytes:
    """The DKIM-Signature fields alone, in the order of the keys; nothing for a message without a From."""
    fields, body = split_message(raw)
    if not keys or all(field.name != "from" for field in fields):
        return b""
    names, signed = _signed_header(fields)
    foldable_names = _foldable(names)
    header_hash = hashlib.sha256(signed)
    body_hash = base64.b64encode(hashlib.sha256(relaxed_body(body)).digest()).decode()
    made = int(at.timestamp())
    made_fields = []
    for key in keys:
        unsigned = _unsigned_field(key, from_domain, foldable_names, body_hash, made)
        # §3.7: the field itself is hashed last, in its relaxed form, with an empty b= and without its CRLF.
        digest = header_hash.copy()
        digest.update(b"dkim-signature:" + unsigned.encode())
        signature = base64.b64encode(key.sign_digest(digest.digest())).decode()
        made_fields.append(f"DKIM-Signature: {_folded(unsigned)}{_chunked(signature)}\r\n")
    return "".join(made_fields).encode()


def _signed_header(fields: Sequence[Field]) -> tuple[tuple[str, ...], bytes]:
    """The names for `h=`, and the fields they select.

    §5.4.2: of fields with the same name the lowest is selected first; a name that finds none selects nothing, and
    breaks the signature when such a field is added.
    """
    by_name: dict[str, list[Field]] = {name: [] for name in OVERSIGNED}
    for field in reversed(fields):
        if field.name in by_name:
            by_name[field.name].append(field)
    names = tuple(name for name, found in by_name.items() for _ in range(len(found) + 1))
    return names, b"".join(field.relaxed() for found in by_name.values() for field in found)


def _unsigned_field(key: Key, domain: str, names: str, body_hash: str, made: int) -> str:
    """The field's value with an empty `b=`, in relaxed form: a single space wherever a line may be folded."""
    expires = made + int(VALID_FOR.total_seconds())
    return (
        f"v=1; a={key.algorithm}-sha256; c=relaxed/relaxed; d={domain}; s={key.selector}; "
        f"t={made}; x={expires}; h={names}; bh={body_hash}; b="
    )


@functools.lru_cache(maxsize=256)
def _foldable(names: tuple[str, ...]) -> str:
    """The names of `h=`, with a space where a line may end: §3.5 allows it beside a colon."""
    groups = [""]
    for name in names:
        if len(groups[-1]) + len(name) > LINE_CHARS - 12:
            groups.append("")
        groups[-1] += f"{name}:"
    return " ".join(groups).removesuffix(":")


def _folded(value: str) -> str:
    """Lines of at most `LINE_CHARS` where the words allow it. Relaxed form has made each fold a space again."""
    return _FOLD.join(_lines(value.split(" "), first=len("DKIM-Signature: ")))


def _lines(words: Sequence[str], *, first: int) -> Iterator[str]:
    line, used = words[0], first + len(words[0])
    for word in words[1:]:
        if used + 1 + len(word) > LINE_CHARS:
            yield line
            line, used = word, 8 + len(word)
        else:
            line, used = f"{line} {word}", used + 1 + len(word)
    yield line


def _chunked(signature: str) -> str:
    """§3.5: white space within `b=` is ignored."""
    chunks = [signature[at : at + LINE_CHARS - 8] for at in range(0, len(signature), LINE_CHARS - 8)]
    return _FOLD + _FOLD.join(chunks)

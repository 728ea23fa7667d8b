"""The public keys that domains publish for their signatures (RFC 6376 §3.6, RFC 8301, RFC 8463)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from apps.mailauth.results import FAIL, PERMERROR, TEMPERROR
from apps.mailauth.tags import TagsInvalid, parse_tags
from apps.names.asking import Names
from apps.names.resolver import NamesUnavailable

MIN_RSA_BITS = 1024  # RFC 8301 §3.2
MAX_RSA_BITS = 8192  # who publishes a longer one wants us to calculate
MAX_RECORDS = 4

_RSASSA, _OF_DIGEST = PKCS1v15(), Prehashed(SHA256())


class Unproven(Exception):
    """A signature proves nothing: with RFC 8601's word for it, and the reason as a sentence."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`flags` are those of its record's t=."""

    key: RSAPublicKey | Ed25519PublicKey
    flags: frozenset[str]

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.key, RSAPublicKey) else "ed25519-sha256"

    def verifies(self, sha256: bytes, signature: bytes) -> bool:
        try:
            if isinstance(self.key, RSAPublicKey):
                self.key.verify(signature, sha256, _RSASSA, _OF_DIGEST)
            else:
                self.key.verify(signature, sha256)
        except InvalidSignature:
            return False
        return True


def record_name(domain: str, selector: str) -> str:
    return f"{selector}._domainkey.{domain}"


def find_key(domain: str, selector: str, names: Names) -> PublicKey:
    """Raises Unproven. Where several records stand at the name, the first that is a key (§3.6.2.2 leaves it open)."""
    try:
        texts = names.texts(record_name(domain, selector))
    except NamesUnavailable as error:
        raise Unproven(TEMPERROR, f"The key of {domain} could not be looked up: {error}.") from error
    if not texts:
        raise Unproven(PERMERROR, f"{domain} publishes no key named {selector}.")
    trouble = Unproven(PERMERROR, f"The key that {domain} publishes cannot be used.")
    for text in texts[:MAX_RECORDS]:
        try:
            return _parse(domain, text)
        except Unproven as error:
            trouble = error
    raise trouble


def _parse(domain: str, text: str) -> PublicKey:
    try:
        tags = parse_tags(text)
    except TagsInvalid as error:
        raise Unproven(PERMERROR, f"The key record of {domain} cannot be read.") from error
    if tags.get("v", "DKIM1") != "DKIM1" or "p" not in tags:
        raise Unproven(PERMERROR, f"What {domain} publishes there is no key.")
    if not tags["p"]:
        raise Unproven(PERMERROR, f"{domain} has withdrawn the key.")
    if "sha256" not in _list(tags, "h", "sha256") or not {"*", "email"} & _list(tags, "s", "*"):
        raise Unproven(PERMERROR, f"The key of {domain} is not meant for this.")
    return PublicKey(_load(domain, tags), _list(tags, "t", ""))


def _list(tags: Mapping[str, str], name: str, usual: str) -> frozenset[str]:
    return frozenset(one.strip().lower() for one in tags.get(name, usual).split(":"))


def _load(domain: str, tags: Mapping[str, str]) -> RSAPublicKey | Ed25519PublicKey:
    kind = tags.get("k", "rsa").lower()
    try:
        data = base64.b64decode("".join(tags["p"].split()), validate=True)
        if kind == "ed25519":
            return Ed25519PublicKey.from_public_bytes(data)
        key = load_der_public_key(data) if kind == "rsa" else None
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise Unproven(PERMERROR, f"The key of {domain} is damaged.") from error
    if not isinstance(key, RSAPublicKey):
        raise Unproven(PERMERROR, f"The key of {domain} is of a kind that is not known.")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise Unproven(FAIL, f"The key of {domain} has {key.key_size} bits, which proves nothing.")
    return key

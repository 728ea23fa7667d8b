"""DKIM (RFC 6376): whose signatures a message carries, and which of them hold.

Our own verifier over the forms that our signer uses, rather than dkimpy: that one asks for a second cryptographic
library for Ed25519, honours `l=`, takes a quadratic time for blanks, hashes the body anew for each signature, and calls
a key that could not be looked up a signature that failed. It judges ours in the tests.

Limits: of more than `MAX_SIGNATURES`, those that could speak for From's domain are looked at first and the rest is not.
`t=y` (a domain that tries DKIM out) is not told apart: what holds holds.
"""

from collections.abc import Collection
from datetime import datetime

from apps.mailauth.keys import Unproven, record_name
from apps.mailauth.results import FAIL, NEUTRAL, NONE, PASS, PERMERROR, TEMPERROR, DkimResult, Signature
from apps.mailauth.signature import (
    SignatureField,
    SignedMessage,
    check_message_signature,
    covers_all,
    read_signature,
    usable_key,
)
from apps.names.asking import Names
from apps.names.domains import ascii_domain, organisational_domain

MAX_SIGNATURES = 10
# RFC 8058 §4: nobody is asked to be left unless one signature covers both.
UNSUBSCRIBE_FIELDS = ("list-unsubscribe", "list-unsubscribe-post")
CLOCK_SLOP_SECONDS = 300

# The best of several decides; a key that could not be looked up leaves it open whether one of the others is the best.
_BEST_FIRST = (PASS, TEMPERROR, FAIL, PERMERROR, NEUTRAL)


class DkimSignatures:
    """A message's DKIM signatures: read at once, checked when asked."""

    def __init__(self, message: SignedMessage, from_domains: Collection[str]) -> None:
        self._message = message
        self._unreadable: list[Signature] = []
        readable: list[SignatureField] = []
        for field in [] if message.is_too_large else message.named("dkim-signature"):
            try:
                readable.append(read_signature(field, needs=("v", "bh", "h")))
            except Unproven as trouble:
                self._unreadable.append(Signature(trouble.result, trouble.reason))
        owners = {organisational_domain(domain) for domain in from_domains}
        readable.sort(key=lambda one: organisational_domain(one.domain) not in owners)
        self._signatures = readable[:MAX_SIGNATURES]

    @property
    def record_names(self) -> list[str]:
        """Where their keys stand."""
        return [record_name(one.domain, one.selector) for one in self._signatures]

    def check(self, names: Names, *, now: datetime) -> DkimResult:
        """`now`: when the message came, by which a signature's end is judged. Never raises."""
        if self._message.is_too_large:
            return DkimResult(PERMERROR, "The mail’s header is too large to be checked.")
        found = [self._check(one, names, now) for one in self._signatures]
        found += self._unreadable[: MAX_SIGNATURES - len(found)]
        if not found:
            return DkimResult(NONE, "The mail is not signed.")
        best = min(found, key=lambda one: _BEST_FIRST.index(one.result))
        return DkimResult(best.result, best.reason, tuple(found))

    def _check(self, signature: SignatureField, names: Names, now: datetime) -> Signature:
        try:
            _check_terms(signature, now)
            key = usable_key(signature, names)
            if "s" in key.flags and _identity_domain(signature) != signature.domain:
                raise Unproven(FAIL, f"{signature.domain} signs for no subdomains.")
            check_message_signature(self._message, signature, key)
        except Unproven as trouble:
            result, reason = trouble.result, trouble.reason
        except Exception as error:  # noqa: BLE001  # whatever a stranger's bytes provoke, it is no proof
            result, reason = PERMERROR, f"The signature could not be evaluated ({type(error).__name__})."
        else:
            result, reason = PASS, f"Signed by {signature.domain}, and not changed since."
        return Signature(
            result,
            reason,
            signature.domain,
            signature.selector,
            signature.algorithm[:40],
            signature.digest,
            covers_unsubscribe=result == PASS and covers_all(self._message, signature, UNSUBSCRIBE_FIELDS),
        )


def _check_terms(signature: SignatureField, now: datetime) -> None:
    """RFC 6376 §6.1.1: what its own field says of it. Raises Unproven."""
    tags, domain = signature.tags, signature.domain
    if tags["v"] != "1":
        raise Unproven(PERMERROR, f"The signature of {domain} is of another version.")
    if "from" not in signature.names:
        raise Unproven(PERMERROR, f"The signature of {domain} does not cover From.")
    identity = _identity_domain(signature)
    if identity != domain and not identity.endswith(f".{domain}"):
        raise Unproven(PERMERROR, f"The signature of {domain} is made for another domain.")
    if "q" in tags and "dns/txt" not in [one.strip() for one in tags["q"].lower().split(":")]:
        raise Unproven(PERMERROR, f"The key of {domain} stands where nobody can ask for it.")
    ends = _seconds(tags.get("x", ""))
    if ends is not None and ends + CLOCK_SLOP_SECONDS < now.timestamp():
        raise Unproven(FAIL, f"The signature of {domain} had expired when the mail came.")
    if ends is not None and ends < (_seconds(tags.get("t", "")) or 0):
        raise Unproven(PERMERROR, f"The signature of {domain} ends before it begins.")


def _identity_domain(signature: SignatureField) -> str:
    return ascii_domain(signature.tags.get("i", f"@{signature.domain}").rpartition("@")[2])


def _seconds(text: str) -> int | None:
    """§3.5: an unsigned decimal integer of up to 12 digits."""
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise Unproven(PERMERROR, "A signature has a time that is none.")
    return int(text)

"""ARC (RFC 8617): what forwarders say that they saw before they changed a mail, and whether that chain holds.

A chain that holds proves who says so, and not that it is true: anybody may seal a lie. So it is told and counts for
nothing, unless the operator trusts sealers by name. Such a one vouches for a mail when every later sealer is trusted
too, for who seals last could have rewritten what is below, and its ARC-Authentication-Results says dmarc=pass for From.

Limits: only the newest ARC-Message-Signature is checked, as §5.2 demands; older ones, which say where a mail was first
changed, are not.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from apps.mailauth.canonical import CRLF, Field
from apps.mailauth.keys import Unproven, record_name
from apps.mailauth.results import FAIL, NONE, PASS, PERMERROR, TEMPERROR, ArcResult
from apps.mailauth.signature import (
    SignatureField,
    SignedMessage,
    check_header,
    check_message_signature,
    read_signature,
    usable_key,
)
from apps.names.asking import Names
from apps.names.domains import ascii_domain

MAX_INSTANCES = 50  # §4.2.1
MAX_RESULTS_CHARS = 16_000
ASKED_AHEAD = 5

_RESULTS, _SIGNATURE, _SEAL = "arc-authentication-results", "arc-message-signature", "arc-seal"
_INSTANCE = re.compile(rb"\s*i\s*=\s*(\d{1,3})\s*(?:;|\Z)", re.IGNORECASE)
# What quotes and comments hold is not what the sealer says; a stranger may have put it there.
_MARK = re.compile(r"\\.|[()\"]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one forwarder added."""

    results: Field
    signature: SignatureField
    seal: SignatureField

    @property
    def in_order(self) -> tuple[Field, Field, Field]:
        """§5.1.1: as they are sealed."""
        return self.results, self.signature.field, self.seal.field


class ArcChain:
    """A message's ARC sets: read at once, checked when asked."""

    def __init__(self, message: SignedMessage) -> None:
        self._message = message
        self._sets: list[ArcSet] = []
        self._trouble: Unproven | None = None
        try:
            self._sets = [] if message.is_too_large else _read(message)
        except Unproven as trouble:
            self._trouble = trouble

    @property
    def record_names(self) -> list[str]:
        """Where the keys of its newest sets stand. A chain that breaks there is not worth the questions of a longer
        one.
        """
        signed = [one for each in self._sets[-ASKED_AHEAD:] for one in (each.signature, each.seal)]
        return list(dict.fromkeys(record_name(one.domain, one.selector) for one in signed))

    def check(self, names: Names, *, trusted: Collection[str], from_domains: Sequence[str]) -> ArcResult:
        """`trusted` sealers are ASCII domains. Never raises."""
        sealers = tuple(one.seal.domain for one in reversed(self._sets))
        try:
            if self._trouble is not None:
                raise self._trouble
            if not self._sets:
                return ArcResult(NONE, "No forwarder says what it saw.")
            self._check(names)
        except Unproven as trouble:
            # §4.4: a chain passes or fails; a key that cannot be looked up leaves it open.
            result = TEMPERROR if trouble.result == TEMPERROR else FAIL
            return ArcResult(result, trouble.reason, sealers)
        except Exception as error:  # noqa: BLE001  # whatever a stranger's bytes provoke, it is no proof
            return ArcResult(FAIL, f"The chain could not be evaluated ({type(error).__name__}).", sealers)
        return ArcResult(
            PASS,
            f"Sealed by {sealers[0]}, and not changed since.",
            sealers,
            self._voucher(trusted, from_domains),
        )

    def _check(self, names: Names) -> None:
        """§5.2. Raises Unproven."""
        newest = self._sets[-1]
        if newest.seal.tags["cv"].lower() == FAIL:
            raise Unproven(FAIL, f"{newest.seal.domain} says that the chain was broken already.")
        for n, each in enumerate(self._sets):
            if each.seal.tags["cv"].lower() != (NONE if n == 0 else PASS):
                raise Unproven(FAIL, f"The seal of {each.seal.domain} does not follow what was there.")
        key = usable_key(newest.signature, names)
        check_message_signature(self._message, newest.signature, key)
        for n in range(len(self._sets), 0, -1):
            self._check_seal(n, names)

    def _check_seal(self, instance: int, names: Names) -> None:
        """§5.1.1: a seal covers all sets up to its own, each in its order, in relaxed form, itself last."""
        seal = self._sets[instance - 1].seal
        covered = [field for each in self._sets[:instance] for field in each.in_order][:-1]
        check_header(seal, covered, usable_key(seal, names), is_relaxed=True)

    def _voucher(self, trusted: Collection[str], from_domains: Sequence[str]) -> str:
        for each in reversed(self._sets):
            if each.seal.domain not in trusted:
                return ""
            if says_dmarc_passed(each.results.value, from_domains):
                return each.seal.domain
        return ""


def _read(message: SignedMessage) -> list[ArcSet]:
    """The sets in order, the oldest first. Raises Unproven where they are no chain (§5.2, steps 1 to 3)."""
    found: dict[tuple[int, str], Field] = {}
    for field in message.named(_RESULTS, _SIGNATURE, _SEAL):
        instance = _INSTANCE.match(_start(field)) or _INSTANCE.search(_anywhere(field))
        number = int(instance[1]) if instance else 0
        if not 1 <= number <= MAX_INSTANCES or (number, field.name) in found:
            raise Unproven(PERMERROR, "What forwarders added is in disorder.")
        found[number, field.name] = field
    count = max((number for number, _name in found), default=0)
    if len(found) != 3 * count:
        raise Unproven(PERMERROR, "Something that forwarders added is missing.")
    return [_set(found, number) for number in range(1, count + 1)]


def _start(field: Field) -> bytes:
    return field.value.replace(CRLF, b"")[:200]


def _anywhere(field: Field) -> bytes:
    """Signatures may have their tags in any order; what a forwarder saw begins with its number (§4.1.1)."""
    return b"" if field.name == _RESULTS else b";" + field.value.replace(CRLF, b"")


def _set(found: dict[tuple[int, str], Field], number: int) -> ArcSet:
    signature = read_signature(found[number, _SIGNATURE], needs=("i", "bh", "h"))
    seal = read_signature(found[number, _SEAL], needs=("i", "cv"))
    if "h" in seal.tags or _SEAL in signature.names:
        # §4.1.2, §4.1.3: neither may choose what it covers.
        raise Unproven(PERMERROR, f"The seal of {seal.domain} covers something else than it must.")
    return ArcSet(found[number, _RESULTS], signature, seal)


def says_dmarc_passed(value: bytes, from_domains: Sequence[str]) -> bool:
    """Whether an ARC-Authentication-Results value says dmarc=pass, and of this domain where it names one. Where From
    has several, nobody knows of which of them it was said.
    """
    if len(from_domains) != 1:
        return False
    text = _without_comments(value.decode("utf-8", "replace")[:MAX_RESULTS_CHARS])
    for method in text.split(";"):
        words = method.lower().replace(" =", "=").replace("= ", "=").split()
        if words[:1] == ["dmarc=pass"]:
            named = [word.partition("=")[2] for word in words if word.startswith("header.from=")]
            return all(ascii_domain(one.rpartition("@")[2]) == from_domains[0] for one in named)
    return False


def _without_comments(text: str) -> str:
    """Without comments, which nest and in which a quotation mark is just one (RFC 5322 §3.2.2), and without what is
    quoted.
    """
    kept: list[str] = []
    depth, is_quoted, position = 0, False, 0
    for mark in _MARK.finditer(text):
        was_outside = not depth and not is_quoted
        if mark[0] == '"' and not depth:
            is_quoted = not is_quoted
        elif mark[0] == "(" and not is_quoted:
            depth += 1
        elif mark[0] == ")" and depth:
            depth -= 1
        if was_outside and (depth or is_quoted):
            kept.append(text[position : mark.start()])
        if depth or is_quoted or not was_outside:
            position = mark.end()
    return " ".join([*kept, "" if depth or is_quoted else text[position:]])

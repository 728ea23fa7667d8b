"""DMARC (RFC 7489): does what was proven speak for the domain in From, and what does that domain want done otherwise?

Every domain that From names must be spoken for: of those that are not, the one with the strictest policy decides
(§6.6.1). Which are asked about includes the one that people are shown, however From is written.

What DNS could not tell is `temperror` and no verdict, but only where it could have spoken for the domain: a stranger's
own broken DNS does not keep a forgery from failing.

Limits: `np=` and the tree walk of DMARCbis are not followed; the public suffix list decides who is behind a domain
(RFC 7489 §3.2). `pct=` and DMARCbis' `t=y` are: mail outside the percentage gets the next milder treatment (§6.6.4).
No reports are sent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from apps.mailauth.results import (
    FAIL,
    NONE,
    PASS,
    PERMERROR,
    TEMPERROR,
    DkimResult,
    DmarcResult,
    SpfResult,
)
from apps.mailauth.tags import TagsInvalid, parse_tags
from apps.names.asking import Names
from apps.names.domains import organisational_domain
from apps.names.resolver import NamesUnavailable

MAX_FROM_DOMAINS = 5
POLICIES = ("none", "quarantine", "reject")
_WORST_FIRST = (FAIL, TEMPERROR, PERMERROR, NONE, PASS)


@dataclass(frozen=True, slots=True)
class Published:
    """A domain's policy as it counts for one From domain. Alignment is strict where the flags say so (§3.1)."""

    policy: str
    strict_dkim: bool
    strict_spf: bool
    percent: int


_RELAXED = Published(NONE, strict_dkim=False, strict_spf=False, percent=100)


def record_names(domain: str) -> list[str]:
    """Where its policy may stand (§6.6.3)."""
    return list(dict.fromkeys([f"_dmarc.{domain}", f"_dmarc.{organisational_domain(domain)}"]))


def check_dmarc(
    from_domains: Sequence[str], spf: SpfResult, dkim: DkimResult, names: Names, *, sample: bytes
) -> DmarcResult:
    """`from_domains` as `ascii_domain` makes them; `sample` decides, always alike, about `pct=`. Never raises."""
    if not from_domains:
        return DmarcResult(PERMERROR, "From names no domain that could be asked.")
    if len(from_domains) > MAX_FROM_DOMAINS:
        return DmarcResult(PERMERROR, "From names too many domains.")
    found = [_check(domain, spf, dkim, names, sample) for domain in from_domains]
    if not all(one.proven_by for one in found):
        found = [replace(one, proven_by="") for one in found]
    return min(found, key=lambda one: (-POLICIES.index(one.disposition), _WORST_FIRST.index(one.result)))


def overridden(dmarc: DmarcResult, sealer: str) -> DmarcResult:
    """What is done about a mail that a trusted forwarder vouches for (§6.7, RFC 8617 §7.2.1)."""
    if dmarc.result != FAIL or not sealer:
        return dmarc
    reason = (
        f"{dmarc.reason} But {sealer}, which is trusted here, says that it could when the mail came to it."
    )
    return replace(dmarc, disposition=NONE, reason=reason)


def _check(domain: str, spf: SpfResult, dkim: DkimResult, names: Names, sample: bytes) -> DmarcResult:
    try:
        published = _find(domain, names)
    except NamesUnavailable as error:
        return DmarcResult(TEMPERROR, f"The policy of {domain} could not be looked up: {error}.", domain)
    spoken = _spoken_for(domain, spf, dkim, published or _RELAXED)
    by = next((by for result, by in spoken if result == PASS), "")
    if published is None:
        return DmarcResult(NONE, f"{domain} publishes no DMARC policy.", domain, proven_by=by)
    if by:
        reason = f"{domain} is proven by its {by}."
        return DmarcResult(PASS, reason, domain, published.policy, proven_by=by)
    if any(result == TEMPERROR for result, _by in spoken):
        reason = f"What could prove {domain} could not be looked up."
        return DmarcResult(TEMPERROR, reason, domain, published.policy)
    reason = f"Nothing proves that this mail is from {domain}."
    return DmarcResult(FAIL, reason, domain, published.policy, _disposition(published, sample))


def _spoken_for(domain: str, spf: SpfResult, dkim: DkimResult, published: Published) -> list[tuple[str, str]]:
    """The results that count for the domain (§3.1), and what each would prove it by."""
    signed = [
        (one.result, "signature")
        for one in dkim.signatures
        if _is_aligned(one.domain, domain, strict=published.strict_dkim)
    ]
    return [
        *signed,
        *([(spf.result, "servers")] if _is_aligned(spf.domain, domain, strict=published.strict_spf) else []),
    ]


def _is_aligned(by: str, domain: str, *, strict: bool) -> bool:
    """§3.1: the same domain, or, relaxed, one of the same organisation."""
    if not by or strict:
        return by == domain
    return organisational_domain(by) == organisational_domain(domain)


def _find(domain: str, names: Names) -> Published | None:
    """§6.6.3: the domain's own record, else its organisation's, whose sp= then goes before its p=."""
    own, *parents = record_names(domain)
    tags = _record(names.texts(own))
    if tags is None:
        inherited = next(
            (found for name in parents if (found := _record(names.texts(name))) is not None), None
        )
        if inherited is None:
            return None
        tags = {**inherited, "p": inherited["sp"]} if "sp" in inherited else inherited
    return _published(tags)


def _record(texts: Sequence[str]) -> Mapping[str, str] | None:
    """The tags of the one DMARC record there is; several count as none (§6.6.3)."""
    found = [text for text in texts if text.partition(";")[0].replace(" ", "") == "v=DMARC1"]
    if len(found) != 1:
        return None
    try:
        return parse_tags(found[0])
    except TagsInvalid:
        return None


def _published(tags: Mapping[str, str]) -> Published | None:
    policy = tags.get("p", "").lower()
    if policy not in POLICIES or tags.get("sp", policy).lower() not in POLICIES:
        # §6.6.3: a policy nobody can read asks for nothing; where reports are wanted it counts as "none".
        if "mailto:" not in tags.get("rua", "").lower():
            return None
        policy = NONE
    percent = int(tags["pct"]) if tags.get("pct", "").isdecimal() and len(tags["pct"]) <= 3 else 100
    if tags.get("t", "").lower() == "y":
        percent = 0
    return Published(
        policy, tags.get("adkim", "").lower() == "s", tags.get("aspf", "").lower() == "s", percent
    )


def _disposition(published: Published, sample: bytes) -> str:
    lot = int.from_bytes(hashlib.sha256(sample).digest()[:4]) % 100
    if lot < published.percent:
        return published.policy
    return POLICIES[max(0, POLICIES.index(published.policy) - 1)]

"""Does a domain's SPF record let our relays send for it, and is it one that receivers can evaluate at all? RFC 7208.

The record is walked as a receiver would walk it, includes and redirects too, and its DNS look-ups are counted: a record
with more than ten is an error to every receiver (§4.6.4), whatever stands in it.

Limits: macros (§7) are not followed, for they need a sender to be filled in; such a term counts as a look-up and allows
nobody we know of. Void look-ups (§4.6.4) are not counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from django.utils.translation import gettext as _

from apps.outbound.domains.findings import Judgement, missing, ok, wrong
from apps.outbound.domains.resolver import Address, Dns

MAX_LOOKUPS = 10
_WITH_LOOKUP = frozenset({"include", "a", "mx", "ptr", "exists"})
_MECHANISMS = _WITH_LOOKUP | {"all", "ip4", "ip6"}
_MODIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*=")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?", re.IGNORECASE)


class SpfError(Exception):
    """What receivers call permerror (§2.6.7): the record counts for nothing. The text says why."""


@dataclass(frozen=True, slots=True)
class Term:
    """A mechanism with its qualifier, such as `~all` or `include:example.net`; `value` may be empty."""

    qualifier: str
    name: str
    value: str

    @property
    def host(self) -> str:
        """The domain it names, without a prefix length; "" for the record's own."""
        return self.value.partition("/")[0].lower().rstrip(".")


@dataclass(slots=True)
class _Walk:
    """What walking has found so far."""

    lookups: int = 0
    allowed: set[str] = field(default_factory=set)
    networks: list[IPv4Network | IPv6Network] = field(default_factory=list)

    def count(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise SpfError(
                _(
                    "It needs more than %(max)d DNS look-ups, and receivers treat that as an error (RFC "
                    "7208 §4.6.4). "
                    "Take out includes of services you no longer send with."
                )
                % {"max": MAX_LOOKUPS}
            )

    def covers(self, addresses: Sequence[Address]) -> bool:
        return bool(addresses) and all(
            any(address in network for network in self.networks if network.version == address.version)
            for address in addresses
        )


def spf_records(texts: Sequence[str]) -> list[str]:
    """§4.5: those of a name's TXT records that are SPF."""
    return [text for text in texts if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")]


async def judge_spf(domain: str, wanted: Sequence[str], dns: Dns) -> Judgement:
    """`wanted` are the mechanisms for the relays in use, such as `include:sendgrid.net` and `a:relay.example.org`."""
    texts = await dns.txt(domain)
    records = spf_records(texts)
    if not records:
        return _none(texts)
    if len(records) > 1:
        return wrong(
            _(
                "There are %(count)d SPF records: receivers treat that as an error (RFC 7208 §4.5). Make "
                "one of them."
            )
            % {"count": len(records)}
        ).with_found(records)
    walk = _Walk()
    try:
        terms = await _follow(domain, records[0], walk, dns)
    except SpfError as error:
        return wrong(str(error)).with_found(records)
    lacking = [mechanism for mechanism in wanted if not await _is_allowed(mechanism, walk, dns)]
    return _judge(terms, lacking, walk).with_found(records)


def _none(texts: Sequence[str]) -> Judgement:
    misspelt = [text for text in texts if re.match(r"\W*(v=)?\s*spf", text, re.IGNORECASE)]
    if misspelt:
        return wrong(
            _(
                "The record must begin with v=spf1 and a space, without quotation marks; receivers ignore "
                "it as it is."
            )
        ).with_found(misspelt)
    return missing(_("There is no SPF record: receivers cannot tell which servers may send for this domain."))


def _judge(terms: Sequence[Term], lacking: Sequence[str], walk: _Walk) -> Judgement:
    every = next((term for term in terms if term.name == "all"), None)
    if every is not None and every.qualifier == "+":
        return wrong(_("+all lets the whole world send as this domain. End with ~all or -all."))
    if lacking:
        return wrong(
            _(
                "It does not allow the relays that carry your mail. Add %(mechanisms)s before the “all” at "
                "its end."
            )
            % {"mechanisms": " ".join(lacking)}
        )
    remarks = []
    if every is None and not any(term.name == "redirect" for term in terms):
        remarks.append(_("It ends without “all”, so it forbids nobody. End with ~all."))
    elif every is not None and every.qualifier == "?":
        remarks.append(_("?all forbids nobody. End with ~all."))
    if any(term.name == "ptr" for term in terms):
        remarks.append(_("ptr is slow and not to be used any more (RFC 7208 §5.5)."))
    if walk.lookups > MAX_LOOKUPS - 2:
        remarks.append(
            _("It needs %(count)d of at most %(max)d DNS look-ups: one more service may break it.")
            % {"count": walk.lookups, "max": MAX_LOOKUPS}
        )
    return ok(_("Published, and it allows the relays that carry your mail."), *remarks)


async def _follow(domain: str, text: str, walk: _Walk, dns: Dns) -> list[Term]:
    """Walk one record and all it includes. Raises SpfError."""
    terms = parse_spf(text)
    for term in terms:
        if term.qualifier != "+" or "%" in term.value:
            if term.name in _WITH_LOOKUP or term.name == "redirect":
                walk.count()
            continue
        await _follow_term(domain, term, walk, dns)
    return terms


async def _follow_term(domain: str, term: Term, walk: _Walk, dns: Dns) -> None:
    host = term.host or domain
    match term.name:
        case "ip4" | "ip6":
            walk.networks.append(ip_network(term.value, strict=False))
        case "include" | "redirect":
            walk.count()
            walk.allowed.add(f"include:{host}")
            nested = spf_records(await dns.txt(host))
            if len(nested) != 1:
                # §5.2, §6.1: no record there, or several, is permerror for whoever includes it.
                raise SpfError(
                    _(
                        "It includes %(host)s, which has %(count)d SPF records: receivers treat that as an "
                        "error (RFC 7208 §5.2)."
                    )
                    % {"host": host, "count": len(nested)}
                )
            await _follow(host, nested[0], walk, dns)
        case "a":
            walk.count()
            walk.allowed.add(f"a:{host}")
        case "mx":
            walk.count()
            walk.allowed |= {f"a:{exchange}" for _preference, exchange in await dns.mx(host)}
        case "ptr" | "exists":
            walk.count()


async def _is_allowed(mechanism: str, walk: _Walk, dns: Dns) -> bool:
    if mechanism in walk.allowed:
        return True
    name, _colon, value = mechanism.partition(":")
    if name in ("ip4", "ip6"):
        network = ip_network(value, strict=False)
        return walk.covers([network.network_address, network.broadcast_address])
    return name == "a" and walk.covers(await dns.addresses(value))


def parse_spf(text: str) -> list[Term]:
    """The mechanisms and `redirect=` of a record (§12); other modifiers are left out (§6). Raises SpfError."""
    terms = []
    for word in text.split(" ")[1:]:
        if not word:
            continue
        if _MODIFIER.match(word):
            name, _equals, value = word.partition("=")
            if name.lower() == "redirect":
                terms.append(Term("+", "redirect", value))
            continue
        terms.append(_parse_mechanism(word))
    if any(term.name == "all" for term in terms):
        # §6.1: redirect= is ignored where there is an "all".
        terms = [term for term in terms if term.name != "redirect"]
    return terms


def _parse_mechanism(word: str) -> Term:
    qualifier, bare = (word[0], word[1:]) if word[0] in "+-~?" else ("+", word)
    name = re.split("[:/]", bare, maxsplit=1)[0].lower()
    value = bare[len(name) :].removeprefix(":")
    if name not in _MECHANISMS:
        raise SpfError(
            _("“%(term)s” is nothing that SPF knows; receivers treat the whole record as an error.")
            % {"term": word[:60]}
        )
    if name in ("include", "exists") and not value:
        raise SpfError(_("“%(term)s” names no domain.") % {"term": word[:60]})
    if name in ("ip4", "ip6"):
        try:
            network = ip_network(value, strict=False)
        except ValueError as error:
            raise SpfError(_("“%(term)s” is no network address.") % {"term": word[:60]}) from error
        if network.version != int(name[2]):
            raise SpfError(_("“%(term)s” is of the other kind of address.") % {"term": word[:60]})
    elif (
        value.partition("/")[0]
        and "%" not in value
        and not _HOST.fullmatch(value.partition("/")[0].rstrip("."))
    ):
        raise SpfError(_("“%(term)s” names no domain.") % {"term": word[:60]})
    return Term(qualifier, name, value)

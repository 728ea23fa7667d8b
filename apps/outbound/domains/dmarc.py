"""Does a domain publish a DMARC policy that receivers can read? RFC 7489 §6.3, §6.6.3, §7.1.

Where a domain has no record of its own its organisational domain's counts (§6.6.3), and no other parent's.
"""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from apps.mailauth.tags import TagsInvalid, parse_tags
from apps.names.domains import organisational_domain
from apps.outbound.domains.findings import Judgement, missing, ok, wrong
from apps.outbound.domains.resolver import Dns

POLICIES = ("none", "quarantine", "reject")
MAX_REPORT_ADDRESSES = 5


async def judge_dmarc(domain: str, dns: Dns) -> Judgement:
    texts = await dns.txt(f"_dmarc.{domain}")
    records = [text for text in texts if _is_dmarc(text)]
    if len(records) > 1:
        return wrong(
            _(
                "There are %(count)d DMARC records: receivers then use none of them (RFC 7489 §6.6.3). "
                "Keep one."
            )
            % {"count": len(records)}
        ).with_found(records)
    if records:
        return (await _judge_record(domain, records[0], dns)).with_found(records)
    if misspelt := [text for text in texts if "dmarc" in text.lower()]:
        return wrong(
            _("The record must begin with v=DMARC1, spelt like that; receivers ignore it as it is.")
        ).with_found(misspelt)
    parent = organisational_domain(domain)
    if parent != domain and any(_is_dmarc(text) for text in await dns.txt(f"_dmarc.{parent}")):
        return ok(_("%(parent)s has a DMARC record, which counts for this domain too.") % {"parent": parent})
    return missing(
        _(
            "There is no DMARC record. Gmail and Yahoo ask for one from whoever sends much, and without it "
            "anybody may write as you."
        )
    )


def _is_dmarc(text: str) -> bool:
    """§6.6.3: what does not begin with the version is discarded."""
    return text.partition(";")[0].replace(" ", "") == "v=DMARC1"


async def _judge_record(domain: str, text: str, dns: Dns) -> Judgement:
    try:
        tags = parse_tags(text)
    except TagsInvalid as error:
        return wrong(_("It cannot be read at “%(place)s”.") % {"place": error})
    return _broken(tags) or await _reports(domain, tags, dns) or _policy(tags)


def _broken(tags: Mapping[str, str]) -> Judgement | None:
    if "p" not in tags:
        return wrong(_("There is no p=, the policy: begin with p=none, which only asks for reports."))
    for tag in ("p", "sp", "np"):
        if tag in tags and tags[tag].lower() not in POLICIES:
            return wrong(
                _("%(tag)s=%(value)s is no policy: it is none, quarantine or reject.")
                % {"tag": tag, "value": tags[tag]}
            )
    for tag in ("adkim", "aspf"):
        if tag in tags and tags[tag].lower() not in ("r", "s"):
            return wrong(_("%(tag)s=%(value)s: it is r or s.") % {"tag": tag, "value": tags[tag]})
    if "pct" in tags and not (tags["pct"].isdecimal() and int(tags["pct"]) <= 100):
        return wrong(_("pct=%(value)s: it is a number from 0 to 100.") % {"value": tags["pct"]})
    for address in _report_addresses(tags):
        if not address.lower().startswith("mailto:") or "@" not in address:
            return wrong(
                _("%(address)s: reports go to addresses written as mailto:name@domain.")
                % {"address": address}
            )
    return None


async def _reports(domain: str, tags: Mapping[str, str], dns: Dns) -> Judgement | None:
    """§7.1: a domain that takes reports about another one must say so in DNS, or none are sent."""
    for address in _report_addresses(tags)[:MAX_REPORT_ADDRESSES]:
        host = address.partition("!")[0].rpartition("@")[2].lower()
        if host == domain or host.endswith(f".{domain}") or domain.endswith(f".{host}"):
            continue
        consent = f"{domain}._report._dmarc.{host}"
        if not any(_is_dmarc(text) for text in await dns.txt(consent)):
            return wrong(
                _(
                    "No reports will come: %(host)s has not agreed to take them. It needs a TXT record "
                    "%(name)s with v=DMARC1."
                )
                % {"host": host, "name": consent}
            )
    return None


def _report_addresses(tags: Mapping[str, str]) -> list[str]:
    return [one.strip() for tag in ("rua", "ruf") for one in tags.get(tag, "").split(",") if one.strip()]


def _policy(tags: Mapping[str, str]) -> Judgement:
    policy, remarks = tags["p"].lower(), []
    if policy == "none":
        remarks.append(
            _(
                "p=none protects nobody yet. When the reports show that all your mail passes, go on to "
                "quarantine, then to reject."
            )
        )
    if "rua" not in tags:
        remarks.append(_("Without rua= you get no reports, and so cannot tell who writes as you."))
    return ok(_("Published, with the policy %(policy)s.") % {"policy": policy}, *remarks)

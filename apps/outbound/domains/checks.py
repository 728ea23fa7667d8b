"""Look in DNS for every record of a domain, all at the same time, within a few seconds.

A check that has no answer when the time is over is `unchecked`, and so is one that met trouble: only an answer of DNS
makes a record missing or wrong. Nothing is written here; what follows from a finding is `domains.tending`'s.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from django.utils.translation import gettext as _

from apps.outbound.domains.dkim import judge_key_record
from apps.outbound.domains.dmarc import judge_dmarc
from apps.outbound.domains.findings import Finding, Judgement, Record, Verdict, missing, ok, unchecked, wrong
from apps.outbound.domains.records import Place
from apps.outbound.domains.resolver import Dns, DnsTrouble
from apps.outbound.domains.spf import judge_spf

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
_STS_ID = re.compile(r"v=STSv1;\s*id=[A-Za-z0-9]{1,32}\s*;?\s*")


async def check_records(
    records: Sequence[Record], place: Place, dns: Dns, *, within_seconds: float = CHECK_SECONDS
) -> list[Finding]:
    """A finding for each record, in order. Raises nothing that DNS may do."""
    keys = {record.selector: _public(record) for record in records if record.code == "dkim"}
    tasks = [asyncio.ensure_future(_check(record, place, keys, dns)) for record in records]
    if tasks:
        await asyncio.wait(tasks, timeout=within_seconds)
    late = unchecked(_("DNS did not answer within %(seconds)g seconds") % {"seconds": within_seconds})
    findings = [
        (task.result() if task.done() else late).of(record)
        for record, task in zip(records, tasks, strict=True)
    ]
    for task in tasks:
        task.cancel()
    return findings


async def _check(record: Record, place: Place, keys: Mapping[str, str], dns: Dns) -> Judgement:
    if not record.value:
        return Judgement(
            Verdict.UNCHECKED,
            _("There is nothing to compare with yet: set MAIL_HOSTNAME to the name of this server."),
        )
    try:
        return await _CHECKS[record.code](record, place, keys, dns)
    except DnsTrouble as error:
        return unchecked(str(error))
    except Exception:
        # One record nobody foresaw must not take the other findings from the page.
        log.exception("dns_check_failed", record=record.code)
        return unchecked(_("something went wrong here; the log has the details"))


Check = Callable[[Record, Place, Mapping[str, str], Dns], Awaitable[Judgement]]


async def _check_proof(record: Record, _place: Place, _keys: Mapping[str, str], dns: Dns) -> Judgement:
    texts = [text for text in await dns.txt(record.name) if text.strip().startswith("mail-platform-verify=")]
    if record.value in [text.strip() for text in texts]:
        return ok(_("Seen: the domain is yours.")).with_found(texts)
    if texts:
        return wrong(
            _("There is such a record, but with another value. Was it made for an earlier attempt?")
        ).with_found(texts)
    return missing(
        _("It is not there yet. A new record may take from minutes to a few hours to be seen everywhere.")
    )


async def _check_key(record: Record, _place: Place, keys: Mapping[str, str], dns: Dns) -> Judgement:
    texts = await dns.txt(record.name)
    algorithm = "ed25519" if "k=ed25519" in record.value else "rsa"
    others = {selector: public for selector, public in keys.items() if selector != record.selector}
    judged = judge_key_record(texts, algorithm=algorithm, public=_public(record), others=others)
    return judged.with_found(texts)


async def _check_spf(record: Record, place: Place, _keys: Mapping[str, str], dns: Dns) -> Judgement:
    return await judge_spf(record.name, place.spf_mechanisms, dns)


async def _check_dmarc(record: Record, _place: Place, _keys: Mapping[str, str], dns: Dns) -> Judgement:
    return await judge_dmarc(record.name.removeprefix("_dmarc."), dns)


async def _check_mx(record: Record, place: Place, _keys: Mapping[str, str], dns: Dns) -> Judgement:
    exchanges = await dns.mx(record.name)
    found = [f"{preference} {host or '.'}" for preference, host in exchanges]
    return (await _judge_mx([host for _preference, host in exchanges], place.mail_host, dns)).with_found(
        found
    )


async def _judge_mx(hosts: Sequence[str], ours: str, dns: Dns) -> Judgement:
    if not hosts:
        # RFC 5321 §5.1: without MX a domain's own address is tried.
        return missing(
            _(
                "There is no MX record: answers and bounces are tried at the domain's own address, if it "
                "has one."
            )
        )
    if hosts == [""]:
        return wrong(
            _("The domain says that it takes no mail at all (RFC 7505): no answer or bounce will come.")
        )
    if ours not in hosts:
        return wrong(
            _(
                "Mail for this domain goes to %(hosts)s, not here: answers do not become tickets, and "
                "bounces are not seen."
            )
            % {"hosts": ", ".join(hosts[:3])}
        )
    if not await dns.addresses(ours):
        return wrong(_("%(host)s has no address in DNS, so nobody can bring mail there.") % {"host": ours})
    if len(hosts) > 1:
        return ok(
            _("Mail comes here."),
            _("It may also go to %(hosts)s; what arrives there is not seen here.")
            % {"hosts": ", ".join(host for host in hosts if host != ours)},
        )
    return ok(_("Mail comes here."))


async def _check_mta_sts(record: Record, _place: Place, _keys: Mapping[str, str], dns: Dns) -> Judgement:
    texts = [text for text in await dns.txt(record.name) if text.startswith("v=STSv1")]
    if not texts:
        return missing(
            _("There is no MTA-STS record. Mail still comes, encrypted where the other server cares.")
        )
    if len(texts) > 1:
        # RFC 8461 §3.1: anything but one record means no policy.
        return wrong(
            _("There are %(count)d such records: senders then use none.") % {"count": len(texts)}
        ).with_found(texts)
    if not _STS_ID.fullmatch(texts[0]):
        return wrong(_("It must read v=STSv1; id=… with up to 32 letters and digits.")).with_found(texts)
    host = f"mta-sts.{record.name.removeprefix('_mta-sts.')}"
    if not await dns.addresses(host):
        return wrong(
            _("%(host)s has no address in DNS, so the policy cannot be fetched.") % {"host": host}
        ).with_found(texts)
    return ok(
        _("Published."),
        _("Whether the policy itself is served at https://%(host)s is not looked at here.") % {"host": host},
    )


def _public(record: Record) -> str:
    return record.value.rpartition("p=")[2]


_CHECKS: dict[str, Check] = {
    "verify": _check_proof,
    "dkim": _check_key,
    "spf": _check_spf,
    "return_path_spf": _check_spf,
    "dmarc": _check_dmarc,
    "mx": _check_mx,
    "return_path_mx": _check_mx,
    "mta_sts": _check_mta_sts,
}


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """A domain in one word, by what it needs: the worst of its findings."""
    needed = [finding.verdict for finding in findings if finding.record.is_needed]
    for verdict in (Verdict.WRONG, Verdict.MISSING, Verdict.UNCHECKED):
        if verdict in needed:
            return verdict
    return Verdict.OK

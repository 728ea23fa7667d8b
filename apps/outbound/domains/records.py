"""What a domain should publish in DNS, each record with its exact name and value and the reason for it. Pure.

Two names differ from one domain to the next: the host that takes mail in (`Place.mail_host`, MAIL_HOSTNAME) and the
domain that bounces come back to, which is the domain itself unless RETURN_PATH_DOMAIN says otherwise.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.mailboxes.domains import PROOF_PREFIX
from apps.mailboxes.models import Domain
from apps.outbound.domains.findings import Record
from apps.outbound.domains.senders import spf_mechanisms
from apps.outbound.models import KeyState, SigningKey
from apps.outbound.signing.keys import record_name, record_value

POLICY_MAX_AGE_SECONDS = 604_800  # RFC 8461 §3.2 wants weeks once it works; a week is the usual beginning
PUBLISHED = (KeyState.PENDING, KeyState.ACTIVE, KeyState.RETIRING)


@dataclass(frozen=True, slots=True)
class Place:
    """Where this platform stands on the Internet, and how its mail leaves."""

    mail_host: str = ""
    return_path_domain: str = ""
    relay_hosts: tuple[str, ...] = ()

    @property
    def spf_mechanisms(self) -> list[str]:
        return spf_mechanisms(self.relay_hosts, own_host=self.mail_host)


def records_to_publish(domain: Domain, keys: Sequence[SigningKey], place: Place) -> list[Record]:
    """In the order in which one would set them up."""
    records = [_proof(domain)] if domain.proof else []
    records += [_key_record(domain, key) for key in keys if key.state in PUBLISHED]
    records += [_spf(domain.name, place), _dmarc(domain.name), _mx(domain.name, place)]
    if place.return_path_domain and place.return_path_domain != domain.name:
        records += _return_path(place)
    return [*records, _mta_sts(domain.name, place)]


def _proof(domain: Domain) -> Record:
    return Record(
        "verify",
        "TXT",
        domain.name,
        f"{PROOF_PREFIX}{domain.proof}",
        _(
            "Proves that the domain is yours. Until it is seen, nothing is sent from it. It may be removed "
            "afterwards."
        ),
    )


def _key_record(domain: Domain, key: SigningKey) -> Record:
    why = {
        KeyState.PENDING: _(
            "A key of ours that waits: mail is signed with it as soon as its record is seen."
        ),
        KeyState.ACTIVE: _("The key that mail is signed with now."),
        KeyState.RETIRING: _(
            "An earlier key, for mail that is still on its way. It may be removed when it has retired."
        ),
    }
    return Record(
        "dkim",
        "TXT",
        record_name(key.selector, domain.name),
        record_value(key.algorithm, key.public_key),
        why[KeyState(key.state)],
        selector=key.selector,
        is_needed=key.state != KeyState.RETIRING,
    )


def _spf(name: str, place: Place) -> Record:
    mechanisms = place.spf_mechanisms
    why = _(
        "Says which servers may send for this domain. If you have such a record already, add these words "
        "to it: one record only."
    )
    if not mechanisms:
        why = _("No relay of yours leads to the Internet yet. When one does, it belongs into this record.")
    return Record("spf", "TXT", name, " ".join(["v=spf1", *mechanisms, "~all"]), why)


def _dmarc(name: str) -> Record:
    return Record(
        "dmarc",
        "TXT",
        f"_dmarc.{name}",
        f"v=DMARC1; p=none; rua=mailto:postmaster@{name}",
        _(
            "Tells receivers what to do with mail that only claims to be yours. Begin with none and read "
            "the reports; then quarantine, then reject."
        ),
    )


def _mx(name: str, place: Place, code: str = "mx") -> Record:
    if not place.mail_host:
        why = _(
            "Brings mail for this domain here. What to write is not known yet: set MAIL_HOSTNAME to the "
            "name of this server."
        )
        return Record(code, "MX", name, "", why, is_needed=False)
    why = _("Brings mail for this domain here, bounces too.")
    return Record(code, "MX", name, f"10 {place.mail_host}.", why)


def _return_path(place: Place) -> list[Record]:
    name = place.return_path_domain
    spf = " ".join(["v=spf1", *place.spf_mechanisms, "~all"])
    why = _("Your mail's bounces go to this domain, so receivers check its SPF record in place of your own.")
    return [Record("return_path_spf", "TXT", name, spf, why), _mx(name, place, "return_path_mx")]


def _mta_sts(name: str, place: Place) -> Record:
    policy = mta_sts_policy(place)
    if not policy:
        why = _(
            "Makes servers that write to you insist on encryption. What to write is not known yet: set "
            "MAIL_HOSTNAME to the name of this server."
        )
        return Record("mta_sts", "TXT", f"_mta-sts.{name}", "", why, is_needed=False)
    why = _(
        "Makes servers that write to you insist on encryption. It needs the policy below, served over "
        "HTTPS; leave it out until that is there."
    )
    # RFC 8461 §3.1: senders fetch the policy anew when the id changes.
    version = hashlib.sha256(policy.encode()).hexdigest()[:16]
    return Record("mta_sts", "TXT", f"_mta-sts.{name}", f"v=STSv1; id={version}", why, is_needed=False)


def mta_sts_policy(place: Place) -> str:
    """The file for https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 §3.2); "" while our own name is unknown.

    It begins with `testing`, in which senders report what fails and still deliver.
    """
    if not place.mail_host:
        return ""
    return (
        f"version: STSv1\r\nmode: testing\r\nmx: {place.mail_host}\r\nmax_age: {POLICY_MAX_AGE_SECONDS}\r\n"
    )

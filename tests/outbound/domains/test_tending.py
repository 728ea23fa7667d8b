"""What follows from what DNS says."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.events.models import Event
from apps.mailboxes.domains import add_domain
from apps.mailboxes.models import Domain
from apps.outbound.domains.checks import verdict_of
from apps.outbound.domains.findings import Verdict
from apps.outbound.domains.tending import PATIENCE, Setup, check_domain, setup_of, tend
from apps.outbound.errors import SubmissionInvalid
from apps.outbound.models import KeyState, Relay, SigningKey
from apps.outbound.relays.environment import reconcile_relays
from apps.outbound.signing import keys_for
from apps.outbound.signing.keyring import forget_keys
from apps.outbound.signing.rotation import create_keys
from tests.outbound.sending import send
from tests.people import House
from tests.remote.names import NameServer

NOW = timezone.now()
KITE = "kite.example"


@pytest.fixture
def kite(house: House) -> Domain:
    """Claimed and not proven, with keys that wait."""
    forget_keys()
    reconcile_relays(["smtp://relay.example.net:587"])
    domain = add_domain(house.as_key, KITE)
    create_keys(domain, NOW)
    return domain


def publish(zone: NameServer, setup: Setup, *codes: str) -> None:
    """Do what the page says, as far as these records go."""
    texts: dict[str, list[str]] = {}
    for record in setup.records:
        if record.type == "TXT" and record.value and (not codes or record.code in codes):
            texts.setdefault(record.name, []).append(record.value)
    for name, values in texts.items():
        zone.txt(name, *values)
    if not codes or "mx" in codes:
        zone.mx(KITE, "mail.platform.example")
        zone.address("mail.platform.example", "192.0.2.1")


def states(domain: Domain) -> set[str]:
    return {key.state for key in SigningKey.objects.filter(domain=domain)}


def test_doing_what_the_page_says_makes_everything_right(
    kite: Domain, zone: NameServer, settings: object
) -> None:
    settings.MAIL_HOSTNAME = "mail.platform.example"  # type: ignore[attr-defined]
    publish(zone, setup_of(kite))
    zone.address(f"mta-sts.{KITE}", "192.0.2.1")
    after = check_domain(kite, NOW)
    assert after.findings is not None
    assert {finding.record.key: finding.verdict for finding in after.findings} == {
        record.key: Verdict.OK for record in setup_of(kite).records
    }
    assert verdict_of(after.findings) == Verdict.OK


def test_the_proof_makes_the_domain_ours_and_its_published_keys_sign(kite: Domain, zone: NameServer) -> None:
    assert not kite.is_verified
    publish(zone, setup_of(kite), "verify", "dkim")
    assert tend(NOW) == 3
    kite.refresh_from_db()
    assert kite.is_verified
    assert states(kite) == {KeyState.ACTIVE}
    forget_keys()
    assert len(keys_for(KITE)) == 2
    assert tend(NOW) == 0
    assert Event.objects.filter(kind="domain.verified", data__because="dns").count() == 1


def test_a_key_whose_record_is_wrong_does_not_sign(kite: Domain, zone: NameServer) -> None:
    publish(zone, setup_of(kite), "verify", "dkim")
    ours = setup_of(kite).keys[0]
    zone.txt(f"{ours.selector}._domainkey.{KITE}", "v=DKIM1; k=rsa; p=AAAA")
    tend(NOW)
    assert SigningKey.objects.get(pk=ours.pk).state == KeyState.PENDING
    assert states(kite) == {KeyState.PENDING, KeyState.ACTIVE}


def test_a_key_waits_as_long_as_dns_cannot_be_asked(kite: Domain, zone: NameServer) -> None:
    publish(zone, setup_of(kite), "verify", "dkim")
    for record in setup_of(kite).records:
        zone.fail(record.name)
    assert tend(NOW) == 0
    assert states(kite) == {KeyState.PENDING}


def test_what_has_waited_for_a_month_is_looked_at_only_by_a_person(kite: Domain, zone: NameServer) -> None:
    publish(zone, setup_of(kite), "verify", "dkim")
    late = NOW + PATIENCE + timedelta(hours=1)
    assert tend(late) == 0
    check_domain(kite, late)
    assert kite.is_verified


def test_the_first_organisation_to_prove_a_domain_has_it(
    kite: Domain, zone: NameServer, stranger: House
) -> None:
    theirs = add_domain(stranger.as_key, KITE)
    zone.txt(KITE, f"mail-platform-verify={theirs.proof}", f"mail-platform-verify={kite.proof}")
    tend(NOW)
    tend(NOW)
    assert Domain.objects.filter(name=KITE, verified_at__isnull=False).count() == 1


def test_nothing_is_sent_from_a_domain_that_is_only_claimed(
    kite: Domain, house: House, zone: NameServer
) -> None:
    Domain.objects.filter(name=house.domain).update(verified_at=None)
    with pytest.raises(SubmissionInvalid, match=r"Nobody has proven yet that house\.test is yours"):
        send(house.as_key, "elena@x.example")
    Domain.objects.filter(name=house.domain).update(verified_at=NOW)
    send(house.as_key, "elena@x.example")


def test_the_records_say_what_to_write(kite: Domain, settings: object) -> None:
    settings.MAIL_HOSTNAME = "mail.platform.example"  # type: ignore[attr-defined]
    setup = setup_of(kite)
    values = {record.code: record.value for record in setup.records}
    assert values["spf"] == "v=spf1 a:relay.example.net ~all"
    assert values["mx"] == "10 mail.platform.example."
    assert values["dmarc"] == f"v=DMARC1; p=none; rua=mailto:postmaster@{KITE}"
    assert "mx: mail.platform.example\r\n" in setup.mta_sts_policy
    settings.RETURN_PATH_DOMAIN = "bounces.platform.example"  # type: ignore[attr-defined]
    names = {record.code: record.name for record in setup_of(kite).records}
    assert names["return_path_spf"] == names["return_path_mx"] == "bounces.platform.example"


def test_spf_names_every_way_this_domains_mail_leaves_and_no_other(kite: Domain, settings: object) -> None:
    settings.MAIL_HOSTNAME = "mail.platform.example"  # type: ignore[attr-defined]

    def spf(**columns: object) -> str:
        Relay.objects.create(organisation_id=kite.organisation_id, security="none", **columns)
        return next(record.value for record in setup_of(kite).records if record.code == "spf")

    elsewhere = {"host": "smtp.sendgrid.net", "port": 25, "sender_domains": ["other.example"]}
    assert spf(name="for others", **elsewhere) == "v=spf1 a:relay.example.net ~all"
    assert spf(name="direct", kind="direct", port=25).split() == [
        "v=spf1", "a:mail.platform.example", "a:relay.example.net", "~all",
    ]  # fmt: skip

"""The page Domains."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from apps.mailboxes.domains import add_domain
from apps.mailboxes.models import Domain
from apps.outbound.domains.tending import setup_of
from apps.outbound.models import KeyAlgorithm, KeyState, SigningKey
from apps.outbound.signing.keyring import forget_keys
from apps.outbound.signing.rotation import create_keys
from tests.outbound.domains.conftest import zone
from tests.people import House
from tests.remote.names import NameServer
from tests.webmail.conftest import browser_of

__all__ = ["zone"]
FRAGMENT = {"HX-Request": "true", "HX-Request-Type": "partial"}


@pytest.fixture
def admin(house: House) -> Client:
    return browser_of(house.admin)


@pytest.fixture
def kite(house: House) -> Domain:
    domain = add_domain(house.as_key, "kite.example")
    create_keys(domain, timezone.now())
    return domain


def at(name: str, *args: object) -> str:
    return reverse(f"webmail:{name}", args=args)


def test_the_list_says_what_each_domain_lacks(admin: Client, kite: Domain) -> None:
    page = admin.get(at("domains")).content.decode()
    assert "house.test" in page
    assert "Its mail goes out unsigned" in page
    assert "Nobody has proven yet that it is yours" in page


def test_only_admins_see_the_way_to_it(admin: Client, alice: Client, house: House) -> None:
    link = f'href="{at("domains")}"'
    assert link in admin.get(at("outbox")).content.decode()
    assert link not in alice.get(at("outbox")).content.decode()
    assert alice.get(at("domains")).status_code == 404


def test_a_domain_is_added_with_its_keys(admin: Client) -> None:
    answer = admin.post(at("add-domain"), {"name": "Kite.Example"})
    kite = Domain.objects.get(name="kite.example")
    assert answer["Location"] == at("domain", kite.pk)
    assert SigningKey.objects.filter(domain=kite, state=KeyState.PENDING).count() == 2


@pytest.mark.parametrize(("name", "status"), [("not a domain", 422), ("<b>x</b>", 422), ("house.test", 409)])
def test_what_cannot_be_added_stays_in_the_field(admin: Client, name: str, status: int) -> None:
    answer = admin.post(at("add-domain"), {"name": name})
    assert answer.status_code == status
    assert answer.context["name"] == name
    page = answer.content.decode()
    assert 'role="alert"' in page
    assert "<b>x</b>" not in page


def test_the_page_shows_each_record_to_copy(admin: Client, kite: Domain) -> None:
    page = admin.get(at("domain", kite.pk)).content.decode()
    for record in setup_of(kite).records:
        assert record.name in page or not record.value
    assert f"mail-platform-verify={kite.proof}" in page
    assert page.count("data-copy=") == 11, "a name and a value each, and the RSA key in strings"
    assert "PRIVATE" not in page


def test_a_check_answers_the_part_of_the_page_that_changes(
    admin: Client, kite: Domain, zone: NameServer
) -> None:
    zone.txt("kite.example", f"mail-platform-verify={kite.proof}", "v=spf1 -all", "v=spf1 ~all")
    answer = admin.post(at("check-domain", kite.pk), headers=FRAGMENT)
    page = answer.content.decode()
    assert "<html" not in page
    assert "There are 2 SPF records" in page
    assert "Something is wrong" in page
    kite.refresh_from_db()
    assert kite.is_verified


def test_without_scripts_a_check_is_a_page(admin: Client, kite: Domain, zone: NameServer) -> None:
    zone.fail("kite.example")
    page = admin.post(at("check-domain", kite.pk)).content.decode()
    assert "<html" in page
    assert "Your record may well be right" in page


def test_what_dns_says_is_escaped(admin: Client, kite: Domain, zone: NameServer) -> None:
    zone.txt("kite.example", "v=spf1 <script>alert(1)</script> -all")
    page = admin.post(at("check-domain", kite.pk), headers=FRAGMENT).content.decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_keys_are_activated_stopped_discarded_and_made_anew(admin: Client, kite: Domain) -> None:
    rsa, ed25519 = (SigningKey.objects.get(domain=kite, algorithm=one) for one in KeyAlgorithm)
    assert admin.post(at("change-key", rsa.pk), {"change": "activate"})["Location"] == at("domain", kite.pk)
    admin.post(at("change-key", ed25519.pk), {"change": "discard"})
    page = admin.get(at("domain", kite.pk)).content.decode()
    assert "its record was never seen" in page
    admin.post(at("rotate-keys", kite.pk))
    assert SigningKey.objects.filter(domain=kite, state=KeyState.PENDING).count() == 2
    assert admin.post(at("change-key", rsa.pk), {"change": "stop"}).status_code == 302
    assert admin.post(at("change-key", rsa.pk), {"change": "stop"}).status_code == 409
    assert admin.post(at("change-key", rsa.pk), {"change": "eat"}).status_code == 422


def test_a_domain_in_use_is_kept_and_an_unused_one_goes(admin: Client, kite: Domain) -> None:
    used = Domain.objects.get(name="house.test")
    refused = admin.post(at("remove-domain", used.pk))
    assert refused.status_code == 409
    assert "alice@house.test" in refused.content.decode()
    assert admin.post(at("remove-domain", kite.pk))["Location"] == at("domains")
    assert not Domain.objects.filter(pk=kite.pk).exists()


def test_the_mta_sts_policy_is_served_to_everybody_at_its_own_name(
    nobody: Client, house: House, kite: Domain, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.MAIL_HOSTNAME = "mail.platform.example"
    address = "/.well-known/mta-sts.txt"
    served = nobody.get(address, headers={"Host": "mta-sts.house.test"})
    assert served["Content-Type"] == "text/plain"
    assert (
        served.content
        == b"version: STSv1\r\nmode: testing\r\nmx: mail.platform.example\r\nmax_age: 604800\r\n"
    )
    for host in ("house.test", "mta-sts.kite.example", "mta-sts.nobody.example", "127.0.0.1"):
        assert nobody.get(address, headers={"Host": host}).status_code == 404, host


def test_a_key_that_cannot_be_opened_is_told(admin: Client, kite: Domain) -> None:
    key = SigningKey.objects.filter(domain=kite)[0]
    admin.post(at("change-key", key.pk), {"change": "activate"})
    forget_keys()
    SigningKey.objects.filter(pk=key.pk).update(sealed_private_key="v1.AAAA")
    assert "SECRET_KEY was changed" in admin.get(at("domain", kite.pk)).content.decode()


def test_an_admin_says_where_mail_for_nobody_goes(
    admin: Client, alice: Client, house: House, stranger: House
) -> None:
    domain = Domain.objects.get(name="house.test")

    def choose(who: Client, mailbox: object) -> int:
        return who.post(at("catch-all", domain.pk), {"mailbox": str(mailbox or "")}).status_code

    assert choose(admin, house.support.pk) == 302
    page = admin.get(at("domain", domain.pk)).content.decode()
    assert f'<option value="{house.support.pk}" selected>' in page
    assert choose(admin, stranger.support.pk) == 404
    assert choose(admin, "nonsense") == 404
    assert choose(alice, house.support.pk) == 404
    domain.refresh_from_db()
    assert domain.catch_all == house.support
    Domain.objects.update(catch_all=house.bobs)  # which this admin does not see, and keeps
    assert f'<option value="{house.bobs.pk}" selected>' in admin.get(at("domain", domain.pk)).content.decode()
    assert choose(admin, house.bobs.pk) == 302
    assert choose(admin, None) == 302
    domain.refresh_from_db()
    assert domain.catch_all is None

"""Which addresses take mail, and where it goes."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.inbound.recipients import recognise_recipients
from apps.mailboxes.models import Domain, Mailbox, MailboxEntry, MailboxKind, OwnedAddress
from apps.mailboxes.services import create_mailbox
from apps.organisations.models import new_id
from tests.inbound.wire import send
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)

HOST = "mx.house.test"


def answer(address: str) -> str:
    """The reply's code and class, or the normalised address that was taken."""
    [one] = recognise_recipients([address], HOST)
    return one.address if one.organisation_id else one.refusal[:9]


def catch_all(house: House, mailbox: Mailbox | None) -> None:
    Domain.objects.filter(name=house.domain).update(catch_all=mailbox)


FiledIn = Callable[[str], set[str]]


@pytest.fixture
def filed_in(port: int) -> FiledIn:
    """Send a mail to an address, file it, and tell in which mailboxes it lies."""

    def deliver(address: str) -> set[str]:
        MailboxEntry.objects.all().delete()
        raw = raw_mail(message_id=f"{new_id()}@customer.example")
        assert send(port, raw, address).startswith("250")
        assert ingest_due(limit=1, seconds=60) == 1
        return set(MailboxEntry.objects.values_list("mailbox__address", flat=True))

    return deliver


@pytest.mark.parametrize("role", ["postmaster", "abuse", "PostMaster", "postmaster+x"])
def test_postmaster_and_abuse_exist_in_every_domain_of_ours(
    house: House, role: str, filed_in: FiledIn
) -> None:
    assert filed_in(f"{role}@house.test") == {"support@house.test"}


def test_their_mail_goes_to_an_admin_where_no_mailbox_is_shared(house: House, filed_in: FiledIn) -> None:
    house.support.delete()
    assert filed_in("abuse@house.test") == {"admin@house.test"}


def test_a_mailbox_of_that_name_has_its_own_mail(house: House, filed_in: FiledIn) -> None:
    create_mailbox(
        house.organisation, address="abuse@house.test", name="Abuse", kind=MailboxKind.SHARED, members=[]
    )
    assert filed_in("abuse@house.test") == {"abuse@house.test"}


@pytest.mark.parametrize("bare", ["postmaster", "Postmaster", "postmaster@mx.house.test"])
def test_a_postmaster_without_a_domain_is_the_platforms_own(house: House, stranger: House, bare: str) -> None:
    Domain.objects.filter(name="stranger.test").update(verified_at=timezone.now() - timedelta(days=9))
    assert answer(bare) == "postmaster@house.test"


def test_a_postmaster_of_a_platform_with_another_name_is_the_first_domains(
    house: House, stranger: House
) -> None:
    [one] = recognise_recipients(["postmaster"], "mail.elsewhere.example")
    assert one.address == "postmaster@house.test"


def test_a_postmaster_of_nobody_is_refused(db: None) -> None:
    assert answer("postmaster") == "553 5.1.3"


def test_an_alias_leads_to_its_mailbox(house: House, filed_in: FiledIn) -> None:
    OwnedAddress.objects.create(
        organisation=house.organisation, address="help@house.test", mailbox=house.support
    )
    assert filed_in("Help+now@house.test") == {"support@house.test"}


def test_a_catch_all_takes_what_nobody_has_and_nothing_else(house: House, filed_in: FiledIn) -> None:
    assert answer("anything@house.test") == "550 5.1.1"
    catch_all(house, house.alices)
    assert filed_in("anything+tag@house.test") == {"alice@house.test"}
    assert filed_in("bob@house.test") == {"bob@house.test"}
    assert filed_in("abuse@house.test") == {"alice@house.test"}
    assert answer("anything@stranger.test") == "550 5.7.1"
    catch_all(house, None)
    assert answer("anything@house.test") == "550 5.1.1"


def test_a_domain_that_is_claimed_and_not_proven_takes_nothing(house: House) -> None:
    """Else whoever claims a stranger's domain would be given its mail."""
    claimed = Domain.objects.create(
        organisation=house.organisation, name="victim.example", catch_all=house.alices
    )
    create_mailbox(
        house.organisation, address="ceo@victim.example", name="x", kind=MailboxKind.PERSONAL, members=[]
    )
    for address in ("ceo@victim.example", "postmaster@victim.example", "x@victim.example"):
        assert answer(address) == "550 5.7.1"
    claimed.verified_at = timezone.now()
    claimed.save()
    assert answer("ceo@victim.example") == "ceo@victim.example"


def test_an_address_in_another_organisations_domain_takes_nothing(house: House, stranger: House) -> None:
    OwnedAddress.objects.create(
        organisation=house.organisation, address="ceo@stranger.test", mailbox=house.support
    )
    assert answer("ceo@stranger.test") == "550 5.1.1"


@pytest.mark.parametrize(
    "written", ["support@bücher.example", "SUPPORT@BÜCHER.example", "support@xn--bcher-kva.example",
                "support@XN--BCHER-KVA.EXAMPLE", "support@bu\u0308cher.example"]
)  # fmt: skip
def test_a_domain_is_the_same_in_letters_and_in_ascii(house: House, written: str, filed_in: FiledIn) -> None:
    Domain.objects.create(
        organisation=house.organisation, name="xn--bcher-kva.example", verified_at=timezone.now()
    )
    create_mailbox(
        house.organisation,
        address="support@bücher.example",
        name="Bücher",
        kind=MailboxKind.SHARED,
        members=[],
    )
    assert filed_in(written) == {"support@xn--bcher-kva.example"}


@pytest.mark.parametrize(
    "address",
    [
        "elena@customer.example",
        "elena%customer.example@house.test",
        '"elena@customer.example"@house.test',
        "customer.example!elena@house.test",
        "support@house.test.customer.example",
        "support@[127.0.0.1]",
        "support@house.test@customer.example",
        "support@sub.house.test",
    ],
)
def test_nothing_is_relayed(house: House, address: str) -> None:
    assert answer(address)[:3] in {"550", "553"}


def test_a_catch_all_relays_nothing_either(house: House, filed_in: FiledIn) -> None:
    """What stands before the @ is the catch-all mailbox's to read and nobody's to send on."""
    catch_all(house, house.alices)
    assert filed_in("elena%customer.example@house.test") == {"alice@house.test"}


def test_many_are_answered_in_one_question(house: House) -> None:
    addresses = [f"support+{n}@house.test" for n in range(100)] + ["nobody@house.test", "x@y.example"]
    answers = recognise_recipients(addresses, HOST)
    assert [one.organisation_id for one in answers] == [house.organisation.pk] * 100 + [None, None]


def test_mail_to_the_platform_needs_no_domain(house: House, port: int) -> None:
    assert send(port, None, "postmaster", sender="").startswith("250")
    assert ReceivedMessage.objects.get().recipients == ["postmaster@house.test"]

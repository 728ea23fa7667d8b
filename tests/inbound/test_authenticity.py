"""A received mail's sender is looked into before it is filed, over a real name server, and told with the message."""

from collections.abc import Iterator

import pytest
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.inbound import authenticity
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import Envelope, accept_message
from apps.inbound.reingest import Choice, reingest
from apps.mailboxes.models import Direction, Message
from apps.mailboxes.provenance import Standing, authentication_of, provenance_of
from apps.tickets.holding import release
from apps.tickets.models import HoldCause
from tests.arrivals import arrive
from tests.mailauth.signers import MAIL, key_record, sign
from tests.people import House
from tests.remote.names import NameServer
from tests.screening.files import GTUBE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dns(settings: object) -> Iterator[NameServer]:
    with NameServer() as server:
        settings.DNS_SERVERS = [("127.0.0.1", server.port)]  # type: ignore[attr-defined]
        settings.MAIL_HOSTNAME = "mx.house.example"  # type: ignore[attr-defined]
        server.txt("customer.example", "v=spf1 ip4:192.0.2.0/24 -all")
        server.txt("s1._domainkey.customer.example", key_record())
        server.txt("_dmarc.customer.example", "v=DMARC1; p=reject")
        authenticity.usual_names.cache_clear()
        yield server
        authenticity.usual_names().close()
        authenticity.usual_names.cache_clear()


def accept(
    house: House, raw: bytes, peer: str = "192.0.2.1", sender: str = "elena@customer.example"
) -> ReceivedMessage:
    """Take custody of one mail and have a worker do what is to be done."""
    envelope = Envelope(
        sender=sender,
        recipients={house.organisation.pk: (f"support@{house.domain}",)},
        peer=peer,
        helo="out.customer.example",
    )
    accepted = accept_message(envelope, raw, now=timezone.now())
    assert ingest_due(limit=1, seconds=60) == 1
    return ReceivedMessage.objects.get(pk=accepted.received_ids[0])


def take_in(house: House, raw: bytes, **envelope: str) -> Message:
    """Likewise, of one that is filed."""
    message = accept(house, raw, **envelope).message
    assert message is not None
    return message


def test_an_honest_mail_is_filed_with_its_proofs(house: House, dns: NameServer) -> None:
    message = take_in(house, sign())
    told = authentication_of(message)
    assert {name: told[name]["result"] for name in ("spf", "dkim", "dmarc", "arc")} == {
        "spf": "pass",
        "dkim": "pass",
        "dmarc": "pass",
        "arc": "none",
    }
    assert told["authentication_results"].startswith("mx.house.example; spf=pass ")
    shown = provenance_of(message)
    assert (shown.standing, shown.title) == (Standing.PROVEN, "From customer.example: proven")


def test_a_forgery_is_held_and_keeps_its_proofs_when_it_is_let_in(house: House, dns: NameServer) -> None:
    received = accept(house, MAIL, peer="198.51.100.1")
    held = received.held
    assert held is not None
    assert held.cause == HoldCause.DMARC_REJECT
    assert "It may be forged: customer.example asks everybody to refuse" in held.reason
    message = release(Principal.of_user(house.admin), held, now=timezone.now())
    assert provenance_of(message).standing == Standing.FORGED


def test_a_forgery_whose_domain_only_watches_is_filed_and_told_in_plain_words(
    house: House, dns: NameServer
) -> None:
    dns.txt("_dmarc.customer.example", "v=DMARC1; p=none")
    message = take_in(house, MAIL, peer="198.51.100.1")
    shown = provenance_of(message)
    assert (shown.standing, shown.title) == (Standing.FORGED, "Perhaps not from customer.example")
    assert "asked the sender in another way" in shown.advice
    told = authentication_of(message)["dmarc"]
    assert (told["result"], told["policy"], told["disposition"]) == ("fail", "none", "none")


def test_mail_of_a_trusted_network_has_no_spf(house: House, dns: NameServer) -> None:
    told = authentication_of(take_in(house, sign(), peer="127.0.0.1"))
    assert told["spf"]["result"] == "none"
    assert "trusted network" in told["spf"]["reason"]
    assert told["dmarc"]["result"] == "pass"


def test_a_bounce_is_judged_by_who_greeted(house: House, dns: NameServer) -> None:
    dns.txt("out.customer.example", "v=spf1 ip4:192.0.2.1 -all")
    told = authentication_of(take_in(house, sign(), sender=""))
    assert (told["spf"]["result"], told["spf"]["domain"]) == ("pass", "out.customer.example")


def test_without_dns_mail_is_filed_and_nothing_concluded(house: House, dns: NameServer) -> None:
    dns.down = True
    message = take_in(house, sign())
    told = authentication_of(message)
    assert {told[name]["result"] for name in ("spf", "dkim", "dmarc")} == {"temperror"}
    assert provenance_of(message).standing == Standing.UNKNOWN
    assert provenance_of(take_in(house, sign(MAIL + b"more\r\n"))).standing == Standing.UNKNOWN


def test_what_dns_did_not_tell_is_asked_again_when_the_mail_is_read_again(
    house: House, dns: NameServer
) -> None:
    def read_again(message: Message) -> Standing:
        authenticity.usual_names().close()
        authenticity.usual_names.cache_clear()  # as in another process, which has not met the silence
        assert [tally.done for tally in reingest(Choice(message_id=message.pk))] == [1]
        message.refresh_from_db()
        return provenance_of(message).standing

    dns.down = True
    forged, honest = take_in(house, MAIL, peer="198.51.100.1"), take_in(house, sign())
    assert read_again(forged) == Standing.UNKNOWN
    dns.down = False
    assert (read_again(forged), read_again(honest)) == (Standing.FORGED, Standing.PROVEN)
    dns.down = True
    assert (read_again(forged), read_again(honest)) == (Standing.FORGED, Standing.PROVEN), "it is known now"


def test_it_is_asked_again_of_mail_that_was_held_and_released(house: House, dns: NameServer) -> None:
    dns.down = True
    held = accept(house, MAIL.replace(b"\r\n\r\n", b"\r\n\r\n" + GTUBE + b"\r\n", 1)).held
    assert held is not None
    message = release(house.as_alice, held, now=timezone.now())
    dns.down = False
    authenticity.usual_names().close()
    authenticity.usual_names.cache_clear()
    assert [tally.done for tally in reingest(Choice(message_id=message.pk))] == [1]
    message.refresh_from_db()
    assert authentication_of(message)["spf"]["result"] == "pass"


def test_a_failure_of_ours_files_the_mail_all_the_same(
    house: House, dns: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(authenticity, "check", fail)
    told = authentication_of(take_in(house, sign()))
    assert {told[name]["result"] for name in ("spf", "dkim", "dmarc", "arc")} == {"temperror"}


def test_what_came_before_was_not_checked_and_what_we_wrote_is_ours(house: House) -> None:
    message = arrive(house.support)
    assert provenance_of(message).standing == Standing.UNCHECKED
    assert authentication_of(message)["spf"]["result"] == "unchecked"
    message.direction = Direction.OUT
    assert provenance_of(message).standing == Standing.OURS
    assert authentication_of(message)["spf"]["result"] == "none"

"""Signed mail on its way: what the remote got, and what is answered afterwards."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from apps.mailboxes.models import Domain
from apps.mailboxes.selectors import raw_of
from apps.outbound.delivery import Claim, claim_due
from apps.outbound.draining.preparing import prepare
from apps.outbound.models import Delivery, DeliveryState, Lane, MessageSignature
from apps.outbound.signing import keys_for
from apps.outbound.signing.keyring import forget_keys
from apps.outbound.signing.rotation import activate, create_keys
from apps.outbound.signing.sending import raw_as_sent
from apps.outbound.wire.payload import Payload
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from tests.api.client import Api
from tests.outbound.sending import drain, make_due, only_delivery, send
from tests.outbound.signing.dkim_verifier import Dns, dns_of, use_cryptography_for_ed25519, verifies
from tests.people import House
from tests.remote.script import Phase, defer
from tests.remote.server import RemoteServer

use_cryptography_for_ed25519()


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget_keys()
    yield
    forget_keys()


def sign_for(house: House) -> Dns:
    """Keys for the house's domain, signing from now on, and a DNS that knows them."""
    domain = Domain.objects.get(name=house.domain)
    for key in create_keys(domain, timezone.now()):
        activate(key, timezone.now(), because="person")
    forget_keys()
    return dns_of({key.selector: key for key in keys_for(house.domain)}, house.domain)


def test_the_remote_gets_two_signatures_that_verify(house: House, relay: RemoteServer) -> None:
    dns = sign_for(house)
    send(house.as_key, "elena@x.example")
    drain()
    (received,) = relay.messages
    assert verifies(received.content, dns, nth=0)
    assert verifies(received.content, dns, nth=1)


def test_a_domain_without_keys_sends_unsigned(house: House, relay: RemoteServer) -> None:
    send(house.as_key, "elena@x.example")
    drain()
    assert b"DKIM-Signature" not in relay.messages[0].content


def test_all_recipients_and_retries_get_the_same_bytes(house: House, relay: RemoteServer) -> None:
    sign_for(house)
    relay.play(Phase.DOT, defer(), times=1)
    send(house.as_key, "elena@x.example", "piet@x.example")
    drain()
    make_due()
    drain()
    assert len({message.content for message in relay.messages}) == 1
    assert len(relay.messages) == 2
    assert MessageSignature.objects.count() == 1


def test_the_raw_message_is_the_very_bytes_that_were_sent(house: House, relay: RemoteServer) -> None:
    sign_for(house)
    submitted = send(house.as_key, "elena@x.example")
    before = raw_as_sent(house.as_key, submitted.message)
    drain()
    assert only_delivery(submitted).state == DeliveryState.SENT
    assert raw_as_sent(house.as_key, submitted.message) == before == relay.messages[0].content
    assert before.endswith(raw_of(submitted.message))


def test_what_a_worker_has_to_sign_is_answered_as_it_went(house: House, relay: RemoteServer) -> None:
    """Submitted before its domain had keys that sign."""
    submitted = send(house.as_key, "elena@x.example")
    assert raw_as_sent(house.as_key, submitted.message) == raw_of(submitted.message)
    dns = sign_for(house)
    drain()
    assert raw_as_sent(house.as_key, submitted.message) == relay.messages[0].content
    assert verifies(relay.messages[0].content, dns, nth=0)


def test_what_leaves_soon_is_signed_as_it_is_submitted(house: House, transactional_db: None) -> None:
    """A worker takes that signature as it is; what waits longer, or stays here, has none before its time."""
    sign_for(house)
    now = timezone.now()
    soon = send(house.as_key, "elena@x.example", send_at=now + timedelta(hours=23)).message
    kept = MessageSignature.objects.get()
    assert (kept.message_id, kept.made_at) == (soon.pk, soon.received_at)
    send(house.as_key, "elena@x.example", send_at=now + timedelta(hours=25))
    send(house.as_key, "bob@house.test", sender="alice@house.test")
    assert MessageSignature.objects.count() == 1

    Delivery.objects.filter(message=soon).update(due_at=now)
    claims = claim_due(Lane.INTERACTIVE, limit=5)
    (content,) = prepared(claims, timezone.now())
    assert content.startswith(bytes(kept.fields))


def test_rest_and_webmail_answer_those_bytes_too(house: House, relay: RemoteServer) -> None:
    sign_for(house)
    message = send(house.as_key, "elena@x.example", sender="alice@house.test").message
    MessageSignature.objects.all().delete()
    unsigned = Api.of(house.secret).get(f"/messages/{message.pk}/raw")
    drain()
    sent = Api.of(house.secret).get(f"/messages/{message.pk}/raw")
    assert sent.content == relay.messages[0].content
    assert sent.headers["ETag"] != unsigned.headers["ETag"]
    url = content_url(ContentKind.ORIGINAL, ContentClaim(message.pk, house.alice.pk), timezone.now())
    answer = Client().get(urlsplit(url).path, headers={"Host": urlsplit(url).netloc})
    assert answer.content == relay.messages[0].content


def test_who_received_it_here_is_answered_what_came_here(house: House, relay: RemoteServer) -> None:
    sign_for(house)
    submitted = send(house.as_key, "bob@house.test", "elena@x.example", sender="alice@house.test")
    drain()
    assert raw_as_sent(house.as_bob, submitted.message) == raw_of(submitted.message)
    assert raw_as_sent(house.as_alice, submitted.message).startswith(b"DKIM-Signature:")


def prepared(claims: list[Claim], now: datetime) -> list[bytes]:
    """What would go over the line for each of these claims."""
    answers = prepare(claims, (), now)
    return [answer.data for answer in answers if isinstance(answer, Payload)]


def test_two_workers_make_the_same_signature(house: House, transactional_db: None) -> None:
    sign_for(house)
    send(house.as_key, "elena@x.example")
    claims, now = claim_due(Lane.INTERACTIVE, limit=1), timezone.now()
    (first,) = prepared(claims, now)
    MessageSignature.objects.all().delete()
    assert prepared(claims, now + timedelta(seconds=90)) == [first]


def test_a_signature_is_made_anew_after_a_rotation_and_after_a_day(
    house: House, transactional_db: None
) -> None:
    sign_for(house)
    send(house.as_key, "elena@x.example")
    claims, now = claim_due(Lane.INTERACTIVE, limit=1), timezone.now()
    first = prepared(claims, now)
    dns = sign_for(house)
    rotated = prepared(claims, now)
    assert rotated != first
    assert verifies(rotated[0], dns)
    later = prepared(claims, now + timedelta(days=2))
    assert later != rotated
    assert prepared(claims, now + timedelta(days=2, hours=1)) == later


def test_a_batch_is_prepared_in_a_constant_number_of_queries(
    house: House, transactional_db: None, django_assert_num_queries: object
) -> None:
    """Suppressions, the look, and one transaction of three statements, whose beginning and end count too."""
    sign_for(house)
    for n in range(5):
        send(house.as_key, f"elena{n}@x.example")
    MessageSignature.objects.all().delete()
    claims, now = claim_due(Lane.INTERACTIVE, limit=5), timezone.now()
    keys_for(house.domain)
    with django_assert_num_queries(8):  # type: ignore[operator]
        assert len(prepared(claims, now)) == 5
    assert MessageSignature.objects.count() == 5
    with django_assert_num_queries(2):  # type: ignore[operator]
        assert len(prepared(claims, now)) == 5

"""Releasing, discarding and restoring held mail, by one person, by two at once, and by nobody."""

import threading
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.errors import AdminsOnly
from apps.accounts.principal import Principal
from apps.blobs.models import Blob
from apps.events.models import Event
from apps.inbound.models import ReceivedMessage
from apps.inbound.sweeper import forget_discarded
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Mailbox, MailboxEntry, Message
from apps.mailboxes.projection import prepare
from apps.mailboxes.selectors import raw_of
from apps.tickets import holding
from apps.tickets.errors import NotHeld, TrustInvalid
from apps.tickets.holding import KEPT_FOR, decide_several, discard, release, restore
from apps.tickets.models import HeldMessage, HeldState, Ticket, TicketState, TrustedSender
from apps.tickets.selectors import held_for, held_one, messages_of
from apps.tickets.trust import distrust_sender, names_of, trust_sender, trusted_senders_for
from tests.arrivals import arrive
from tests.inbound.arriving import take
from tests.mail import raw_mail
from tests.people import House
from tests.screening.files import EICAR, GTUBE

pytestmark = pytest.mark.django_db(transaction=True)

SPAM = GTUBE.decode() + "\r\n"


def held_mail(house: House, *recipients: str, text: str = SPAM, **mail: Any) -> HeldMessage:
    """One mail that the built-in scanner takes for spam, through ingest."""
    row = take(house, raw_mail(text=text, **mail), *recipients)
    assert row.held is not None
    return row.held


def test_released_mail_joins_the_ticket_that_it_answers(house: House) -> None:
    arrive(house.support)
    ticket = Ticket.objects.get()
    Ticket.objects.update(state=TicketState.SOLVED, solved_at=timezone.now())
    held = held_mail(
        house, message_id="b@customer.example", headers={"In-Reply-To": "<first@customer.example>"}
    )
    message = release(house.as_alice, held, now=timezone.now())
    ticket = Ticket.objects.get()
    assert [one.pk for one in messages_of(house.as_alice, ticket)][-1] == message.pk
    assert ticket.state == TicketState.OPEN, "the customer has written again"
    assert (message.received_at, message.envelope_sender) == (held.received_at, "elena@customer.example")
    assert GTUBE in raw_of(message)


def test_released_mail_comes_to_the_top_unread_in_every_mailbox_it_was_for(house: House) -> None:
    held = held_mail(house, "support@house.test", "alice@house.test")
    HeldMessage.objects.update(received_at=timezone.now() - timedelta(days=2))
    held.refresh_from_db()
    later = timezone.now()
    message = release(house.as_alice, held, now=later)
    entries = MailboxEntry.objects.filter(message=message)
    assert {(one.mailbox_id, one.is_read, one.sorted_at) for one in entries} == {
        (house.support.pk, False, later),
        (house.alices.pk, False, later),
    }
    ticket = Ticket.objects.get()
    assert (ticket.opened_at, ticket.last_activity_at) == (held.received_at, later)


def test_who_decided_and_when_is_kept(house: House) -> None:
    held = held_mail(house)
    message = release(house.as_alice, held, now=timezone.now())
    held.refresh_from_db()
    assert (held.state, held.decided_by, held.message) == (HeldState.RELEASED, house.alice, message)
    assert held.decided_at is not None
    told = Event.objects.get(kind="message.released")
    assert (told.actor, told.message_id, told.data["cause"]) == (
        house.as_alice.actor,
        message.pk,
        "spam",
    )
    assert Event.objects.filter(kind="message.held").count() == 1


def test_releasing_twice_is_releasing_once(house: House) -> None:
    held = held_mail(house)
    first = release(house.as_alice, held, now=timezone.now())
    assert release(house.as_bob, held, now=timezone.now()) == first
    assert Message.objects.count() == 1
    with pytest.raises(NotHeld):
        discard(house.as_bob, held, now=timezone.now())


def at_once(*works: Any) -> list[Any]:
    """Run each in a thread of its own; what they answered, or raised."""
    answers: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(n: int) -> None:
        try:
            start.wait(timeout=20)
            answers[n] = works[n]()
        except Exception as error:  # noqa: BLE001  # it is the answer
            answers[n] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_two_people_who_release_at_once_file_one_message(house: House) -> None:
    held = held_mail(house)
    one, two = at_once(
        lambda: release(house.as_alice, held, now=timezone.now()),
        lambda: release(house.as_bob, held, now=timezone.now()),
    )
    assert one == two == Message.objects.get()
    assert Ticket.objects.count() == 1
    assert Event.objects.filter(kind="message.released").count() == 1


def test_release_and_discard_at_once_come_to_one_of_them(house: House) -> None:
    for n in range(4):
        held = held_mail(house, message_id=f"{n}@customer.example")
        released, discarded = at_once(
            lambda held=held: release(house.as_alice, held, now=timezone.now()),
            lambda held=held: discard(house.as_bob, held, now=timezone.now()),
        )
        held.refresh_from_db()
        if held.state == HeldState.RELEASED:
            assert isinstance(released, Message)
            assert isinstance(discarded, NotHeld)
        else:
            assert isinstance(released, NotHeld)
            assert discarded is None
        assert Message.objects.filter(raw=held.raw).count() == (held.state == HeldState.RELEASED)


def test_a_release_that_dies_half_way_leaves_the_mail_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = held_mail(house)

    def die(*args: object, **named: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(holding, "_lay_on_top", die)
        with pytest.raises(SystemExit):
            release(house.as_alice, held, now=timezone.now())
    held.refresh_from_db()
    assert held.state == HeldState.WAITING
    assert not Message.objects.exists()
    release(house.as_alice, held, now=timezone.now())
    assert Ticket.objects.count() == 1


def test_a_virus_is_let_in_by_an_admin_alone(house: House) -> None:
    held = held_mail(house, text=EICAR.decode() + "\r\n")
    with pytest.raises(AdminsOnly):
        release(house.as_alice, held, now=timezone.now())
    for anybody in (house.as_alice, Principal.of_user(house.admin)):
        assert decide_several(anybody, [held.pk], "release", now=timezone.now()) == [], "not among others"
    assert release(Principal.of_user(house.admin), held, now=timezone.now()) == Message.objects.get()


def test_of_many_mails_those_that_nobody_waits_for_stay_held(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them may be as slow to read as hostile mail can be made."""
    mails = [held_mail(house, message_id=f"{n}@customer.example") for n in range(3)]
    seconds, read = [0.0], prepare

    def read_slowly(*arguments: Any, **more: Any) -> Any:
        seconds[0] += 15
        return read(*arguments, **more)

    monkeypatch.setattr(holding, "prepare", read_slowly)
    monkeypatch.setattr(holding, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    asked = [held.pk for held in mails]
    assert decide_several(house.as_bob, asked, "release", now=timezone.now()) == mails[:2]
    assert HeldMessage.objects.get(state=HeldState.WAITING) == mails[2]


def test_discarded_mail_can_be_restored_and_then_released(house: House) -> None:
    held = held_mail(house)
    discard(house.as_alice, held, now=timezone.now())
    with pytest.raises(NotHeld):
        release(house.as_alice, held, now=timezone.now())
    restore(house.as_bob, held, now=timezone.now())
    with pytest.raises(NotHeld):
        restore(house.as_bob, held, now=timezone.now())
    held.refresh_from_db()
    assert (held.state, held.decided_at, held.decided_by, held.decided_actor) == ("waiting", None, None, "")
    release(house.as_alice, held, now=timezone.now())
    assert Ticket.objects.count() == 1


def test_only_what_a_person_discarded_is_erased_and_only_after_its_time(house: House) -> None:
    kept = held_mail(house, message_id="kept@customer.example", subject="Kept")
    gone = held_mail(house, message_id="gone@customer.example", subject="Gone")
    discard(house.as_alice, gone, now=timezone.now())
    in_time = timezone.now() + KEPT_FOR - timedelta(minutes=1)
    assert forget_discarded(in_time) == 0
    assert forget_discarded(timezone.now() + KEPT_FOR + timedelta(days=1000)) == 1
    assert HeldMessage.objects.get() == kept
    assert ReceivedMessage.objects.get().held_id == kept.pk
    assert list(Blob.objects.all()) == [kept.raw]


def test_bytes_that_somebody_else_still_has_outlive_the_discarded_mail(house: House) -> None:
    held = held_mail(house)
    again = take(house, raw_mail(text=SPAM), "alice@house.test")
    discard(house.as_alice, held, now=timezone.now())
    assert forget_discarded(timezone.now() + KEPT_FOR + timedelta(days=1)) == 1
    assert Blob.objects.filter(pk=again.raw_id).exists()


def test_members_see_what_is_for_their_mailboxes_and_admins_all(house: House, stranger: House) -> None:
    for_alice = held_mail(house, "alice@house.test")
    for_all = held_mail(house, "support@house.test", message_id="b@x.example")
    assert set(held_for(house.as_alice)) == {for_alice, for_all}
    assert set(held_for(house.as_bob)) == {for_all}
    assert set(held_for(Principal.of_user(house.admin))) == {for_alice, for_all}
    assert set(held_for(house.as_key)) == {for_alice, for_all}
    assert not held_for(stranger.as_key).exists()
    for outsider in (house.as_bob, stranger.as_key):
        with pytest.raises(NotVisible):
            held_one(outsider, for_alice.pk)
    ids = [for_alice.pk, for_all.pk]
    assert decide_several(house.as_bob, ids, "discard", now=timezone.now()) == [for_all]


def test_mail_whose_mailbox_has_gone_is_released_to_the_team(house: House) -> None:
    held = held_mail(house, "alice@house.test")
    house.alices.delete()
    assert HeldMessage.objects.filter(pk=held.pk).exists(), "held mail does not go with a mailbox"
    message = release(Principal.of_user(house.admin), held, now=timezone.now())
    assert MailboxEntry.objects.get(message=message).mailbox_id == house.support.pk


def test_mail_with_no_place_left_stays_held(house: House) -> None:
    held = held_mail(house)
    Mailbox.objects.all().delete()
    with pytest.raises(NotHeld):
        release(house.as_key, held, now=timezone.now())
    held.refresh_from_db()
    assert held.state == HeldState.WAITING


def test_what_is_being_judged_again_is_not_said_to_be_discarded(house: House) -> None:
    held = held_mail(house)
    ReceivedMessage.objects.update(held=None)
    HeldMessage.objects.all().delete()
    with pytest.raises(NotHeld, match="not held any more"):
        release(house.as_alice, held, now=timezone.now())


def test_released_with_trust_its_sender_is_trusted(house: House) -> None:
    release(house.as_alice, held_mail(house), now=timezone.now(), trust=True)
    row = trusted_senders_for(house.as_bob).get()
    assert (row.sender, row.added_by) == ("elena@customer.example", house.alice)
    distrust_sender(house.as_bob, row)
    distrust_sender(house.as_bob, row)
    assert not TrustedSender.objects.exists()
    kinds = Event.objects.filter(kind__startswith="sender.").values_list("kind", flat=True)
    assert sorted(kinds) == ["sender.distrusted", "sender.trusted"]


@pytest.mark.parametrize(
    "sender",
    ["", "nobody", "@", "a@b@c", "gmail.com", "yahoo.co.uk", "co.uk", "[192.0.2.1]", "two words.example"],
)
def test_what_cannot_be_trusted_is_refused_with_a_reason(house: House, sender: str) -> None:
    with pytest.raises(TrustInvalid) as refused:
        trust_sender(house.as_alice, sender, now=timezone.now())
    assert refused.value.field == "sender"


@pytest.mark.parametrize(
    ("sender", "kept"),
    [
        ("Elena@CUSTOMER.example", "elena@customer.example"),
        ("@customer.example", "customer.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("elena@gmail.com", "elena@gmail.com"),
        ("live.customer.example", "live.customer.example"),
    ],
)
def test_senders_are_kept_in_one_form(house: House, sender: str, kept: str) -> None:
    now: datetime = timezone.now()
    assert trust_sender(house.as_alice, sender, now=now).sender == kept
    assert trust_sender(house.as_bob, sender, now=now) == TrustedSender.objects.get()


def test_an_address_is_trusted_by_itself_and_by_the_domains_it_lies_in() -> None:
    assert names_of("Elena@mail.customer.example") == [
        "elena@mail.customer.example",
        "mail.customer.example",
        "customer.example",
    ]
    assert names_of("no address") == []

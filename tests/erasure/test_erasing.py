"""Erasing a customer: nothing of theirs is left anywhere, and everything of everybody else is."""

import threading
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.accounts.errors import AdminsOnly
from apps.blobs.discarding import delete_discarded
from apps.blobs.models import Blob, DiscardedObject
from apps.blobs.reconcile import Reconciliation
from apps.blobs.repacking import repack_some
from apps.erasure import walk
from apps.erasure.errors import ErasureInvalid
from apps.erasure.models import Erasure, ErasureState
from apps.erasure.services import erasures_for, request_erasure
from apps.erasure.walk import all_steps, erase_some
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import Envelope, accept_message
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of, text_of
from apps.organisations.erasing import Subject, pseudonym_of
from apps.outbound.bounces.suppressions import suppress, suppressed_among
from apps.outbound.models import Delivery, RefusedSubmission, Suppression, SuppressionReason
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.finding import find_messages
from apps.tickets.models import HeldMessage, Note, Ticket, TrustedSender
from tests.arrivals import arrive
from tests.erasure.customer import (
    ELENA,
    MARK,
    be_mentioned,
    everything_rests,
    leave_traces,
    receive,
    write_and_be_answered,
)
from tests.erasure.traces import contents_in_cache, empty_bucket, objects_that_say, tables_that_say
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_of_others(house: House) -> None:
    cache.clear()
    empty_bucket()


def erase(house: House, address: str = ELENA) -> Erasure:
    """To the very end, S3 included."""
    erasure = request_erasure(house.as_key, address, confirmation=address, now=timezone.now())
    finish()
    erasure.refresh_from_db()
    return erasure


def finish() -> None:
    while erase_some():
        pass
    # Packs, and copies of large contents, wait for ten minutes.
    DiscardedObject.objects.update(delete_after=timezone.now())
    while delete_discarded() + repack_some():
        pass


def test_nothing_of_a_customer_is_left_in_any_table_object_or_cache(house: House) -> None:
    write_and_be_answered(house)
    leave_traces(house)
    before = everything_rests()
    assert {"mailboxes_message", "tickets_ticket", "outbound_suppression"} <= set(tables_that_say(ELENA))
    assert {"mailboxes_message", "tickets_heldmessage"} <= set(tables_that_say(MARK))
    assert objects_that_say(ELENA)
    assert objects_that_say(MARK)

    erasure = erase(house)

    assert erasure.state == ErasureState.DONE
    for word in (ELENA, MARK, "Elena Marsh"):
        assert tables_that_say(word) == [], word
        assert objects_that_say(word) == [], word
    gone = set(before) - set(Blob.objects.values_list("pk", flat=True))
    assert gone
    assert contents_in_cache(gone) == []
    assert list(Reconciliation(timezone.now(), deep=True).findings()) == []


def test_what_the_spool_holds_goes_too(house: House) -> None:
    write_and_be_answered(house)
    leave_traces(house)
    erase(house)
    assert tables_that_say(MARK) == []
    assert objects_that_say(MARK) == []


def test_the_line_that_stays_tells_how_much_and_not_whose(house: House) -> None:
    write_and_be_answered(house)
    leave_traces(house)
    erasure = erase(house)
    counts = {kind: erasure.counts[kind] for kind in ("messages", "held", "refused", "tickets", "trusted")}
    # Two mails, two acknowledgements, the answer and its report; each mail opened a ticket.
    assert counts == {"messages": 6, "held": 1, "refused": 1, "tickets": 2, "trusted": 1}
    assert erasure.sealed_address == ""
    assert erasure.requested_by == house.as_key.actor
    assert erasure.finished_at is not None
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        Erasure.objects.filter(pk=erasure.pk).update(counts={})


def test_a_ticket_stays_as_a_shell_with_its_notes(house: House) -> None:
    ticket = write_and_be_answered(house)
    erase(house)
    shell = Ticket.objects.get(pk=ticket.pk)
    assert (shell.number, shell.requester_name, shell.subject) == (ticket.number, "Erased customer", "Erased")
    assert Note.objects.get().text == f"Elena ({pseudonym_of(house.organisation.pk, ELENA)}) is nice."


def test_mail_that_is_not_theirs_alone_stays_with_a_pseudonym(house: House) -> None:
    be_mentioned(house)
    everything_rests()
    erasure = erase(house)
    assert erasure.counts["rewritten_messages"] == 2
    assert erasure.counts.get("messages", 0) == 0
    pseudonym = pseudonym_of(house.organisation.pk, ELENA)
    bens = Message.objects.get(sender_address="ben@customer.example")
    assert text_of(bens) == f"Please answer {pseudonym} too."
    assert {"name": "", "address": pseudonym} in bens.to
    assert pseudonym.encode() in raw_of(bens)
    assert b"ben@customer.example" in raw_of(bens)
    assert ReceivedMessage.objects.get().raw_id == bens.raw_id
    ours = Message.objects.get(subject="To both of you")
    assert set(Delivery.objects.filter(message=ours).values_list("recipient", "state")) == {
        (pseudonym, "sent"),
        ("carla@slow.example", "sent"),
    }
    everything_rests()
    for word in (ELENA, MARK):
        assert tables_that_say(word) == [], word
        assert objects_that_say(word) == [], word
    assert find_messages(house.as_key, Message.objects.all(), pseudonym, timezone.now()).count() == 2


def test_who_asked_for_no_more_mail_still_gets_none(house: House) -> None:
    leave_traces(house)
    assert ELENA in suppressed_among(house.organisation.pk, [ELENA])
    erase(house)
    assert tables_that_say(ELENA) == []
    assert ELENA in suppressed_among(house.organisation.pk, [ELENA])
    assert "ben@customer.example" not in suppressed_among(house.organisation.pk, ["ben@customer.example"])


def test_the_same_customer_of_another_organisation_is_untouched(house: House, stranger: House) -> None:
    theirs = arrive(stranger.support, to="support@stranger.test")
    arrive(house.support)
    erase(house)
    assert list(Message.objects.all()) == [theirs]
    assert text_of(theirs).startswith("Hello")


def test_erasing_again_finds_nothing_and_leaves_a_line(house: House) -> None:
    arrive(house.support)
    first, second = erase(house), erase(house)
    assert first.counts["messages"] == 1
    assert {kind: n for kind, n in second.counts.items() if n} == {}
    assert first.fingerprint == second.fingerprint
    assert erasures_for(house.as_key).count() == 2


def test_killed_between_any_two_pieces_it_goes_on_where_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every piece is begun once and taken back, as a kill before its commit does, before it is done."""
    monkeypatch.setattr("apps.outbound.erasing.AT_ONCE", 1)
    monkeypatch.setattr("apps.mailboxes.erasing.BYTES_AT_ONCE", 1)
    write_and_be_answered(house)
    leave_traces(house)
    be_mentioned(house)
    request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())

    class Killed(Exception):
        pass

    real = walk._erase

    def killed(*args: Any) -> bool:
        with transaction.atomic():
            real(*args)
            raise Killed

    pieces = 0
    for _n in range(1000):
        monkeypatch.setattr(walk, "_erase", killed)
        try:
            more = erase_some()
        except Killed:
            pieces += 1
            monkeypatch.setattr(walk, "_erase", real)
            more = erase_some()
        if not more:
            break
    assert pieces > 8
    finish()
    done = Erasure.objects.get()
    assert done.state == ErasureState.DONE
    assert (done.counts["messages"], done.counts["tickets"], done.counts["rewritten_messages"]) == (6, 2, 2)
    assert tables_that_say(MARK) == []


def test_two_processes_at_once_count_nothing_twice(house: House) -> None:
    for n in range(12):
        arrive(house.support, message_id=f"{n}@customer.example", text=f"{n}")
    request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())
    errors: list[Exception] = []

    def work() -> None:
        try:
            while erase_some():
                pass
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _n in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(120)
    assert errors == []
    done = Erasure.objects.get()
    assert (done.state, done.counts["messages"]) == (ErasureState.DONE, 12)
    assert not Message.objects.exists()


def test_mail_that_was_accepted_before_is_filed_first(house: House) -> None:
    envelope = Envelope("", {house.organisation.pk: ("support@house.test",)}, "192.0.2.7", "mail")
    accept_message(envelope, raw_mail(), now=timezone.now())
    erasure = erase(house)
    assert erasure.state == ErasureState.RUNNING
    receive(house, raw_mail(sender="ben@customer.example", message_id="x@y"), sender="ben@customer.example")
    finish()
    erasure.refresh_from_db()
    assert (erasure.state, erasure.counts["messages"]) == (ErasureState.DONE, 1)
    assert ReceivedMessage.objects.count() == 1


def test_mail_after_the_request_is_kept_as_any(house: House) -> None:
    """While an erasure waits, or walks, its customer may write again and be answered: none of that was asked for."""
    write_and_be_answered(house)
    erasure = request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())
    later = raw_mail(subject="Is it done?", text=f"{ELENA} asks", message_id="later@customer.example")
    receive(house, later)
    ticket = Ticket.objects.get(subject="Is it done?")
    reply = Reply(text=f"Nearly, {ELENA}.")
    answer = reply_to_ticket(house.as_alice, ticket, reply, idempotency_key="two", now=timezone.now())
    finish()
    erasure.refresh_from_db()
    assert erasure.state == ErasureState.DONE
    asked = Message.objects.get(subject="Is it done?", direction="in")
    assert set(Message.objects.values_list("pk", flat=True)) == {asked.pk, answer.message.pk}
    assert (raw_of(asked), asked.sender_address) == (later, ELENA)
    assert Delivery.objects.get(message=answer.message).recipient == ELENA
    assert ReceivedMessage.objects.get(message=asked).envelope_sender == ELENA
    ticket.refresh_from_db()
    assert ticket.requester_address == ELENA


def test_who_was_erased_and_is_suppressed_again_can_be_erased_again(house: House) -> None:
    leave_traces(house)
    erase(house)
    suppress(house.organisation.pk, ELENA, SuppressionReason.MANUAL, now=timezone.now())
    assert tables_that_say(ELENA) == []  # what stands under the pseudonym weighs more
    Suppression.objects.create(
        organisation=house.organisation,
        address=ELENA,
        reason=SuppressionReason.HARD_BOUNCE,
        created_at=timezone.now(),
    )
    erasure = erase(house)
    assert erasure.state == ErasureState.DONE
    assert tables_that_say(ELENA) == []
    assert Suppression.objects.get().reason == SuppressionReason.UNSUBSCRIBED


def test_an_address_of_another_organisation_is_a_customers_here(house: House, stranger: House) -> None:
    """Refusing it would tell who else is here, and keep a customer from being erased."""
    write = raw_mail(sender="support@stranger.test", message_id="s@stranger.test")
    receive(house, write, sender="support@stranger.test")
    erasure = erase(house, "support@stranger.test")
    assert (erasure.state, erasure.counts["messages"]) == (ErasureState.DONE, 1)
    stranger.support.refresh_from_db()
    assert stranger.support.address == "support@stranger.test"


def test_every_table_with_words_is_walked(house: House) -> None:
    """A table that somebody adds is found by itself; what is platform-wide or of people is not a customer's."""
    walked = {step.name.removeprefix("rewrite ") for step in all_steps()}
    assert {
        "tickets.Note",
        "outbound.Delivery",
        "outbound.DeliveryAttempt",
        "outbound.DeliveryReport",
        "outbound.RefusedFile",
        "mailboxes.Part",
        "automation.Acknowledgement",
        "inbound.ReceivedMessage",
        "tickets.HeldMessage",
    } <= walked


@pytest.mark.parametrize(
    ("text", "is_theirs"),
    [
        ("elena@customer.example", True),
        ("<ELENA@Customer.Example>", True),
        ("mailto:elena@customer.example.", True),
        ("bounce-elena=customer.example@lists.example", False),
        ("elena=customer.example@lists.example", True),
        ("xelena@customer.example", False),
        ("elena@customer.example.org", False),
        ("elena@customer.examples", False),
        ("e.elena@customer.example", False),
    ],
)
def test_an_address_is_recognised_and_no_other_is(house: House, text: str, *, is_theirs: bool) -> None:
    subject = Subject(house.organisation.pk, ELENA, timezone.now())
    assert (subject.redact(text.encode()) != text.encode()) is is_theirs
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s ~* %s", [text, subject.pattern])
        assert cursor.fetchone() == (is_theirs,)


def test_a_domain_is_recognised_in_both_its_forms(house: House) -> None:
    subject = Subject(house.organisation.pk, "elena@xn--bcher-kva.example", timezone.now())
    for text in ("elena@bücher.example", "elena@xn--bcher-kva.example"):
        assert subject.redact(text.encode()) == subject.pseudonym.encode()


def test_only_an_admin_may_ask_and_must_mean_it(house: House) -> None:
    arrive(house.support)
    with pytest.raises(AdminsOnly):
        request_erasure(house.as_alice, ELENA, confirmation=ELENA, now=timezone.now())
    for address, confirmation, field in (
        (ELENA, "elena@customer.exampl", "confirmation"),
        (ELENA, "", "confirmation"),
        ("no address", "no address", "address"),
        ("support@house.test", "support@house.test", "address"),
        ("alice@house.test", "alice@house.test", "address"),
    ):
        with pytest.raises(ErasureInvalid) as refused:
            request_erasure(house.as_key, address, confirmation=confirmation, now=timezone.now())
        assert refused.value.field == field
    assert not Erasure.objects.exists()
    assert Message.objects.count() == 1


def test_one_that_is_under_way_is_answered_again(house: House) -> None:
    first = request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())
    again = request_erasure(house.as_key, ELENA.upper(), confirmation=ELENA, now=timezone.now())
    assert first == again


def test_an_address_that_can_be_read_no_more_ends_it(house: House, settings: Any) -> None:
    erasure = request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())
    settings.SECRET_KEY = "another one entirely"
    finish()
    erasure.refresh_from_db()
    assert erasure.state == ErasureState.FAILED


def test_the_command_erases_to_the_end(house: House) -> None:
    arrive(house.support)
    everything_rests()
    call_command("erase_customer", ELENA, organisation="House", yes=True)
    assert tables_that_say(ELENA) == []
    assert objects_that_say(ELENA) == []
    assert Erasure.objects.get().requested_by == "operator"
    with pytest.raises(CommandError):
        call_command("erase_customer", "alice@house.test", organisation="House", yes=True)
    with pytest.raises(CommandError):
        call_command("erase_customer", ELENA, organisation="Nobody", yes=True)


def test_what_is_left_refers_to_nothing_that_is_gone(house: House) -> None:
    write_and_be_answered(house)
    leave_traces(house)
    be_mentioned(house)
    everything_rests()
    erase(house)
    assert not RefusedSubmission.objects.exists()
    assert not HeldMessage.objects.exists()
    assert not TrustedSender.objects.exists()
    everything_rests()
    assert list(Reconciliation(timezone.now(), deep=True).findings()) == []

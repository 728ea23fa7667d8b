"""What people mark is learned once, taken back to the last count, and keeps spam out of the Inbox."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.blobs.models import Blob
from apps.classify.spam import ENOUGH, Learned
from apps.events.services import sequence_committed
from apps.inbound.actors import learn_spam
from apps.mailboxes.models import Folder, MailboxEntry, Message
from apps.mailboxes.projection import prepare
from apps.organisations.models import Organisation
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets import spam
from apps.tickets.holding import discard, release, restore
from apps.tickets.models import HoldCause, Opinion, SpamClue, SpamKnowledge, SpamMark, Ticket
from apps.tickets.spam import (
    forget_old_clues,
    is_anything_to_learn,
    learn_due,
    learn_from_answers,
    mark_conversation,
    mark_message,
    note_opinion,
)
from tests.arrivals import arrive
from tests.inbound.arriving import judged, take
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)

SPAM_WORDS = "refinance your mortgage now, act today, no obligation, click here http://loans.example/apply"
HAM_WORDS = "the pump of order {n} leaks since tuesday, could you send a technician to our site please"


def spam_mail(n: int) -> bytes:
    return raw_mail(
        sender=f"offers{n}@loans.example",
        subject=f"Approved {n}",
        text=f"{SPAM_WORDS} offer{n}\r\n",
        message_id=f"s{n}@loans.example",
    )


def ham_mail(n: int) -> bytes:
    return raw_mail(
        sender=f"Ben{n} <ben{n}@pumps.example>",
        subject=f"Pump {n}",
        text=HAM_WORDS.format(n=n) + "\r\n",
        message_id=f"h{n}@pumps.example",
    )


def mark(house: House, message: Message, *, is_spam: bool) -> None:
    mark_conversation(house.as_alice, house.support, message.thread_id, is_spam=is_spam, now=timezone.now())


def teach(house: House, count: int = ENOUGH) -> None:
    for n in range(count):
        mark(house, arrive(house.support, spam_mail(n)), is_spam=True)
        mark(house, arrive(house.support, ham_mail(n)), is_spam=False)
    while learn_due():
        pass


def known(organisation: Organisation) -> tuple[int, int]:
    row = SpamKnowledge.objects.filter(pk=organisation.pk).first()
    return (row.spam, row.ham) if row else (0, 0)


def test_marked_mail_moves_and_is_learned_once(house: House) -> None:
    message = arrive([house.support, house.alices], spam_mail(1))
    mark(house, message, is_spam=True)
    folders = {one.mailbox_id: one.folder for one in MailboxEntry.objects.all()}
    assert folders == {house.support.pk: Folder.SPAM, house.alices.pk: Folder.INBOX}
    mark(house, message, is_spam=True)
    learn_spam.fn()
    learn_spam.fn()
    assert known(house.organisation) == (1, 0)
    assert set(SpamClue.objects.values_list("spam", "ham")) == {(1, 0)}
    mark_message(house.as_alice, message, is_spam=True, now=timezone.now())
    learn_spam.fn()
    assert known(house.organisation) == (1, 0), "the same mail in another mailbox is the same mail"
    assert set(MailboxEntry.objects.values_list("folder", flat=True)) == {Folder.SPAM}


def test_a_mark_that_is_taken_back_leaves_no_trace_in_what_was_learned(house: House) -> None:
    message, other = arrive(house.support, spam_mail(1)), arrive(house.support, spam_mail(2))
    mark(house, other, is_spam=True)
    learn_due()
    before = set(SpamClue.objects.values_list("digest", "spam", "ham"))
    mark(house, message, is_spam=True)
    learn_due()
    note_opinion(house.as_bob, message.raw, Opinion.NONE, now=timezone.now())
    learn_due()
    after = set(SpamClue.objects.exclude(spam=0, ham=0).values_list("digest", "spam", "ham"))
    assert (after, known(house.organisation)) == (before, (1, 0))


def test_a_mark_that_is_turned_round_is_learned_the_other_way(house: House) -> None:
    message = arrive(house.support, spam_mail(1))
    mark(house, message, is_spam=True)
    learn_due()
    mark(house, message, is_spam=False)
    learn_due()
    assert known(house.organisation) == (0, 1)
    assert set(SpamClue.objects.values_list("spam", "ham")) == {(0, 1)}


def test_a_mark_that_changes_while_it_is_learned_is_learned_as_it_is_then(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = arrive(house.support, spam_mail(1))
    mark(house, message, is_spam=True)
    look = spam._clues_of

    def change_meanwhile(lesson: "spam._Lesson") -> list[int] | None:
        clues = look(lesson)
        mark(house, message, is_spam=False)
        return clues

    with monkeypatch.context() as slow:
        slow.setattr(spam, "_clues_of", change_meanwhile)
        learn_due()
    assert known(house.organisation) == (0, 0)
    learn_due()
    assert known(house.organisation) == (0, 1)


def test_a_worker_that_dies_while_it_learns_leaves_the_lesson_to_be_learned(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark(house, arrive(house.support, spam_mail(1)), is_spam=True)

    def die(*args: object, **named: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(SpamMark.objects, "select_for_update", die)
        with pytest.raises(SystemExit):
            learn_due()
    assert (is_anything_to_learn(), known(house.organisation)) == (True, (0, 0))
    learn_due()
    assert known(house.organisation) == (1, 0)


def test_workers_at_once_learn_each_mail_once(house: House) -> None:
    for n in range(8):
        mark(house, arrive(house.support, spam_mail(n)), is_spam=True)

    def work() -> None:
        try:
            learn_due()
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert known(house.organisation) == (8, 0)
    assert SpamClue.objects.order_by("-spam")[0].spam == 8


def test_a_mail_whose_bytes_have_gone_is_forgotten(house: House) -> None:
    mark(house, arrive(house.support, spam_mail(1)), is_spam=True)
    SpamMark.objects.update(sha256=b"\0" * 32)
    learn_due()
    assert not SpamMark.objects.exists()
    assert not is_anything_to_learn()


def test_learned_spam_is_held_with_the_words_that_gave_it_away(house: House, stranger: House) -> None:
    teach(house)
    hold = judged(house, spam_mail(900))
    assert hold is not None
    assert hold.cause == HoldCause.SPAM
    assert "your team has marked as spam" in hold.reason
    assert "“" in hold.reason, "it names words"
    assert any("20 mails of spam and 20 of others" in one for one in hold.details)
    assert judged(house, ham_mail(900)) is None
    assert judged(house, raw_mail()) is None
    assert judged(stranger, spam_mail(900)) is None, "what one organisation learned is its own"


def test_nothing_is_spam_before_enough_was_learned(house: House) -> None:
    teach(house, ENOUGH - 1)
    assert judged(house, spam_mail(900)) is None
    parsed = prepare(spam_mail(900)).parsed
    assert spam.score_of(house.organisation.pk, parsed, Learned(ENOUGH - 1, ENOUGH)) is None


def test_an_answer_to_our_own_mail_is_never_spam_by_its_words(house: House) -> None:
    teach(house)
    customers = arrive(
        house.support, raw_mail(sender="offers5@loans.example", message_id="first@loans.example")
    )
    ticket = Ticket.objects.get(thread=customers.thread)
    reply = Reply(text="We have mended it.", to=("Offers5@Loans.example",))
    answer = reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=timezone.now())
    answering = spam_mail(5).replace(
        b"MIME-Version", f"In-Reply-To: <{answer.message.rfc_message_id}>\r\nMIME-Version".encode()
    )
    assert judged(house, answering) is None
    from_another = answering.replace(b"offers5@", b"offers6@")
    assert judged(house, from_another) is not None, "only whom we wrote to answers us"


def test_what_an_agent_answers_is_learned_as_good_mail(house: House) -> None:
    message = arrive(house.support, ham_mail(1))
    reply = Reply(text="A technician comes tomorrow.", to=("ben1@pumps.example",))
    reply_to_ticket(house.as_alice, Ticket.objects.get(), reply, idempotency_key=None, now=timezone.now())
    sequence_committed()
    assert learn_from_answers() > 0
    row = SpamMark.objects.get()
    assert (bytes(row.sha256), row.opinion, row.by_person) == (bytes(message.raw.sha256), Opinion.HAM, False)
    learn_due()
    assert known(house.organisation) == (0, 1)
    mark(house, message, is_spam=True)
    learn_due()
    assert known(house.organisation) == (1, 0), "what a person says outweighs it"


def test_the_word_of_a_person_is_not_overruled_by_an_answer(house: House) -> None:
    message = arrive(house.support, ham_mail(1))
    mark(house, message, is_spam=True)
    reply = Reply(text="Please stop.", to=("ben1@pumps.example",))
    reply_to_ticket(house.as_alice, Ticket.objects.get(), reply, idempotency_key=None, now=timezone.now())
    sequence_committed()
    learn_from_answers()
    assert SpamMark.objects.get().opinion == Opinion.SPAM


def test_what_is_decided_of_held_spam_is_learned(house: House) -> None:
    teach(house)
    spam_before, ham_before = known(house.organisation)
    released, discarded = (take(house, spam_mail(n)).held for n in (901, 902))
    assert released is not None
    assert discarded is not None
    release(house.as_alice, released, now=timezone.now())
    discard(house.as_alice, discarded, now=timezone.now())
    learn_due()
    assert known(house.organisation) == (spam_before + 1, ham_before + 1)
    restore(house.as_alice, discarded, now=timezone.now())
    learn_due()
    assert known(house.organisation) == (spam_before, ham_before + 1)


def test_old_and_rare_clues_give_way_when_there_are_too_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(house, 3)
    everywhere = SpamClue.objects.filter(spam__gte=3).count()
    monkeypatch.setattr(spam, "MAX_CLUES_KEPT", everywhere)
    now = timezone.now()
    assert forget_old_clues(now) > 0
    assert SpamClue.objects.count() <= everywhere
    assert SpamClue.objects.filter(spam__gte=3).exists(), "what says most stays"
    assert SpamMark.objects.exists()
    forget_old_clues(now + timedelta(days=400))
    assert not SpamMark.objects.exists()
    assert Blob.objects.exists()

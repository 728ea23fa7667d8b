"""Many conversations at once, and all of it taken back."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.labels import create_label, labels_by_thread
from apps.mailboxes.models import Folder, MailboxEntry, Message, Side, Snooze
from apps.mailboxes.services import add_entry, move_conversation
from apps.mailboxes.snoozing import wake_due
from apps.tickets.bulk import KEPT_FOR, Wish, change_for, do_to_many, forget_old_changes, undo
from apps.tickets.errors import TicketInvalid
from apps.tickets.models import BulkChange, Deed, Opinion, SpamMark, Ticket, TicketState
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def mails(house: House) -> list[Message]:
    return [
        arrive(house.support, message_id=f"{n}@x.example", subject=f"Mail {n}", at=NOW + timedelta(minutes=n))
        for n in range(3)
    ]


def do(house: House, mails: list[Message], wish: Wish) -> BulkChange:
    return do_to_many(house.as_alice, house.support, [one.thread_id for one in mails], wish, now=NOW)


def take_back(house: House, change: BulkChange) -> bool:
    return undo(house.as_alice, change_for(house.as_alice, change.pk), now=NOW)


def folders() -> list[str]:
    return list(MailboxEntry.objects.order_by("sorted_at").values_list("folder", flat=True))


def test_moving_is_taken_back_to_where_each_was(house: House, mails: list[Message]) -> None:
    move_conversation(house.as_alice, house.support, mails[1].thread_id, Folder.ARCHIVE)
    change = do(house, mails, Wish(Deed.TRASH))
    assert folders() == ["trash"] * 3
    assert Event.objects.filter(kind="conversation.moved", data__folder="trash").count() == 3
    assert take_back(house, change)
    assert folders() == ["inbox", "archive", "inbox"]
    assert not take_back(house, change)


def test_what_somebody_moved_since_stays_there(house: House, mails: list[Message]) -> None:
    change = do(house, mails, Wish(Deed.ARCHIVE))
    move_conversation(house.as_bob, house.support, mails[0].thread_id, Folder.TRASH)
    take_back(house, change)
    assert folders() == ["trash", "inbox", "inbox"]


def test_what_was_sent_stays_with_what_was_sent(house: House, mails: list[Message]) -> None:
    add_entry(mails[0], house.support.pk, side=Side.SENDER, folder=Folder.SENT, is_read=True, sorted_at=NOW)
    do(house, mails, Wish(Deed.ARCHIVE))
    assert MailboxEntry.objects.get(side=Side.SENDER).folder == Folder.SENT


def test_flags_come_back_one_by_one(house: House, mails: list[Message]) -> None:
    MailboxEntry.objects.filter(message=mails[2]).update(is_read=True, is_starred=True)
    read, star = do(house, mails, Wish(Deed.READ)), do(house, mails, Wish(Deed.STAR))
    assert MailboxEntry.objects.filter(is_read=True, is_starred=True).count() == 3
    take_back(house, star)
    take_back(house, read)
    assert MailboxEntry.objects.get(is_read=True, is_starred=True).message == mails[2]
    do(house, mails, Wish(Deed.UNREAD))
    do(house, mails, Wish(Deed.UNSTAR))
    assert MailboxEntry.objects.filter(is_read=False, is_starred=False).count() == 3


def test_labels_are_put_and_taken(house: House, mails: list[Message]) -> None:
    label = create_label(house.as_alice, "Refund")
    threads = [one.thread_id for one in mails]
    do(house, mails[:1], Wish(Deed.LABEL, label_id=str(label.pk)))
    change = do(house, mails, Wish(Deed.LABEL, label_id=str(label.pk)))
    assert set(labels_by_thread(house.support, threads)) == set(threads)
    take_back(house, change)
    assert set(labels_by_thread(house.support, threads)) == {threads[0]}
    taken = do(house, mails, Wish(Deed.UNLABEL, label_id=str(label.pk)))
    assert labels_by_thread(house.support, threads) == {}
    take_back(house, taken)
    assert set(labels_by_thread(house.support, threads)) == {threads[0]}


def test_tickets_are_solved_and_assigned_and_come_back_as_they_were(
    house: House, mails: list[Message]
) -> None:
    Ticket.objects.filter(thread=mails[0].thread_id).update(state="pending", assignee=house.bob)
    solved = do(house, mails, Wish(Deed.SOLVE))
    assigned = do(house, mails, Wish(Deed.ASSIGN, assignee_id=house.alice.pk))
    assert set(Ticket.objects.values_list("state", "assignee")) == {("solved", house.alice.pk)}
    take_back(house, assigned)
    take_back(house, solved)
    states = Ticket.objects.order_by("number").values_list("state", "assignee")
    assert list(states) == [("pending", house.bob.pk), ("open", None), ("open", None)]
    assert not Ticket.objects.exclude(solved_at=None).exists()


def test_a_ticket_that_somebody_reopened_is_left_alone(house: House, mails: list[Message]) -> None:
    solved = do(house, mails, Wish(Deed.SOLVE))
    Ticket.objects.filter(thread=mails[0].thread_id).update(state=TicketState.PENDING, solved_at=None)
    take_back(house, solved)
    assert Ticket.objects.get(thread=mails[0].thread_id).state == TicketState.PENDING


def test_nobody_is_given_what_they_cannot_see(house: House, stranger: House, mails: list[Message]) -> None:
    with pytest.raises(TicketInvalid, match="sees the ticket's mailbox"):
        do(house, mails, Wish(Deed.ASSIGN, assignee_id=stranger.alice.pk))


def test_spam_is_marked_and_the_mark_is_taken_back(house: House, mails: list[Message]) -> None:
    change = do(house, mails[:2], Wish(Deed.SPAM))
    assert folders() == ["spam", "spam", "inbox"]
    assert set(SpamMark.objects.values_list("opinion", flat=True)) == {Opinion.SPAM}
    take_back(house, change)
    assert folders() == ["inbox"] * 3
    assert set(SpamMark.objects.values_list("opinion", flat=True)) == {Opinion.NONE}


def test_what_is_snoozed_comes_back_unread_at_the_top(house: House, mails: list[Message]) -> None:
    until = NOW + timedelta(hours=3)
    MailboxEntry.objects.update(is_read=True)
    do(house, mails[:1], Wish(Deed.SNOOZE, until=until))
    assert folders() == ["snoozed", "inbox", "inbox"]
    assert wake_due(until - timedelta(seconds=1)) == 0
    assert wake_due(until) == 1
    newest = MailboxEntry.objects.order_by("-sorted_at").first()
    assert newest is not None
    assert (newest.message, newest.folder, newest.is_read) == (mails[0], Folder.INBOX, False)
    assert not Snooze.objects.exists()
    assert Event.objects.filter(kind="conversation.woke").count() == 1


def test_an_answer_brings_it_back_before_its_time(house: House, mails: list[Message]) -> None:
    do(house, mails[:1], Wish(Deed.SNOOZE, until=NOW + timedelta(days=3)))
    arrive(house.support, message_id="answer@x.example", headers={"In-Reply-To": "<0@x.example>"}, at=NOW)
    assert set(folders()) == {"inbox"}
    MailboxEntry.objects.update(folder=Folder.ARCHIVE)
    assert wake_due(NOW + timedelta(days=4)) == 1
    assert set(folders()) == {"archive"}


def test_an_undone_snooze_is_back_at_once_and_never_wakes(house: House, mails: list[Message]) -> None:
    change = do(house, mails, Wish(Deed.SNOOZE, until=NOW + timedelta(hours=1)))
    take_back(house, change)
    MailboxEntry.objects.update(is_read=True)
    wake_due(NOW + timedelta(hours=2))
    assert not MailboxEntry.objects.filter(is_read=False).exists()


def test_an_undone_archiving_leaves_nothing_snoozed_that_nobody_would_wake(
    house: House, mails: list[Message]
) -> None:
    until = NOW + timedelta(hours=1)
    do(house, mails[:1], Wish(Deed.SNOOZE, until=until))
    do(house, mails[1:2], Wish(Deed.SNOOZE, until=until + timedelta(hours=1)))
    change = do(house, mails, Wish(Deed.ARCHIVE))
    wake_due(until)
    take_back(house, change)
    assert folders() == ["archive", "snoozed", "inbox"]
    wake_due(until + timedelta(hours=1))
    assert Folder.SNOOZED not in folders()


def test_what_is_gone_by_now_is_not_missed_by_an_undo(house: House, mails: list[Message]) -> None:
    label = create_label(house.as_alice, "Refund")
    wish = Wish(Deed.LABEL, label_id=str(label.pk))
    labelled = do(house, mails, wish)
    taken = do(house, mails, Wish(Deed.UNLABEL, label_id=str(label.pk)))
    MailboxEntry.objects.filter(message=mails[0]).delete()
    assert take_back(house, taken)
    assert set(labels_by_thread(house.support, [one.thread_id for one in mails])) == {
        mails[1].thread_id,
        mails[2].thread_id,
    }
    label.delete()
    assert take_back(house, labelled)


@pytest.mark.parametrize("until", [None, NOW, NOW - timedelta(days=1), NOW + timedelta(days=3000)])
def test_only_a_time_to_come_can_be_snoozed_until(
    house: House, mails: list[Message], until: datetime | None
) -> None:
    with pytest.raises(TicketInvalid, match="still to come"):
        do(house, mails, Wish(Deed.SNOOZE, until=until))


def test_it_costs_the_same_for_one_and_for_many(
    house: House, mails: list[Message], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(8):
        do(house, mails[:1], Wish(Deed.ARCHIVE))
    with django_assert_num_queries(8):
        do(house, mails[1:], Wish(Deed.ARCHIVE))


def test_threads_of_elsewhere_are_passed_by(house: House, stranger: House, mails: list[Message]) -> None:
    theirs = arrive(stranger.support, to="support@stranger.test")
    change = do_to_many(
        stranger.as_alice, stranger.support, [mails[0].thread_id, theirs.thread_id], Wish(Deed.TRASH), now=NOW
    )
    assert change.before["conversations"] == 1
    assert set(folders()) == {"inbox", "trash"}
    with pytest.raises(NotVisible):
        change_for(house.as_alice, change.pk)
    with pytest.raises(NotVisible):
        change_for(stranger.as_bob, change.pk)


def test_somebody_elses_label_is_not_there(house: House, stranger: House, mails: list[Message]) -> None:
    theirs = create_label(stranger.as_alice, "Secret")
    with pytest.raises(NotVisible):
        do(house, mails, Wish(Deed.LABEL, label_id=str(theirs.pk)))


def test_too_many_at_once_are_refused(house: House) -> None:
    threads = [uuid.uuid4() for _n in range(5001)]
    with pytest.raises(TicketInvalid, match="5,000"):
        do_to_many(house.as_alice, house.support, threads, Wish(Deed.READ), now=NOW)


def test_changes_are_forgotten_when_they_can_no_longer_be_taken_back(
    house: House, mails: list[Message]
) -> None:
    do(house, mails, Wish(Deed.READ))
    assert forget_old_changes(NOW + KEPT_FOR - timedelta(seconds=1)) == 0
    assert forget_old_changes(NOW + KEPT_FOR + timedelta(seconds=1)) == 1

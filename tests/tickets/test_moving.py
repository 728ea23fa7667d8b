"""Putting mail into the right ticket, and taking that back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.automation.models import Acknowledgement
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Folder, Mailbox, MailboxEntry, MailboxKind, Message
from apps.mailboxes.services import create_mailbox, move_conversation
from apps.mailboxes.snoozing import wake_due
from apps.outbound.errors import NotPossibleNow
from apps.outbound.models import Delivery
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.bulk import Wish, do_to_many
from apps.tickets.errors import MoveNotPossible, TicketInvalid
from apps.tickets.models import Deed, MoveKind, Ticket, TicketMove, TicketState
from apps.tickets.moving import merge_tickets, move_message, split_message, undo_move
from apps.tickets.selectors import messages_of, move_for, moves_of, notes_of, tickets_of
from apps.tickets.services import add_note, change_ticket, record_reply
from tests.arrivals import arrive
from tests.automation.acknowledging import acknowledge_all, switch_on
from tests.outbound.sending import send
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def ticket(number: int) -> Ticket:
    return Ticket.objects.select_related("mailbox", "merged_into").get(
        number=number, organisation__name__in=["House", "Race"]
    )


def ids(house: House, number: int) -> list[str]:
    return [message.rfc_message_id for message in messages_of(house.as_alice, ticket(number))]


def later(house: House, *, message_id: str, answers: str, mailbox: Mailbox | None = None) -> Message:
    return arrive(
        mailbox or house.support,
        message_id=message_id,
        headers={"In-Reply-To": f"<{answers}>"},
        at=NOW + timedelta(minutes=len(message_id)),
    )


@pytest.fixture
def sales(house: House) -> Mailbox:
    """Another shared mailbox."""
    return create_mailbox(
        house.organisation,
        address="sales@house.test",
        name="Sales",
        kind=MailboxKind.SHARED,
        members=[house.alice],
    )


@pytest.fixture
def two(house: House) -> House:
    """#1 with a@x and its answer aa@x, #2 with b@x."""
    arrive(house.support, message_id="a@x", at=NOW)
    later(house, message_id="aa@x", answers="a@x")
    arrive(house.support, message_id="b@x", subject="Pumps", at=NOW)
    return house


def test_a_message_goes_into_another_ticket_and_later_answers_follow_it(two: House) -> None:
    moved = Message.objects.get(rfc_message_id="aa@x")
    move = move_message(two.as_alice, ticket(1), moved.pk, ticket(2), now=NOW)
    assert move.kind == MoveKind.MOVED
    assert (ids(two, 1), ids(two, 2)) == (["a@x"], ["b@x", "aa@x"])
    moved.refresh_from_db()
    assert moved.filed_sentence == f"{two.alice.name} moved it here from #1."
    assert {entry.thread_id for entry in moved.entries.all()} == {moved.thread_id} == {ticket(2).thread_id}
    later(two, message_id="aaa@x", answers="aa@x")
    assert ids(two, 2) == ["b@x", "aa@x", "aaa@x"]
    assert [one.pk for one in moves_of(ticket(1))] == [one.pk for one in moves_of(ticket(2))] == [move.pk]


def test_a_move_is_taken_back(two: House) -> None:
    moved = Message.objects.get(rfc_message_id="aa@x")
    was = moved.filed
    move = move_message(two.as_alice, ticket(1), moved.pk, ticket(2), now=NOW)
    undo_move(two.as_bob, move, now=NOW)
    moved.refresh_from_db()
    assert (ids(two, 1), ids(two, 2)) == (["a@x", "aa@x"], ["b@x"])
    assert moved.filed == was
    assert TicketMove.objects.get().undone_by_name == two.bob.name
    with pytest.raises(MoveNotPossible, match="already"):
        undo_move(two.as_bob, move, now=NOW)


def test_a_ticket_is_merged_with_its_notes_and_points_to_where_it_went(two: House) -> None:
    add_note(two.as_alice, ticket(1), "Ask Petra.", now=NOW)
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    assert (ids(two, 1), ids(two, 2)) == ([], ["a@x", "b@x", "aa@x"])
    assert (ticket(1).merged_into, ticket(1).state) == (ticket(2), TicketState.SOLVED)
    assert [note.text for note in notes_of(ticket(2))] == ["Ask Petra."]
    with pytest.raises(NotPossibleNow, match="#2"):
        reply_to_ticket(two.as_alice, ticket(1), Reply(text="Hi"), idempotency_key=None, now=NOW)
    with pytest.raises(TicketInvalid, match="merged"):
        change_ticket(two.as_alice, ticket(1), state="open", now=NOW)
    undo_move(two.as_alice, TicketMove.objects.get(), now=NOW)
    assert (ids(two, 1), ids(two, 2)) == (["a@x", "aa@x"], ["b@x"])
    assert (ticket(1).merged_into, ticket(1).state, ticket(1).solved_at) == (None, TicketState.OPEN, None)
    assert [note.text for note in notes_of(ticket(1))] == ["Ask Petra."]


def test_what_was_snoozed_comes_back_at_its_time_wherever_it_was_moved(two: House) -> None:
    until, threads = NOW + timedelta(hours=1), [ticket(1).thread_id]
    do_to_many(two.as_alice, two.support, threads, Wish(Deed.SNOOZE, until=until), now=NOW)
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    wake_due(until)
    assert not MailboxEntry.objects.filter(folder=Folder.SNOOZED).exists()


def test_a_note_that_was_begun_before_a_merge_is_where_the_ticket_went(two: House) -> None:
    before = ticket(1)
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    add_note(two.as_bob, before, "She called.", now=NOW)
    assert [note.text for note in notes_of(ticket(2))] == ["She called."]


def test_the_last_message_of_a_ticket_takes_the_ticket_along(two: House) -> None:
    only = Message.objects.get(rfc_message_id="b@x")
    move = move_message(two.as_alice, ticket(2), only.pk, ticket(1), now=NOW)
    assert (move.kind, ticket(2).merged_into) == (MoveKind.MERGED, ticket(1))


def test_a_message_gets_a_ticket_of_its_own(two: House) -> None:
    switch_on(two)
    message = Message.objects.get(rfc_message_id="aa@x")
    move = split_message(two.as_alice, ticket(1), message.pk, now=timezone.now())
    assert (move.target.number, move.target.requester_address) == (3, "elena@customer.example")
    assert (ids(two, 1), ids(two, 3)) == (["a@x"], ["aa@x"])
    acknowledge_all()
    assert not Acknowledgement.objects.exists(), "nobody wrote just now"
    later(two, message_id="aaa@x", answers="aa@x")
    assert ids(two, 3) == ["aa@x", "aaa@x"]
    undo_move(two.as_alice, move, now=NOW)
    assert (ids(two, 1), ids(two, 3)) == (["a@x", "aa@x", "aaa@x"], [])
    assert ticket(3).merged_into == ticket(1)


def test_an_answer_of_ours_is_split_off_with_its_deliveries_and_the_customer(two: House) -> None:
    sent = reply_to_ticket(two.as_alice, ticket(1), Reply(text="Hi"), idempotency_key=None, now=NOW).message
    before = list(Delivery.objects.values_list("pk", "message", "state"))
    move = split_message(two.as_alice, ticket(1), sent.pk, now=NOW)
    assert move.target.requester_address == "elena@customer.example"
    assert list(Delivery.objects.values_list("pk", "message", "state")) == before
    assert [one.pk for one in messages_of(two.as_alice, ticket(3))] == [sent.pk]


def test_a_colleague_who_wrote_to_the_team_is_a_customer_like_any_other(two: House) -> None:
    """Over the same-domain road, where what was sent and what came is one message."""
    asked = send(two.as_key, "support@house.test", sender="alice@house.test").message
    change_ticket(two.as_alice, ticket(2), state="solved", now=NOW)
    answer = reply_to_ticket(two.as_bob, ticket(3), Reply(text="Hi"), idempotency_key=None, now=NOW).message
    split = split_message(two.as_alice, ticket(3), answer.pk, now=NOW)
    assert split.target.requester_address == "alice@house.test"
    undo_move(two.as_alice, split, now=NOW)
    change_ticket(two.as_alice, ticket(3), state="open", now=NOW)
    move_message(two.as_alice, ticket(3), asked.pk, ticket(2), now=NOW)
    assert ticket(2).state == TicketState.OPEN


def test_the_only_message_has_a_ticket_of_its_own_already(two: House) -> None:
    with pytest.raises(MoveNotPossible, match="only message"):
        split_message(two.as_alice, ticket(2), Message.objects.get(rfc_message_id="b@x").pk, now=NOW)
    assert Ticket.objects.count() == 2


def test_a_solved_ticket_is_open_again_for_a_mail_that_waits_and_solved_again_when_that_is_undone(
    two: House,
) -> None:
    change_ticket(two.as_alice, ticket(2), state="solved", now=NOW)
    message = Message.objects.get(rfc_message_id="aa@x")
    move = move_message(two.as_alice, ticket(1), message.pk, ticket(2), now=NOW + timedelta(hours=1))
    assert (ticket(2).state, ticket(2).solved_at) == (TicketState.OPEN, None)
    undo_move(two.as_alice, move, now=NOW + timedelta(hours=2))
    assert (ticket(2).state, ticket(2).solved_at) == (TicketState.SOLVED, NOW)


def test_what_cannot_be_moved_is_said(two: House, sales: Mailbox) -> None:
    arrive(sales, message_id="c@x")
    with pytest.raises(TicketInvalid, match="#3 is a ticket of another mailbox, Sales"):
        merge_tickets(two.as_alice, ticket(1), ticket(3), now=NOW)
    with pytest.raises(TicketInvalid, match="already"):
        merge_tickets(two.as_alice, ticket(1), ticket(1), now=NOW)
    foreign = Message.objects.get(rfc_message_id="b@x")
    with pytest.raises(MoveNotPossible):
        move_message(two.as_alice, ticket(1), foreign.pk, ticket(2), now=NOW)
    arrive(two.support, message_id="d@x")
    merge_tickets(two.as_alice, ticket(2), ticket(1), now=NOW)
    with pytest.raises(TicketInvalid, match="#1"):
        merge_tickets(two.as_alice, ticket(4), ticket(2), now=NOW)


def test_what_was_moved_on_since_is_not_taken_back_from_there(two: House) -> None:
    arrive(two.support, message_id="c@x")
    first = merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    merge_tickets(two.as_alice, ticket(2), ticket(3), now=NOW)
    with pytest.raises(MoveNotPossible, match="since"):
        undo_move(two.as_alice, first, now=NOW)
    assert set(ids(two, 3)) == {"a@x", "b@x", "aa@x", "c@x"}


def test_a_mail_to_two_shared_mailboxes_keeps_a_ticket_in_the_other(house: House, sales: Mailbox) -> None:
    arrive([house.support, sales], message_id="a@x", at=NOW)
    arrive([house.support, sales], message_id="aa@x", headers={"In-Reply-To": "<a@x>"}, at=NOW)
    arrive(house.support, message_id="b@x", at=NOW)
    in_sales = Ticket.objects.get(mailbox=sales)
    in_support = Ticket.objects.get(mailbox=house.support, thread=in_sales.thread)
    target = Ticket.objects.get(mailbox=house.support, number=3)
    second = Message.objects.get(rfc_message_id="aa@x")
    move = move_message(house.as_alice, in_support, second.pk, target, now=NOW)
    new_in_sales = Ticket.objects.get(mailbox=sales, number=4)
    assert [one.pk for one in messages_of(house.as_alice, new_in_sales)] == [second.pk]
    undo_move(house.as_alice, move, now=NOW)
    new_in_sales.refresh_from_db()
    assert new_in_sales.merged_into == in_sales
    merge_tickets(house.as_alice, Ticket.objects.get(pk=in_support.pk), target, now=NOW)
    [shown] = Ticket.objects.filter(mailbox=sales, merged_into=None)
    assert len(messages_of(house.as_alice, shown)) == 2, "it went along"


def test_both_tickets_say_what_happened_and_events_hold_ids_only(two: House) -> None:
    move = merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    told = Event.objects.filter(kind="ticket.merged")
    assert {event.ticket_id for event in told} == {ticket(1).pk, ticket(2).pk}
    assert all(event.actor == f"user:{two.alice.pk}" for event in told)
    assert told[0].data == {
        "move": str(move.pk),
        "source": str(ticket(1).pk),
        "target": str(ticket(2).pk),
        "messages": 2,
    }


def test_an_outsider_sees_no_move(two: House, stranger: House) -> None:
    move = merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    assert move_for(two.as_bob, move.pk).pk == move.pk
    with pytest.raises(NotVisible):
        move_for(stranger.as_key, move.pk)
    with pytest.raises(NotVisible):
        move_for(two.as_bob, "no id")


def test_a_customer_is_known_by_their_address_in_any_case(two: House, stranger: House) -> None:
    arrive(two.support, sender="ELENA@Customer.example", message_id="c@x")
    arrive(stranger.support, message_id="d@x")
    assert [one.number for one in tickets_of(two.as_alice, "Elena@customer.example")] == [3, 2, 1]
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    assert [one.number for one in tickets_of(two.as_alice, "elena@customer.example")] == [3, 2]
    assert not tickets_of(two.as_alice, "other@customer.example").exists()


def test_where_a_moved_message_lies_in_the_mailbox_is_left_alone(two: House) -> None:
    move_conversation(two.as_alice, two.support, ticket(1).thread_id, Folder.ARCHIVE)
    message = Message.objects.get(rfc_message_id="aa@x")
    move_message(two.as_alice, ticket(1), message.pk, ticket(2), now=NOW)
    assert message.entries.get().folder == Folder.ARCHIVE


def test_nothing_is_taken_back_into_a_ticket_that_was_merged_since(two: House) -> None:
    """Nobody would find it there."""
    later(two, message_id="aaa@x", answers="a@x")
    second, third = (Message.objects.get(rfc_message_id=one) for one in ("aa@x", "aaa@x"))
    moved = move_message(two.as_alice, ticket(1), second.pk, ticket(2), now=NOW)
    split = split_message(two.as_alice, ticket(1), third.pk, now=NOW)
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    with pytest.raises(MoveNotPossible, match="#1 was merged since"):
        undo_move(two.as_alice, moved, now=NOW)
    with pytest.raises(MoveNotPossible, match="#1 was merged since"):
        undo_move(two.as_alice, split, now=NOW)
    assert (ids(two, 1), set(ids(two, 2)), ids(two, 3)) == ([], {"a@x", "aa@x", "b@x"}, ["aaa@x"])


def test_a_tickets_last_message_takes_it_along_though_another_mailbox_has_more(
    house: House, sales: Mailbox
) -> None:
    first = arrive([house.support, sales], message_id="a@x", at=NOW)
    later(house, message_id="aa@x", answers="a@x", mailbox=sales)
    arrive(house.support, message_id="b@x", at=NOW)
    in_support, in_sales = (
        Ticket.objects.get(mailbox=one, thread=first.thread) for one in (house.support, sales)
    )
    with pytest.raises(MoveNotPossible, match="only message"):
        split_message(house.as_alice, in_support, first.pk, now=NOW)
    move = move_message(house.as_alice, in_support, first.pk, ticket(3), now=NOW)
    assert move.kind == MoveKind.MERGED
    in_sales.refresh_from_db()
    assert (in_sales.thread_id, len(messages_of(house.as_alice, in_sales))) == (ticket(3).thread_id, 2)
    assert Ticket.objects.filter(merged_into=None).count() == 2, "an empty one is left nowhere"


def test_a_report_that_goes_along_opens_no_ticket_where_it_lies(two: House, sales: Mailbox) -> None:
    later(two, message_id="r@x", answers="a@x", mailbox=sales)
    Message.objects.filter(rfc_message_id="r@x").update(kind="bounce")
    Ticket.objects.filter(mailbox=sales).delete()
    merge_tickets(two.as_alice, ticket(1), ticket(2), now=NOW)
    assert not Ticket.objects.filter(mailbox=sales).exists()


def test_an_answer_counts_for_the_ticket_that_it_is_in(two: House) -> None:
    """What it answers may have been moved while it was written."""
    sent = reply_to_ticket(two.as_alice, ticket(1), Reply(text="Hi"), idempotency_key=None, now=NOW).message
    move_message(two.as_alice, ticket(1), sent.pk, ticket(2), now=NOW)
    sent.refresh_from_db()
    record_reply(two.as_alice, ticket(1), sent, state="solved", now=NOW)
    assert (ticket(1).state, ticket(2).state) == (TicketState.PENDING, TicketState.SOLVED)


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_move_one_message_the_second_is_told(house: House) -> None:
    for message_id in ("a@x", "b@x", "c@x"):
        arrive(house.support, message_id=message_id)
    later(house, message_id="aa@x", answers="a@x")
    message = Message.objects.get(rfc_message_id="aa@x")
    barrier = threading.Barrier(2)

    def move(number: int) -> int:
        barrier.wait(20)
        try:
            move_message(house.as_alice, ticket(1), message.pk, ticket(number), now=NOW)
        except MoveNotPossible:
            return 0
        else:
            return number
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        winners = [number for number in pool.map(move, [2, 3]) if number]
    [winner] = winners
    assert message.pk in {one.pk for one in messages_of(house.as_alice, ticket(winner))}
    assert TicketMove.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_mail_that_arrives_while_a_ticket_is_merged_is_in_a_ticket_that_is_shown(house: House) -> None:
    for message_id in ("a@x", "b@x"):
        arrive(house.support, message_id=message_id)
    barrier = threading.Barrier(2)

    def merge() -> None:
        barrier.wait(20)
        merge_tickets(house.as_alice, ticket(1), ticket(2), now=NOW)
        connection.close()

    def receive() -> None:
        barrier.wait(20)
        later(house, message_id="aa@x", answers="a@x")
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(merge), pool.submit(receive)]:
            done.result(30)
    assert set(ids(house, 2)) == {"a@x", "b@x", "aa@x"}
    assert ids(house, 1) == []

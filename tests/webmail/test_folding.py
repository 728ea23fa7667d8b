"""Long conversations: their ends at once, the rest when asked, at a price that does not grow."""

import math
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.mailboxes.conversations import Outlined
from apps.mailboxes.models import MailboxEntry, Message
from apps.organisations.models import new_id
from apps.outbound.models import DeliveryNotice, NoticeKind
from apps.tickets.models import Ticket
from apps.tickets.services import add_note
from apps.webmail.folding import AT_ONCE, FIRST, FOLD_OVER, LAST, MAX_LAST, Fold, fold, fold_before
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def outlined(count: int, *, unread: frozenset[int] = frozenset()) -> list[Outlined]:
    return [
        Outlined(
            new_id(),
            NOW + timedelta(hours=n),
            "filed",
            "recipient",
            "inbox",
            n not in unread,
            is_starred=False,
        )
        for n in range(count)
    ]


def at(found: Fold | None, conversation: list[Outlined]) -> tuple[int, int]:
    """From which to which message it folds, by their places."""
    assert found is not None
    places = [one.message_id for one in conversation]
    return places.index(found.message_ids[0]), places.index(found.message_ids[-1])


def test_a_short_conversation_is_whole() -> None:
    assert fold(outlined(FOLD_OVER)) is None


def test_the_first_and_the_last_ones_are_shown() -> None:
    long = outlined(300)
    assert at(fold(long), long) == (FIRST, 300 - LAST - 1)


def test_what_is_not_read_is_shown_with_all_after_it_so_far_back() -> None:
    long = outlined(300, unread=frozenset({280, 290}))
    assert at(fold(long), long) == (FIRST, 279)
    older = outlined(300, unread=frozenset({100}))
    assert at(fold(older), older) == (FIRST, 300 - MAX_LAST - 1)
    unread_first = outlined(300, unread=frozenset({0}))
    assert at(fold(unread_first), unread_first) == (FIRST, 300 - LAST - 1)


def test_what_is_answered_is_shown() -> None:
    long = outlined(300)
    assert at(fold(long, [long[275].message_id]), long) == (FIRST, 274)


def test_a_fold_is_opened_so_many_at_a_time() -> None:
    long = outlined(300)
    first = fold(long)
    assert first is not None
    opened, stay = first.opened()
    assert (len(opened), stay) == (AT_ONCE, 288 - AT_ONCE)
    rest = fold_before(long, opened[0])
    assert rest is not None
    assert rest.count == stay
    assert fold_before(long, long[FIRST].message_id) is None
    assert fold_before(long, new_id()) is None


def long_conversation(house: House, count: int) -> Ticket:
    for n in range(count):
        arrive(
            house.support,
            message_id=f"n{n}@x.example",
            text=f"This is number {n}.\r\n",
            headers={"In-Reply-To": "<n0@x.example>"} if n else {},
            at=NOW + timedelta(hours=n),
        )
    MailboxEntry.objects.update(is_read=True)
    return Ticket.objects.get()


def test_it_costs_as_many_queries_whatever_its_length(house: House, alice: Client) -> None:
    asked = []
    ticket = long_conversation(house, 21)
    url = f"/m/{house.support.pk}/inbox/{ticket.thread_id}/"
    fragment = {"HX-Request": "true", "HX-Request-Type": "partial"}
    for again in range(2):
        with CaptureQueriesContext(connection) as queries:
            page = alice.get(url, headers=fragment)
        asked.append((len(queries), len(page.context["shown"].messages)))
        for n in range(100, 130):
            arrive(
                house.support, message_id=f"m{n}.{again}@x.example", headers={"In-Reply-To": "<n0@x.example>"}
            )
        MailboxEntry.objects.update(is_read=True)
    assert asked[0] == asked[1]
    assert asked[0][1] == FIRST + LAST


def test_every_message_and_every_note_is_in_one_place(house: House, alice: Client) -> None:
    ticket = long_conversation(house, 130)
    note = add_note(house.as_alice, ticket, "In the middle of it.", now=NOW)
    type(note).objects.update(created_at=NOW + timedelta(hours=60, minutes=30))
    url = f"/m/{house.support.pk}/inbox/{ticket.thread_id}/"
    pages = [alice.get(url)]
    shown = pages[0].context["shown"].items
    while folds := [item.fold for item in shown if hasattr(item, "fold")]:
        kwargs = {
            "mailbox_id": house.support.pk,
            "thread_id": ticket.thread_id,
            "message_id": folds[0].before_id,
        }
        pages.append(alice.get(reverse("webmail:folded", kwargs=kwargs)))
        shown = pages[-1].context["items"]
    everything = "".join(page.content.decode() for page in pages)
    for message_id in Message.objects.values_list("pk", flat=True):
        assert everything.count(f'id="message-{message_id}"') == 1
    assert everything.count("In the middle of it.") == 1
    assert len(pages) == 1 + math.ceil((130 - FIRST - LAST) / AT_ONCE)


def test_what_was_told_about_a_message_stands_on_its_side_of_the_fold(house: House, alice: Client) -> None:
    """Whenever it was told: of a folded message long after the fold's end, of a shown one in the middle of it."""
    ticket = long_conversation(house, 60)
    told = {"n1": NOW + timedelta(hours=20), "n20": NOW + timedelta(hours=70)}
    for name, told_at in told.items():
        message = Message.objects.get(rfc_message_id=f"{name}@x.example")
        MailboxEntry.objects.filter(message=message).update(side="sender")
        DeliveryNotice.objects.create(
            organisation=house.organisation,
            message=message,
            kind=NoticeKind.FAILED,
            recipients=1,
            recipient=f"{name}@customer.example",
            told_at=told_at,
        )
    page = alice.get(f"/m/{house.support.pk}/inbox/{ticket.thread_id}/")
    [fold] = [item.fold for item in page.context["shown"].items if hasattr(item, "fold")]
    kwargs = {"mailbox_id": house.support.pk, "thread_id": ticket.thread_id, "message_id": fold.before_id}
    opened = alice.get(reverse("webmail:folded", kwargs=kwargs)).content.decode()
    shown = page.content.decode()
    assert [("n1@customer" in one, "n20@customer" in one) for one in (shown, opened)] == [
        (True, False),
        (False, True),
    ]


def test_an_outsider_opens_no_fold(house: House, outsider: Client) -> None:
    ticket = long_conversation(house, 22)
    message = Message.objects.order_by("-received_at")[0]
    kwargs = {"mailbox_id": house.support.pk, "thread_id": ticket.thread_id, "message_id": message.pk}
    assert outsider.get(reverse("webmail:folded", kwargs=kwargs)).status_code == 404

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from apps.accounts.principal import Principal
from apps.mailboxes.addresses import look_up, sendable_address
from apps.mailboxes.conversations import conversations, folder_counts
from apps.mailboxes.errors import AddressTaken, NotVisible
from apps.mailboxes.models import Folder, MailboxEntry, MailboxKind, Message, Side
from apps.mailboxes.operators import read_query
from apps.mailboxes.selectors import (
    is_on_senders_side,
    mailbox_for,
    message_for,
    messages_for,
    visible_mailboxes,
)
from apps.mailboxes.services import (
    add_entry,
    create_mailbox,
    mark_conversation_read,
    move_conversation,
    star_conversation,
)
from apps.tickets.finding import find_conversations, find_messages
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def fill(house: House, count: int) -> list[Message]:
    return [
        arrive(
            house.support,
            message_id=f"{n}@x.example",
            subject=f"Mail {n}",
            headers={"Cc": "tomas@x.example"},
            at=NOW + timedelta(minutes=n),
        )
        for n in range(count)
    ]


def test_a_folder_lists_each_conversation_once_newest_first(house: House) -> None:
    fill(house, 3)
    arrive(
        house.support,
        message_id="answer@x.example",
        subject="Re: Mail 0",
        sender="Tomas <tomas@x.example>",
        headers={"In-Reply-To": "<0@x.example>"},
        at=NOW + timedelta(hours=1),
    )
    rows = conversations(house.support, Folder.INBOX).rows
    assert [row.subject for row in rows] == ["Re: Mail 0", "Mail 2", "Mail 1"]
    assert rows[0].message_count == 2
    assert rows[0].participants == ("Tomas", "Elena Marsh")
    assert rows[0].unread


def test_pages_follow_each_other_without_gap_or_repeat(house: House) -> None:
    fill(house, 7)
    MailboxEntry.objects.filter(message__subject__in=["Mail 3", "Mail 4"]).update(sorted_at=NOW)
    seen: list[str] = []
    before = None
    while True:
        page = conversations(house.support, Folder.INBOX, before=before, limit=2)
        seen += [row.subject for row in page.rows]
        if page.next is None:
            break
        before = page.next
    assert sorted(seen) == [f"Mail {n}" for n in range(7)]


def test_a_page_takes_the_same_number_of_queries_whatever_it_holds(
    house: House, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    fill(house, 2)
    with django_assert_num_queries(4):
        conversations(house.support, Folder.INBOX)
    fill_more = [arrive(house.support, message_id=f"m{n}@x.example") for n in range(6)]
    assert fill_more
    with django_assert_num_queries(4):
        conversations(house.support, Folder.INBOX)


def test_search_looks_through_folders_and_forgets_the_bin(house: House) -> None:
    first, second, third = fill(house, 3)
    move_conversation(house.as_alice, house.support, first.thread_id, Folder.ARCHIVE)
    move_conversation(house.as_alice, house.support, second.thread_id, Folder.TRASH)
    rows = find_conversations(house.as_alice, house.support, read_query("charged", NOW)).rows
    assert {row.latest for row in rows} == {first, third}


def test_reading_and_starring_speak_of_the_conversation(house: House) -> None:
    message = fill(house, 1)[0]
    assert folder_counts(house.as_alice)[house.support.pk] == {"inbox": 1}
    assert mark_conversation_read(house.as_alice, house.support, message.thread_id, is_read=True) == 1
    assert folder_counts(house.as_alice) == {}
    mark_conversation_read(house.as_alice, house.support, message.thread_id, is_read=False)
    star_conversation(house.as_alice, house.support, message.thread_id, starred=True)
    row = conversations(house.support, Folder.INBOX).rows[0]
    assert row.unread
    assert row.starred


def test_what_waits_in_the_outbox_is_not_moved_by_filing(house: House) -> None:
    message = fill(house, 1)[0]
    add_entry(message, house.support.pk, side=Side.SENDER, folder=Folder.OUTBOX, is_read=True, sorted_at=NOW)
    move_conversation(house.as_alice, house.support, message.thread_id, Folder.TRASH)
    assert message.entries.get(side=Side.SENDER).folder == Folder.OUTBOX
    with pytest.raises(ValueError, match="sent"):
        move_conversation(house.as_alice, house.support, message.thread_id, Folder.SENT)


def test_the_outsider_sees_nothing(house: House, stranger: House) -> None:
    message = fill(house, 1)[0]
    for outsider in (stranger.as_key, stranger.as_alice, Principal.of_user(stranger.admin)):
        assert not messages_for(outsider).exists()
        assert house.support not in visible_mailboxes(outsider)
        assert folder_counts(outsider) == {}
        with pytest.raises(NotVisible):
            mailbox_for(outsider, house.support.pk)
        with pytest.raises(NotVisible):
            message_for(outsider, message.pk)
        assert sendable_address(outsider, "support@house.test") is None


def test_a_colleague_does_not_see_another_persons_mail(house: House) -> None:
    message = arrive(house.alices, to="alice@house.test")
    with pytest.raises(NotVisible):
        message_for(house.as_bob, message.pk)
    with pytest.raises(NotVisible):
        message_for(Principal.of_user(house.admin), message.pk)
    assert message_for(house.as_alice, message.pk) == message
    assert message_for(house.as_key, message.pk) == message


def test_only_the_senders_side_may_know_of_bcc(house: House) -> None:
    message = arrive(house.bobs)
    add_entry(message, house.alices.pk, side=Side.SENDER, folder=Folder.SENT, is_read=True, sorted_at=NOW)
    assert is_on_senders_side(house.as_alice, message)
    assert not is_on_senders_side(house.as_bob, message)


def test_addresses_are_owned_by_rows_and_not_by_domains(house: House) -> None:
    asked = ["support@house.test", "support+a7@house.test", "nobody@house.test", "x@other.test"]
    ours = look_up(house.organisation.pk, asked)
    assert [ours.mailbox_for(address) for address in asked] == [house.support, house.support, None, None]
    assert [ours.has_domain_of(address) for address in asked] == [True, True, True, False]


def test_an_address_belongs_to_one_mailbox_of_the_platform(house: House, stranger: House) -> None:
    with pytest.raises(AddressTaken):
        create_mailbox(
            stranger.organisation,
            address="SUPPORT@house.test",
            name="Mine now",
            kind=MailboxKind.SHARED,
            members=[],
        )


def test_agents_send_from_their_own_and_shared_addresses_only(house: House) -> None:
    assert sendable_address(house.as_alice, "alice@house.test") is not None
    assert sendable_address(house.as_alice, "support@house.test") is not None
    assert sendable_address(house.as_alice, "bob@house.test") is None
    assert sendable_address(house.as_key, "bob@house.test") is not None


def test_messages_are_found_by_the_words_in_them(house: House) -> None:
    fill(house, 2)

    def found(text: str) -> int:
        return find_messages(house.as_alice, messages_for(house.as_alice), text, NOW).count()

    assert found("elena charg") == 2
    assert found("mail 1") == 1
    assert found("'; drop table -- & | ! ( :*") == 0

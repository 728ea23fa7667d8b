from datetime import UTC, datetime

import pytest
from django.utils import timezone

from apps.accounts.models import Role, User
from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.mailboxes.errors import NotVisible
from apps.mailboxes.models import Membership
from apps.tickets.errors import TicketInvalid
from apps.tickets.finding import find_tickets
from apps.tickets.models import Ticket, TicketState
from apps.tickets.selectors import messages_of, notes_of, ticket_for, tickets_for
from apps.tickets.services import add_note, change_ticket
from tests.arrivals import arrive
from tests.people import House

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def ticket(house: House) -> Ticket:
    arrive(house.support)
    return Ticket.objects.select_related("mailbox", "assignee").get()


def test_a_ticket_is_given_solved_tagged_and_taken_away(house: House, ticket: Ticket) -> None:
    changed = change_ticket(
        house.as_alice,
        ticket,
        state="solved",
        assignee_id=house.bob.pk,
        priority="high",
        tags=["billing", "billing", " vip "],
        now=NOW,
    )
    assert (changed.state, changed.solved_at) == (TicketState.SOLVED, NOW)
    assert changed.assignee == house.bob
    assert (changed.priority, changed.priority_because) == ("high", "set_by_a_person")
    assert changed.priority_reason == "Somebody of the team set it."
    assert Event.objects.get(kind="ticket.changed").data == {
        "fields": "assignee_id,priority,solved_at,state,tags"
    }
    assert changed.tags == ["billing", "vip"]
    changed = change_ticket(house.as_alice, changed, state="open", assignee_id=None, now=NOW)
    assert (changed.state, changed.solved_at, changed.assignee) == (TicketState.OPEN, None, None)
    assert changed.priority == "high"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("state", {"state": "lost"}),
        ("priority", {"priority": "asap"}),
        ("tags", {"tags": [""]}),
        ("tags", {"tags": ["x" * 101]}),
        ("tags", {"tags": [str(n) for n in range(51)]}),
    ],
)
def test_what_cannot_be_names_its_field(
    house: House, ticket: Ticket, field: str, change: dict[str, object]
) -> None:
    with pytest.raises(TicketInvalid) as caught:
        change_ticket(house.as_alice, ticket, now=NOW, **change)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_nobody_is_given_a_ticket_they_cannot_see(house: House, stranger: House, ticket: Ticket) -> None:
    Membership.objects.filter(mailbox=house.support, user=house.bob).delete()
    for nobody in (house.bob, stranger.alice):
        with pytest.raises(TicketInvalid):
            change_ticket(house.as_alice, ticket, assignee_id=nobody.pk, now=NOW)


def test_notes_are_kept_in_order_with_their_author(house: House, ticket: Ticket) -> None:
    add_note(house.as_alice, ticket, "first\x00", now=NOW)
    add_note(house.as_key, ticket, "second", now=NOW)
    assert [(note.text, note.author_name) for note in notes_of(ticket)] == [
        ("first", house.alice.name),
        ("second", "tests"),
    ]
    with pytest.raises(TicketInvalid):
        add_note(house.as_alice, ticket, " \n ", now=NOW)


def test_the_outsider_sees_no_ticket(house: House, stranger: House, ticket: Ticket) -> None:
    for outsider in (stranger.as_key, stranger.as_alice, Principal.of_user(stranger.admin)):
        assert list(tickets_for(outsider)) == []
        assert messages_of(outsider, ticket)[0].visible_entries == []  # type: ignore[attr-defined]
        with pytest.raises(NotVisible):
            ticket_for(outsider, ticket.pk)


def test_a_colleague_outside_the_mailbox_sees_no_ticket(house: House, ticket: Ticket) -> None:
    Membership.objects.filter(mailbox=house.support, user=house.bob).delete()
    with pytest.raises(NotVisible):
        ticket_for(house.as_bob, ticket.pk)
    assert ticket_for(house.as_key, ticket.pk) == ticket


@pytest.mark.parametrize("ticket_id", ["", "x", "0", "null", "\x00"])
def test_garbled_ids_are_not_visible(house: House, ticket_id: str) -> None:
    with pytest.raises(NotVisible):
        ticket_for(house.as_key, ticket_id)


def test_tickets_are_found_by_number_and_by_words(house: House, ticket: Ticket) -> None:
    arrive(house.support, subject="Something else", message_id="q@x.example", text="Grüße, Zoë\r\n")

    def found(text: str) -> list[int]:
        tickets = find_tickets(house.as_alice, tickets_for(house.as_alice), text, timezone.now())
        return [one.number for one in tickets]

    assert found("#1") == [1]
    assert found("charged invoi") == [1]
    assert found("zoe GRUSSE") == [2]
    assert found("nothing at all") == []
    assert found("…") == []


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("@bob, look", ["bob", "robert"]),
        ("@Bob House look", ["bob"]),
        ("Ask @Bób Houseman.", ["robert"]),
        ("@robert and (@ALICE)", ["alice", "robert"]),
        ("bob@house.test wrote, @bobby, @ bob", []),
    ],
)
def test_a_whole_name_calls_one_person_and_a_first_name_all_of_that_name(
    house: House, ticket: Ticket, text: str, called: list[str]
) -> None:
    robert = User.objects.create(
        organisation=house.organisation, email="robert@house.test", name="Bob Houseman", role=Role.AGENT
    )
    Membership.objects.create(mailbox=house.support, user=robert)
    note = add_note(house.as_alice, ticket, text, now=timezone.now())
    names = [one.user.email.partition("@")[0] for one in note.mentions.select_related("user")]
    assert sorted(names) == called

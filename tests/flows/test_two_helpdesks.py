"""Machines that answer everything write to each other. They must stop by themselves."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.principal import Principal
from apps.accounts.services import create_api_key
from apps.automation.acknowledge import PER_SENDER_PER_DAY
from apps.automation.models import Acknowledgement
from apps.mailboxes.loops import MAX_TURNS
from apps.mailboxes.models import MailboxEntry, Side
from apps.outbound.models import Lane
from apps.tickets.models import Ticket
from tests.automation.acknowledging import acknowledge_all, arrive_by_envelope, switch_on
from tests.outbound.sending import drain, send
from tests.people import House
from tests.remote.server import RemoteServer

pytestmark = pytest.mark.django_db(transaction=True)

Spoil = Callable[[bytes], bytes]


def carry(relay: RemoteServer, houses: dict[str, House], seen: int, spoil: Spoil, *, null_path: str) -> int:
    """Bring what the relay took since `seen` to the house it is for; how much it has taken by now."""
    taken = relay.messages[seen:]
    for message in taken:
        for recipient in message.recipients:
            house = houses[recipient.rpartition("@")[2]]
            sender = message.sender or null_path
            arrive_by_envelope(house.support, spoil(message.content), envelope_sender=sender)
    return seen + len(taken)


def correspond(
    house: House, stranger: House, relay: RemoteServer, *, rounds: int, spoil: Spoil, null_path: str = ""
) -> int:
    """Let the two write until nothing moves; how many rounds it took."""
    houses = {"house.test": house, "stranger.test": stranger}
    switch_on(house)
    switch_on(stranger)
    send(stranger.as_key, "support@house.test", sender="support@stranger.test")
    seen = 0
    for n in range(rounds):
        drain()
        drain(lane=Lane.BULK)
        before, seen = seen, carry(relay, houses, seen, spoil, null_path=null_path)
        if seen == before:
            return n
        acknowledge_all()
    return rounds


def test_two_helpdesks_stop_at_the_first_acknowledgement(
    house: House, stranger: House, relay: RemoteServer
) -> None:
    rounds = correspond(house, stranger, relay, rounds=10, spoil=lambda raw: raw)
    assert rounds == 2
    assert len(relay.messages) == 2, "the mail and one acknowledgement"
    assert Acknowledgement.objects.filter(state="sent").count() == 1


def test_a_way_that_takes_every_mark_off_is_stopped_by_the_bound(
    house: House, stranger: House, relay: RemoteServer
) -> None:
    """A gateway that strips every header by which programs and conversations are known, and gives the null path a
    name, makes each answer look new."""
    marks = re.compile(
        rb"^(?:Auto-Submitted|X-Auto-Response-Suppress|In-Reply-To|References|Precedence):.*\r\n(?:[ \t].*\r\n)*",
        re.IGNORECASE | re.MULTILINE,
    )
    rounds = correspond(
        house,
        stranger,
        relay,
        rounds=40,
        spoil=lambda raw: marks.sub(b"", raw),
        null_path="gateway@between.example",
    )
    assert rounds < 20
    assert Ticket.objects.count() == len(relay.messages)
    assert Acknowledgement.objects.filter(state="sent").count() == 2 * PER_SENDER_PER_DAY
    assert Acknowledgement.objects.filter(because="too_many").count() == 1


class AnsweringMachine:
    """A machine at third.example that answers everything at once, to everybody it knows, and marks nothing of it."""

    address = "away@third.example"

    def __init__(self, *helpdesks: House) -> None:
        self.helpdesks = helpdesks
        self.sent = 0

    def write(self) -> None:
        self.sent += 1
        for house in self.helpdesks:
            arrive_by_envelope(
                house.support,
                sender=f"Away <{self.address}>",
                subject=f"I am away ({self.sent})",
                message_id=f"{self.sent}@third.example",
                envelope_sender=self.address,
            )


def test_two_helpdesks_and_a_third_that_answers_everything_end_in_silence(
    house: House, stranger: House, relay: RemoteServer
) -> None:
    switch_on(house)
    switch_on(stranger)
    machine = AnsweringMachine(house, stranger)
    houses = {"house.test": house, "stranger.test": stranger}
    send(stranger.as_key, "support@house.test", machine.address, sender="support@stranger.test")
    machine.write()
    seen = rounds = 0
    while rounds < 40:
        rounds += 1
        acknowledge_all()
        drain()
        drain(lane=Lane.BULK)
        taken = relay.messages[seen:]
        if not taken:
            break
        seen += len(taken)
        for message in taken:
            for recipient in message.recipients:
                if recipient == machine.address:
                    machine.write()
                else:
                    support = houses[recipient.rpartition("@")[2]].support
                    arrive_by_envelope(support, message.content, envelope_sender=message.sender)
    assert rounds < 40, "they never stop"
    # Each helpdesk acknowledges each of the others so often a day, and what it is answered with no more.
    assert len(relay.messages) <= 2 + 2 * 2 * PER_SENDER_PER_DAY
    assert machine.sent <= 2 + 2 * PER_SENDER_PER_DAY
    assert Acknowledgement.objects.filter(because="too_many").exists()


@pytest.mark.parametrize("whose_key", ["the organisation's", "a person's"])
def test_two_mailboxes_of_ours_with_a_program_behind_each_stop_by_themselves(
    house: House, whose_key: str
) -> None:
    """Over the same-domain road: no server in between, and nobody who would count Received fields."""
    persons_key = create_api_key(house.organisation, name="script", role=Role.AGENT, user=house.alice)[0]
    program = Principal.of_key(persons_key) if whose_key == "a person's" else house.as_key
    programs = {"support@house.test": "alice@house.test", "alice@house.test": "support@house.test"}
    submitted = send(program, "support@house.test", sender="alice@house.test")
    answers = 0
    while submitted.message.state == "delivered" and answers < 500:
        answers += 1
        heard_by = submitted.deliveries[0].recipient
        submitted = send(
            program,
            programs[heard_by],
            sender=heard_by,
            subject="Re: Your invoice",
            in_reply_to=str(submitted.message.pk),
        )
    assert answers == MAX_TURNS + 1
    [delivery] = submitted.deliveries
    assert (delivery.state, delivery.cause) == ("failed", "loop")
    assert "A person can still write" in delivery.reason
    assert MailboxEntry.objects.filter(message=submitted.message, side=Side.RECIPIENT).count() == 0
    person = send(
        house.as_alice,
        "support@house.test",
        sender="alice@house.test",
        in_reply_to=str(submitted.message.pk),
    )
    assert person.message.state == "delivered"
    assert person.message.machine_turns == 0


def test_a_pause_ends_a_row_and_a_machines_answer_from_outside_goes_on_with_it(house: House) -> None:
    first = send(house.as_key, "elena@customer.example").message
    marked = {"Auto-Submitted": "auto-replied", "In-Reply-To": f"<{first.rfc_message_id}>"}
    away = arrive_by_envelope(house.support, message_id="away@customer.example", headers=marked)
    answer = send(house.as_key, "elena@customer.example", in_reply_to=str(away.pk)).message
    assert (away.machine_turns, answer.machine_turns) == (1, 2)
    type(away).objects.filter(pk=away.pk).update(received_at=timezone.now() - timedelta(hours=2))
    later = send(house.as_key, "elena@customer.example", in_reply_to=str(away.pk)).message
    assert later.machine_turns == 0

"""Two helpdesks that acknowledge everything write to each other. They must stop by themselves."""

import re
from collections.abc import Callable

import pytest

from apps.automation.acknowledge import PER_SENDER_PER_DAY
from apps.automation.models import Acknowledgement
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

"""A mail that could not be read in time is read once more when there is time, and no more than once."""

from dataclasses import replace

import dramatiq
import pytest

from apps.inbound.actors import read_again
from apps.inbound.second_reading import read_again_in_peace, sweep_read_in_haste
from apps.inbound.wakeups import READ_AGAIN, wake_ups
from apps.mailboxes.models import Message
from apps.mime.bounded import TIMED_OUT, TIMED_OUT_TWICE, BoundedParser
from apps.mime.message import ParsedMessage
from apps.mime.parse import parse_as_text
from apps.tickets.models import Ticket
from tests.inbound.arriving import receive, take
from tests.inbound.test_reingest import WITH_PARTS
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def haste(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing can be read in the time there is, until this is undone."""

    def parse(_parser: BoundedParser, raw: bytes, **_: object) -> ParsedMessage:
        parsed = parse_as_text(raw)
        return replace(parsed, defects=(TIMED_OUT, *parsed.defects))

    monkeypatch.setattr(BoundedParser, "parse", parse)
    return monkeypatch


@pytest.fixture
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The actors that were called."""
    told: list[str] = []
    monkeypatch.setattr(dramatiq.get_broker(), "enqueue", lambda message: told.append(message.actor_name))
    monkeypatch.setattr(wake_ups, "request", lambda: None)  # acceptance wakes a worker too, in its own thread
    READ_AGAIN.answer()
    return told


def files_of(message: Message) -> list[str]:
    return list(message.parts.order_by("n").values_list("filename", flat=True))


def test_read_in_peace_it_has_its_files_and_keeps_its_ticket(house: House, haste: pytest.MonkeyPatch) -> None:
    take(house, WITH_PARTS)
    message, ticket = Message.objects.get(), Ticket.objects.get()
    assert (files_of(message), TIMED_OUT in message.defects) == (["message.eml"], True)
    haste.undo()
    assert (read_again_in_peace(), read_again_in_peace()) == (1, 0)
    message.refresh_from_db()
    assert "a.png" in files_of(message)
    assert TIMED_OUT not in message.defects
    assert Ticket.objects.get() == ticket


def test_what_takes_too_long_again_is_left_alone(house: House, haste: pytest.MonkeyPatch) -> None:
    take(house, WITH_PARTS)
    assert (read_again_in_peace(), read_again_in_peace()) == (1, 0)
    message = Message.objects.get()
    assert (files_of(message), TIMED_OUT_TWICE in message.defects) == (["message.eml"], True)


def test_mail_that_is_not_filed_yet_comes_first(
    house: House, woken: list[str], haste: pytest.MonkeyPatch
) -> None:
    sweep_read_in_haste()
    take(house, WITH_PARTS)
    take(house, raw_mail(message_id="second@customer.example"))
    receive(house, raw_mail(message_id="next@customer.example"))
    sweep_read_in_haste()
    assert woken == []
    take(house, raw_mail(message_id="last@customer.example"))
    sweep_read_in_haste()
    assert woken == ["read_again"]
    read_again.fn()
    assert woken == ["read_again", "read_again"], "there is another"

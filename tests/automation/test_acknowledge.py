"""New tickets are acknowledged where an admin wants it, and it is always told why not."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.principal import Principal
from apps.automation import acknowledge
from apps.automation.acknowledge import DAY, PER_SENDER_PER_DAY, acknowledge_due, plan_acknowledgements
from apps.automation.models import DEFAULT_TEXT, Acknowledgement
from apps.automation.services import change_acknowledgement_rule
from apps.events.models import Cursor, Event
from apps.events.services import sequence_committed
from apps.mailboxes.models import Direction, Message
from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse
from apps.outbound.models import Delivery, Lane
from apps.outbound.submission.submit import Submission, Submitted, submit_message
from apps.tickets.models import Ticket
from tests.automation.acknowledging import acknowledge_all, arrive_by_envelope, decided, switch_on
from tests.mail import raw_mail
from tests.outbound.sending import send
from tests.people import House

# Dueness goes by PostgreSQL's clock, which stands still within one transaction.
pytestmark = pytest.mark.django_db(transaction=True)


def answers() -> list[Message]:
    return list(Message.objects.exclude(direction=Direction.IN).order_by("received_at"))


def test_a_new_ticket_is_acknowledged(house: House) -> None:
    switch_on(house, "We have it: #{number}. {other} stays.")
    question = arrive_by_envelope(house.support)
    acknowledge_all()
    (answer,) = answers()
    written = parse(raw_of(answer))
    assert written.text.strip() == "We have it: #1. {other} stays."
    assert written.subject == "We have your mail (#1)"
    assert written.sender.address == "support@house.test"
    assert [one.address for one in written.to] == ["elena@customer.example"]
    assert written.in_reply_to == ("first@customer.example",)
    assert written.auto_submitted == "auto-replied"
    assert b"X-Auto-Response-Suppress: All\r\n" in raw_of(answer)
    assert answer.thread_id == question.thread_id
    assert Delivery.objects.get().lane == Lane.BULK
    row = Acknowledgement.objects.get()
    assert (row.state, row.answer, row.recipient) == ("sent", answer, "elena@customer.example")
    event = Event.objects.get(kind="automation.acknowledged")
    assert (event.ticket_id, event.message_id) == (row.ticket_id, answer.pk)


def test_the_ticket_stays_open_and_nobodys(house: House) -> None:
    """An acknowledgement answers nothing."""
    switch_on(house)
    arrive_by_envelope(house.support)
    acknowledge_all()
    ticket = Ticket.objects.get()
    assert (ticket.state, ticket.assignee) == ("open", None)


def test_no_word_of_a_strangers_goes_into_it(house: House) -> None:
    """Else anybody could have us send their text to anybody."""
    switch_on(house)
    arrive_by_envelope(
        house.support,
        sender="Buy pills at evil.example <elena@customer.example>",
        subject="Visit evil.example now",
        text="evil.example\r\n",
    )
    acknowledge_all()
    assert b"evil" not in raw_of(answers()[0])


def test_it_is_off_unless_somebody_switched_it_on(house: House) -> None:
    arrive_by_envelope(house.support)
    acknowledge_all()
    assert answers() == []
    assert decided() == []


def test_tickets_from_before_it_was_on_get_none(house: House) -> None:
    arrive_by_envelope(house.support)
    switch_on(house)
    acknowledge_all()
    assert answers() == []


def test_an_answer_of_the_customers_is_not_acknowledged(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support)
    arrive_by_envelope(
        house.support,
        message_id="second@customer.example",
        headers={"In-Reply-To": "<first@customer.example>"},
    )
    acknowledge_all()
    assert len(answers()) == 1


def test_reading_the_log_again_sends_nothing_again(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support)
    acknowledge_all()
    Cursor.objects.update(sequence=0)
    acknowledge_all()
    assert len(answers()) == 1


def test_a_worker_that_dies_between_sending_and_noting_sends_nothing_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_on(house)
    arrive_by_envelope(house.support)
    note_sent = acknowledge._note_sent

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(acknowledge, "_note_sent", die)
    with pytest.raises(KeyboardInterrupt):
        acknowledge_all()
    assert decided() == [("due", "")]
    monkeypatch.setattr(acknowledge, "_note_sent", note_sent)
    assert acknowledge_due(timezone.now()) == 0, "its lease has not lapsed"
    Acknowledgement.objects.update(due_at=timezone.now())
    acknowledge_all()
    assert decided() == [("sent", "")]
    assert len(answers()) == 1
    assert Acknowledgement.objects.get().answer == answers()[0]


@pytest.mark.parametrize(
    ("mail", "because"),
    [
        ({"envelope_sender": ""}, "null_sender"),
        ({"headers": {"Auto-Submitted": "auto-generated"}}, "automatic"),
        ({"headers": {"Auto-Submitted": "auto-replied"}}, "not_a_person"),
        ({"headers": {"List-Id": "<news.x.example>"}}, "from_a_list"),
        ({"headers": {"Precedence": "bulk"}}, "sent_in_bulk"),
        ({"sender": "no-reply@customer.example"}, "sender_is_a_role"),
        ({"sender": "Elena without an address"}, "no_address"),
        ({"sender": "alice@house.test"}, "from_ourselves"),
        ({"sender": "printer@house.test"}, "from_ourselves"),
        ({"headers": {"Reply-To": "support@house.test"}}, "from_ourselves"),
    ],
    ids=str,
)
def test_why_none_was_sent_is_kept_and_told(house: House, mail: dict[str, object], because: str) -> None:
    switch_on(house)
    arrive_by_envelope(house.support, **mail)  # type: ignore[arg-type]
    acknowledge_all()
    assert answers() == []
    assert decided() == [("withheld", because)]
    event = Event.objects.get(kind="automation.withheld")
    assert (event.data, event.ticket_id) == ({"because": because}, Ticket.objects.get().pk)
    assert Acknowledgement.objects.get().reason


def test_a_colleagues_mail_to_support_is_not_acknowledged(house: House) -> None:
    switch_on(house)
    send(house.as_alice, "support@house.test", sender="alice@house.test")
    acknowledge_all()
    assert decided() == [("withheld", "from_ourselves")]


def test_it_goes_to_one_address_whatever_reply_to_says(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support, headers={"Reply-To": "order@customer.example"})
    many = ", ".join(f"victim{n}@x.example" for n in range(5))
    arrive_by_envelope(house.support, message_id="b@x.example", headers={"Reply-To": many})
    acknowledge_all()
    assert sorted(Delivery.objects.values_list("recipient", flat=True)) == [
        "elena@customer.example",
        "order@customer.example",
    ]


def test_one_sender_gets_so_many_a_day_and_others_are_not_counted(house: House, stranger: House) -> None:
    switch_on(house)
    switch_on(stranger)
    for n in range(PER_SENDER_PER_DAY + 2):
        arrive_by_envelope(house.support, message_id=f"m{n}@x.example", sender="Elena@CUSTOMER.example")
    arrive_by_envelope(house.support, message_id="o@x.example", sender="other@customer.example")
    arrive_by_envelope(stranger.support, message_id="s@x.example", sender="elena@customer.example")
    acknowledge_all()
    rows = Acknowledgement.objects.filter(organisation=house.organisation).order_by("ticket__number")
    assert [row.because for row in rows] == ["", "", "", "too_many", "too_many", ""]
    assert Acknowledgement.objects.get(organisation=stranger.organisation).state == "sent"
    Acknowledgement.objects.update(finished_at=timezone.now() - DAY)
    Acknowledgement.objects.filter(state="sent").update(finished_at=timezone.now() - DAY)
    arrive_by_envelope(house.support, message_id="next@x.example")
    acknowledge_all()
    assert Acknowledgement.objects.order_by("-ticket__number").first().state == "sent"  # type: ignore[union-attr]


def test_what_could_not_be_sent_within_a_day_is_withheld(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support)
    acknowledge_all(timezone.now() + DAY + timedelta(minutes=1))
    assert decided() == [("withheld", "too_late")]


def test_switched_off_it_sends_nothing_more(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support)
    sequence_committed()
    plan_acknowledgements()
    change_acknowledgement_rule(house.as_key, house.support, is_on=False, now=timezone.now())
    acknowledge_all()
    assert decided() == [("withheld", "switched_off")]


def test_whatever_arrives_is_decided(house: House) -> None:
    switch_on(house)
    for raw in (b"", b"\x00\xff" * 500, b"From: <>\r\nReply-To: x\r\n\r\n", raw_mail(sender="a@b@c")):
        arrive_by_envelope(house.support, raw)
    acknowledge_all()
    assert len(decided()) == 4
    assert {state for state, _because in decided()} == {"withheld"}


def test_the_default_text_names_the_ticket() -> None:
    assert "{number}" in DEFAULT_TEXT


def test_a_mail_that_nobody_foresaw_keeps_no_other_from_its_acknowledgement(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch_on(house)
    first, second, third = (
        arrive_by_envelope(house.support, message_id=f"{n}@customer.example", subject=f"Question {n}")
        for n in range(3)
    )

    def stumble(principal: Principal, submission: Submission, **more: Any) -> Submitted:
        if submission.in_reply_to == str(second.pk):
            raise RuntimeError("nobody foresaw this")
        return submit_message(principal, submission, **more)

    monkeypatch.setattr(acknowledge, "submit_message", stumble)
    acknowledge_all()
    sent = Acknowledgement.objects.filter(state="sent").values_list("opened_by", flat=True)
    assert set(sent) == {first.pk, third.pk}
    assert Acknowledgement.objects.get(state="due").opened_by == second


def test_a_mailbox_sends_so_many_a_day_whoever_they_are_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledge, "PER_MAILBOX_PER_DAY", 2)
    switch_on(house)
    for n in range(3):
        arrive_by_envelope(
            house.support,
            sender=f"forged{n}@customer.example",
            message_id=f"{n}@customer.example",
            envelope_sender=f"forged{n}@customer.example",
        )
    acknowledge_all()
    assert decided() == [("sent", ""), ("sent", ""), ("withheld", "too_many_today")]


def test_a_forged_sender_is_not_written_to(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(house.support, authentication={"dmarc": {"result": "fail"}})
    arrive_by_envelope(
        house.support, message_id="b@customer.example", authentication={"dmarc": {"result": "pass"}}
    )
    acknowledge_all()
    assert decided() == [("withheld", "forged"), ("sent", "")]


def test_who_is_vouched_for_by_a_trusted_forwarder_is_written_to(house: House) -> None:
    switch_on(house)
    arrive_by_envelope(
        house.support,
        authentication={"dmarc": {"result": "fail"}, "arc": {"vouched_by": "forwarder.example"}},
    )
    acknowledge_all()
    assert decided() == [("sent", "")]

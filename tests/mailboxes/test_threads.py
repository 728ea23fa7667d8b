"""Where a mail belongs: by what we signed, then by what its people know, then by itself."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings
from django.utils import translation

from apps.mailboxes.message_ids import MessageIds, message_ids, reply_address
from apps.mailboxes.models import Mailbox, Message, Thread
from apps.mime.address import normalise_address
from apps.outbound.submission.replies import Reply, reply_to_ticket
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.outbound.sending import send
from tests.people import House

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def ticket(house: House) -> Ticket:
    arrive(house.support, at=NOW)
    return Ticket.objects.select_related("mailbox", "thread").get()


@pytest.fixture
def answer(house: House, ticket: Ticket) -> Message:
    """Our answer to the customer, with a Message-ID we signed."""
    reply = Reply(text="It is mended.")
    return reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=NOW).message


def from_outside(
    house: House,
    quoted: str,
    *,
    sender: str = "Elena <elena@customer.example>",
    subject: str = "Re: Invoice 20931 charged twice",
    message_id: str = "",
) -> Message:
    return arrive(
        house.support,
        sender=sender,
        subject=subject,
        message_id=message_id or f"{subject[:3].strip()}.{quoted}",
        headers={"In-Reply-To": f"<{quoted}>"},
    )


def test_a_message_id_of_ours_is_known_again_in_any_case_and_after_a_change_of_keys(house: House) -> None:
    organisation_id = house.organisation.pk
    made = message_ids().make(organisation_id, "house.test")
    assert message_ids().ours(organisation_id, made.upper()) == made
    with override_settings(SECRET_KEY="another one", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert message_ids().ours(organisation_id, made) == made
    with override_settings(SECRET_KEY="another one", SECRET_KEY_FALLBACKS=[]):
        assert message_ids().ours(organisation_id, made) == ""


def test_what_was_signed_for_one_organisation_is_nobodys_in_another(house: House, stranger: House) -> None:
    made = message_ids().make(house.organisation.pk, "house.test")
    assert message_ids().ours(stranger.organisation.pk, made) == ""


def test_every_changed_letter_of_a_message_id_makes_it_nobodys(house: House) -> None:
    organisation_id = house.organisation.pk
    ids = MessageIds((settings.SECRET_KEY,))
    made = ids.make(organisation_id, "house.test")
    for position in range(made.index("@")):
        for letter in "az27":
            forged = f"{made[:position]}{letter}{made[position + 1 :]}"
            assert forged == made or ids.ours(organisation_id, forged) == ""


def test_the_customers_answer_to_ours_joins(house: House, ticket: Ticket, answer: Message) -> None:
    joined = from_outside(house, answer.rfc_message_id)
    assert joined.thread_id == ticket.thread_id
    assert (joined.filed_rule, joined.new_participant) == ("answers_ours", False)
    assert joined.filed_sentence == f"It answers <{answer.rfc_message_id}>, which we sent."


def test_a_stranger_who_was_shown_our_mail_joins_as_a_new_participant(
    house: House, ticket: Ticket, answer: Message
) -> None:
    joined = from_outside(house, answer.rfc_message_id, sender="Petra <petra@contoso.example>")
    assert joined.thread_id == ticket.thread_id
    assert (joined.filed_rule, joined.new_participant) == ("answers_ours", True)
    assert joined.filed_sentence.endswith("Its sender is new to this conversation.")


def test_a_newcomer_stays_one_until_we_write_to_them(house: House, ticket: Ticket, answer: Message) -> None:
    petra = "Petra <petra@contoso.example>"
    from_outside(house, answer.rfc_message_id, sender=petra, message_id="p1@contoso.example")
    again = from_outside(house, answer.rfc_message_id, sender=petra, message_id="p2@contoso.example")
    assert again.new_participant, "writing twice makes nobody a part of it"
    unnamed = reply_to_ticket(house.as_alice, ticket, Reply(text="To whom?"), idempotency_key=None, now=NOW)
    assert [one.recipient for one in unnamed.deliveries] == ["elena@customer.example"]
    reply = Reply(text="Welcome.", to=("petra@contoso.example",))
    reply_to_ticket(house.as_alice, ticket, reply, idempotency_key=None, now=NOW)
    third = from_outside(house, answer.rfc_message_id, sender=petra, message_id="p3@contoso.example")
    assert not third.new_participant


def test_nobody_joins_by_quoting_a_strangers_message_id(house: House, ticket: Ticket) -> None:
    apart = from_outside(house, "first@customer.example", sender="mallory@else.example")
    assert apart.thread_id != ticket.thread_id
    assert (apart.filed_rule, apart.new_participant) == ("stranger", False)
    assert apart.filed["message"] == str(Message.objects.get(rfc_message_id="first@customer.example").pk)
    assert "takes no part in that conversation" in apart.filed_sentence


def test_a_forged_sender_has_taken_part_in_nothing(house: House, ticket: Ticket, answer: Message) -> None:
    def arrive_forged(quoted: str, message_id: str) -> Message:
        return arrive(
            house.support,
            message_id=message_id,
            headers={"In-Reply-To": f"<{quoted}>"},
            authentication={"dmarc": {"result": "fail"}},
        )

    assert arrive_forged("first@customer.example", "f1@x.example").filed_rule == "stranger"
    assert arrive_forged(answer.rfc_message_id, "f2@x.example").thread_id == ticket.thread_id, (
        "it was shown ours"
    )


def test_what_a_trusted_forwarder_vouches_for_is_no_forgery(house: House, ticket: Ticket) -> None:
    joined = arrive(
        house.support,
        message_id="listed@customer.example",
        headers={"In-Reply-To": "<first@customer.example>"},
        authentication={"dmarc": {"result": "fail"}, "arc": {"result": "pass", "vouched_by": "lists.test"}},
    )
    assert joined.thread_id == ticket.thread_id


def test_who_was_written_to_takes_part(house: House) -> None:
    first = arrive(
        house.support, headers={"Cc": "Petra <Petra@contoso.example>", "Reply-To": "desk@customer.example"}
    )
    for sender in ("petra@contoso.example", "desk@customer.example"):
        joined = from_outside(house, "first@customer.example", sender=sender, message_id=f"r.{sender}")
        assert joined.thread_id == first.thread_id
        assert joined.filed_rule == "answers_known"


def test_a_mailing_list_keeps_together_what_its_members_write(house: House) -> None:
    of_list = {"List-Id": "<pumps.example>"}
    first = arrive(house.alices, to="pumps@lists.example", headers=of_list)
    second = arrive(
        house.alices,
        sender="bo@else.example",
        message_id="second@else.example",
        headers={**of_list, "In-Reply-To": "<first@customer.example>"},
    )
    assert second.thread_id == first.thread_id
    assert second.filed_rule == "on_the_list"
    assert second.new_participant, "anybody can write a list's name into a mail"


def test_what_we_signed_goes_before_a_nearer_reference(house: House, ticket: Ticket, answer: Message) -> None:
    other = arrive(house.support, message_id="other@x.example")
    joined = arrive(
        house.support,
        message_id="joined@x.example",
        headers={
            "In-Reply-To": "<other@x.example>",
            "References": f"<{answer.rfc_message_id}> <other@x.example>",
        },
    )
    assert joined.thread_id == ticket.thread_id != other.thread_id


def test_mail_with_our_message_id_is_not_taken_for_ours(
    house: House, ticket: Ticket, answer: Message
) -> None:
    """A list that sends our own mail back to us, or somebody who copies its id, begins no rival of it."""
    arrive(
        house.support,
        message_id=answer.rfc_message_id,
        sender="mallory@else.example",
        at=NOW - timedelta(days=1),
    )
    assert from_outside(house, answer.rfc_message_id).thread_id == ticket.thread_id


def test_the_reply_address_leads_home_without_any_reference(house: House, ticket: Ticket) -> None:
    Mailbox.objects.filter(pk=house.support.pk).update(reply_tokens=True)
    ticket = Ticket.objects.select_related("mailbox", "thread").get()
    sent = reply_to_ticket(house.as_alice, ticket, Reply(text="Hello"), idempotency_key=None, now=NOW).message
    [asked] = sent.reply_to
    assert asked["address"] == reply_address(sent.rfc_message_id, "support@house.test")
    assert normalise_address(asked["address"]) == asked["address"]
    joined = arrive(house.support, to=asked["address"].upper(), message_id="b@x.example", subject="hi")
    assert joined.thread_id == ticket.thread_id
    assert joined.filed_rule == "answers_token"


def test_no_reply_address_is_asked_for_unless_the_mailbox_says_so(answer: Message) -> None:
    assert answer.reply_to == []
    assert reply_address(answer.rfc_message_id, "a-mailbox-with-a-long-name@house.test") == ""
    assert reply_address(answer.rfc_message_id, "support@other.test") == ""
    assert reply_address("not-one-of-ours@house.test", "support@house.test") == ""


def test_a_changed_subject_is_kept_in_the_thread_and_told(
    house: House, ticket: Ticket, answer: Message
) -> None:
    joined = from_outside(house, answer.rfc_message_id, subject="Pumps are down")
    assert joined.thread_id == ticket.thread_id
    assert joined.filed["subject_changed"] is True
    assert "subject_changed" not in from_outside(house, answer.rfc_message_id).filed


def test_why_is_told_in_the_readers_language_and_old_messages_keep_their_sentence(house: House) -> None:
    message = arrive(house.support)
    assert message.filed == {"rule": "starts"}
    with translation.override("de"):
        assert message.filed_sentence
    message.filed, message.filed_because = {}, "It answers <a@b>, which we know."
    assert (message.filed_sentence, message.filed_rule) == ("It answers <a@b>, which we know.", "")
    message.filed = {"rule": "of_a_newer_version"}
    assert message.filed_sentence == "It answers <a@b>, which we know."


def test_an_endless_chain_of_references_is_looked_up_in_part(house: House, ticket: Ticket) -> None:
    quoted = " ".join(f"<{n}@x.example>" for n in range(2000))
    joined = arrive(
        house.support, message_id="b@x.example", headers={"References": f"{quoted} <first@customer.example>"}
    )
    assert joined.thread_id == ticket.thread_id


@pytest.mark.django_db(transaction=True)
def test_an_answer_follows_a_message_that_is_moved_at_the_same_moment(house: House) -> None:
    first = arrive(house.support)
    elsewhere = Thread.objects.create(organisation=house.organisation, subject="Elsewhere")
    locked, may_go = threading.Event(), threading.Event()

    def move() -> None:
        with transaction.atomic():
            Thread.objects.select_for_update().get(pk=first.thread_id)
            locked.set()
            assert may_go.wait(20)
            Message.objects.filter(pk=first.pk).update(thread=elsewhere)
        connection.close()

    def receive() -> Message:
        assert locked.wait(20)
        try:
            return from_outside(house, "first@customer.example")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        moving, receiving = pool.submit(move), pool.submit(receive)
        assert locked.wait(20)
        threading.Timer(0.3, may_go.set).start()
        moving.result(30)
        assert receiving.result(30).thread_id == elsewhere.pk


def test_a_program_that_names_our_mail_over_the_api_stays_in_its_thread(
    house: House, answer: Message
) -> None:
    submitted = send(house.as_key, "elena@customer.example", in_reply_to=answer.rfc_message_id)
    assert submitted.message.thread_id == answer.thread_id
    assert submitted.message.filed_rule == "answers_message"

"""The road of doubtful mail, whole: SMTP, a worker, the page Held, a person, and the ticket it belongs to."""

import smtplib

import pytest
from django.test import Client

from apps.inbound.models import ReceivedMessage
from apps.mailboxes.models import Message
from apps.mailboxes.selectors import raw_of
from apps.tickets.models import HeldMessage, SpamKnowledge, SpamMark, Ticket
from apps.tickets.selectors import messages_of
from tests.inbound.processes import ReceiveProcess, Worker
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.screening.files import PE, mail_with, zipped

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_customers_program_is_held_looked_at_released_and_joins_its_ticket(house: House) -> None:
    question = raw_mail(message_id="a@customer.example", subject="It crashes")
    answer = mail_with(("diagnose.zip", zipped({"diagnose.exe": PE})))
    answer = answer.replace(b"<file@house.test>", b"<b@customer.example>").replace(
        b"MIME-Version", b"In-Reply-To: <a@customer.example>\r\nMIME-Version"
    )
    with ReceiveProcess() as process, Worker(), smtplib.SMTP("127.0.0.1", process.port) as program:
        for mail in (question, answer):
            assert program.sendmail("elena@customer.example", ["support@house.test"], mail) == {}
            wait_until(
                lambda: not ReceivedMessage.objects.filter(state__in=["accepted", "ingesting"]).exists()
            )
    ticket = Ticket.objects.get()
    held = HeldMessage.objects.get()
    assert held.cause == "forbidden_file"

    browser = Client()
    browser.force_login(house.alice)
    assert "“diagnose.exe” in “diagnose.zip” is a program." in browser.get("/held/").content.decode()
    assert browser.post(f"/held/{held.pk}/release/").status_code == 200
    released = messages_of(house.as_alice, ticket)[-1]
    assert raw_of(released) == answer, "to the very byte"
    assert Ticket.objects.get() == ticket
    assert [part.filename for part in released.parts.all()] == ["diagnose.zip"]


def test_a_worker_learns_what_somebody_marks(house: House) -> None:
    with ReceiveProcess() as process, Worker():
        with smtplib.SMTP("127.0.0.1", process.port) as program:
            program.sendmail("a@b.example", ["support@house.test"], raw_mail())
        wait_until(Message.objects.exists, what="filing")
        browser = Client()
        browser.force_login(house.alice)
        thread = Message.objects.get().thread_id
        browser.post(f"/m/{house.support.pk}/t/{thread}/move/", {"folder": "spam"})
        wait_until(lambda: SpamKnowledge.objects.filter(spam=1).exists(), what="learning")
    assert SpamMark.objects.get().learned == "spam"

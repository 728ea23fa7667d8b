"""The receive process dies while mail is submitted. What had its 250 is there once; what is repeated is there once."""

import smtplib
import ssl
import threading
from collections import Counter
from pathlib import Path

import pytest
from django.core.cache import cache

from apps.mailboxes.models import Message
from apps.outbound.models import Delivery
from tests.inbound.certificate import anybody, make_certificate
from tests.inbound.processes import ReceiveProcess
from tests.inbound.submitting import mail
from tests.people import House
from tests.polling import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

ELENA = "elena@customer.example"
PROGRAMS = 4
MAILS_EACH = 25
GONE = (smtplib.SMTPException, OSError)


@pytest.fixture(autouse=True)
def nobody_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return str(make_certificate(tmp_path))


def submit(port: int, secret: str, *subjects: str, accepted: list[str], tls: ssl.SSLContext) -> None:
    """Each in turn over one connection, until the other side is gone; `accepted` are those with a 250."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as program:
        program.starttls(context=tls)
        program.login("apikey", secret)
        for subject in subjects:
            message = mail(subject, Message_ID=f"<{subject}@laptop.example>")
            program.sendmail("support@house.test", [ELENA], message.as_bytes())
            accepted.append(subject)


@pytest.mark.parametrize("point", ["committing", "committed"])
def test_killed_around_the_commit_the_repetition_is_one_message(
    house: House, certificate: str, point: str
) -> None:
    accepted: list[str] = []
    dying = ReceiveProcess("-m", "tests.inbound.dying_receiver", point, SMTP_TLS_CERTIFICATE=certificate)
    with dying, pytest.raises(GONE):
        submit(dying.submission_port, house.secret, "once", accepted=accepted, tls=anybody())
    assert Message.objects.count() == (1 if point == "committed" else 0)
    assert not accepted
    with ReceiveProcess(SMTP_TLS_CERTIFICATE=certificate) as process:
        submit(process.submission_port, house.secret, "once", accepted=accepted, tls=anybody())
    assert accepted == ["once"]
    assert (Message.objects.count(), Delivery.objects.count()) == (1, 1)


def test_killed_under_load_nothing_with_a_250_is_missing_and_nothing_is_there_twice(
    house: House, certificate: str
) -> None:
    accepted: list[str] = []
    given = {n: [f"{n}-{m}" for m in range(MAILS_EACH)] for n in range(PROGRAMS)}

    def program(n: int, port: int, left: list[str]) -> None:
        try:
            submit(port, house.secret, *left, accepted=accepted, tls=anybody())
        except GONE:
            return  # it tries again later, what it has no answer to

    def all_at(port: int) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=program, args=(n, port, [one for one in mine if one not in accepted]))
            for n, mine in given.items()
        ]
        for thread in threads:
            thread.start()
        return threads

    def kill_after_accepting(bound: int, process: ReceiveProcess) -> None:
        wait_until(lambda: len(accepted) >= bound, what="mails with a 250")
        process.kill()

    for kill_after in (10, 40, None):
        with ReceiveProcess(SMTP_TLS_CERTIFICATE=certificate) as process:
            threads = all_at(process.submission_port)
            if kill_after is not None:
                kill_after_accepting(kill_after, process)
            for thread in threads:
                thread.join(60)
        there = Counter(Message.objects.values_list("subject", flat=True))
        assert set(accepted) <= there.keys()
        assert max(there.values()) == 1
    assert sorted(accepted) == sorted(one for mine in given.values() for one in mine)
    assert Message.objects.count() == Delivery.objects.count() == PROGRAMS * MAILS_EACH

"""Fifty mails a second arrive while PostgreSQL and S3 go and come back: the 250s and the filed mails are the same.

The senders behave as a mail server's queue does: each mail is tried again until it is told 250. One in ten has no room
in the spool, so its bytes must go to S3 before its 250 may be said.
"""

import itertools
import smtplib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from apps.blobs.selectors import read
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.sweeper import sweep_received
from apps.mailboxes.models import Message
from apps.tickets.models import Ticket
from tests.faults.test_receiving_faults import (
    bring_back,
    count,
    filing,
    forget_connections,
    let_lost_claims_lapse,
    mail,
    stop_postgresql,
    synchronous_commits,
)
from tests.inbound.processes import ReceiveProcess
from tests.people import House
from tests.polling import wait_until
from tests.servers import Servers

__all__ = ["synchronous_commits"]

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

PER_SECOND = 50
SESSIONS = 25
LARGE_BYTES = 400_000
AGAIN_AFTER_SECONDS = 0.3
PUT_OFF_IN_AN_OUTAGE = 60


@dataclass
class Told:
    """What the senders heard, and what they should have."""

    accepted: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    outages: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def show(self, mails: int, kept: Counter[str]) -> str:
        rows = [
            ("mails sent until 250", mails),
            *((outage, 1) for outage in self.outages),
            *((f"told {answer} meanwhile", times) for answer, times in sorted(self.refusals.items())),
            ("mails told 250", len(self.accepted)),
            ("filed", kept.total()),
            ("told 250 and not filed", len(self.accepted.keys() - kept.keys())),
            ("filed and not told 250", len(kept.keys() - self.accepted.keys())),
            ("filed twice", sum(copies > 1 for copies in kept.values())),
        ]
        return "\n" + "\n".join(f"{name:<40} {value:>6}" for name, value in rows)


def identifier_of(number: int) -> str:
    return f"outage-{number}@customer.example"


def raw_of(number: int) -> bytes:
    return mail(f"outage-{number}", LARGE_BYTES if number % 10 == 0 else 0)


def send_once(port: int, number: int) -> str:
    """ "" when it was taken, or what was said or happened instead."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as program:
            program.sendmail("elena@customer.example", ["support@house.test"], raw_of(number))
    except smtplib.SMTPRecipientsRefused as error:
        return next(str(code) for code, _text in error.recipients.values())
    except smtplib.SMTPResponseException as error:
        return str(error.smtp_code)
    except (OSError, smtplib.SMTPServerDisconnected) as error:
        return type(error).__name__
    return ""


@contextmanager
def arriving(port: int, mails: int, told: Told) -> Iterator[Callable[[], bool]]:
    """Mails leave their senders at a steady rate, as sessions are free; the block is given whether all were taken."""
    numbers = itertools.count()
    started = time.monotonic()

    def send() -> None:
        while (number := next(numbers)) < mails:
            time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
            while answer := send_once(port, number):
                with told.lock:
                    told.refusals[answer] += 1
                time.sleep(AGAIN_AFTER_SECONDS)
            with told.lock:
                told.accepted[identifier_of(number)] += 1

    threads = [threading.Thread(target=send) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: not any(thread.is_alive() for thread in threads)
    finally:
        for thread in threads:
            thread.join(240)


def outage(servers: Servers, told: Told, kind: str) -> None:
    """Take a server away until so many mails have been put off."""
    before = sum(told.refusals.values())

    def is_felt() -> bool:
        return sum(told.refusals.values()) >= before + PUT_OFF_IN_AN_OUTAGE

    if kind.startswith("PostgreSQL"):
        stop_postgresql(servers, killed="killed" in kind)
        wait_until(is_felt, what="mails are put off while PostgreSQL is away")
        bring_back(servers)
    else:
        servers.s3.kill()
        wait_until(is_felt, what="large mails are put off while S3 is away")
        servers.s3.restart()
    told.outages.append(kind)


def wait_taken(told: Told, share: int) -> None:
    wait_until(lambda: len(told.accepted) >= share, 240, what=f"{share} mails are taken")


def run(house: House, servers: Servers, mails: int, outages: tuple[str, ...]) -> str:
    """Have so many mails arrive through so many outages; the table, after all was found in order."""
    told = Told()
    with ReceiveProcess() as process, filing():
        with arriving(process.port, mails, told) as all_taken:
            for number, kind in enumerate(outages, start=1):
                wait_taken(told, mails * number // (len(outages) + 1))
                outage(servers, told, kind)
            wait_until(all_taken, 240, what="every mail is told 250")
        settle()
    forget_connections()
    kept = Counter(Message.objects.values_list("rfc_message_id", flat=True))
    table = told.show(mails, kept)
    assert set(told.refusals) <= {"451", "421", "SMTPServerDisconnected", "ConnectionResetError"}, table
    assert kept == told.accepted == Counter(identifier_of(number) for number in range(mails)), table
    assert Ticket.objects.count() == mails
    for message in Message.objects.select_related("raw").filter(size_bytes__gt=LARGE_BYTES):
        number = int(message.rfc_message_id.partition("@")[0].partition("-")[2])
        assert read(message.raw) == raw_of(number)
    return table


def settle() -> None:
    def all_filed() -> bool:
        let_lost_claims_lapse()
        sweep_received()
        return not count(ReceivedState.ACCEPTED) and not count(ReceivedState.INGESTING)

    wait_until(all_filed, 240, what="everything is filed")


@pytest.mark.slow
@pytest.mark.usefixtures("synchronous_commits")
def test_outages_under_fifty_mails_a_second_leave_250s_and_filed_mails_the_same(
    house: House, servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    table = run(
        house,
        servers,
        2000,
        ("PostgreSQL stopped", "S3 killed", "PostgreSQL killed", "S3 killed again"),
    )
    assert not ReceivedMessage.objects.exclude(state=ReceivedState.FILED).exists()
    with capsys.disabled():
        print(table)  # noqa: T201 - the table is what this is for

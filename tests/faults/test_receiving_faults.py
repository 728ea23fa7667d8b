"""Servers and workers die while mail arrives. What was answered 250 is filed exactly once; the rest had no 250."""

import smtplib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import cast

import pytest
from django.db import DatabaseError, InterfaceError, connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.utils import timezone

from apps.blobs.selectors import read
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.inbound.sweeper import sweep_received
from apps.mailboxes.models import Message
from apps.tickets.models import Ticket
from mailplatform.environment import PROJECT_ROOT
from tests.inbound.processes import ReceiveProcess, Worker
from tests.inbound.wire import RawClient, send
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.processes import over_this_database
from tests.servers import Servers

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

SENDERS = 4
MAILS_EACH = 40


def mail(number: object, size_bytes: int = 0) -> bytes:
    return raw_mail(message_id=f"{number}@customer.example", text="x" * size_bytes + "\r\n")


def forget_connections() -> None:
    """This process's pool holds connections to a server that is no more."""
    connection.close()
    cast(DatabaseWrapper, connection).close_pool()


@pytest.fixture
def synchronous_commits(house: House) -> Iterator[None]:
    """The tests' PostgreSQL answers a commit before its log is written, and a kill would lose it. Not here."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    forget_connections()
    yield
    forget_connections()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET synchronous_commit")


@pytest.mark.parametrize("point", ["claimed", "filing", "filed"])
def test_a_worker_killed_at_any_point_files_the_mail_once(house: House, point: str) -> None:
    assert ReceivedMessage.objects.count() == 0
    with ReceiveProcess() as process:
        assert send(process.port).startswith("250")
    killed = subprocess.run(
        [sys.executable, "-m", "tests.inbound.dying_worker", point],
        cwd=PROJECT_ROOT,
        env=over_this_database(),
        timeout=60,
        check=False,
    )
    assert killed.returncode == -9
    row = ReceivedMessage.objects.get()
    assert row.state == (ReceivedState.FILED if point == "filed" else ReceivedState.INGESTING)
    assert Message.objects.count() == (1 if point == "filed" else 0)
    assert ingest_due(limit=10, seconds=30) == 0  # the dead worker's lease is respected
    lapsed = timezone.now() - timedelta(seconds=1)
    assert row.due_at < timezone.now() + timedelta(seconds=60)
    ReceivedMessage.objects.filter(state=ReceivedState.INGESTING).update(due_at=lapsed)
    ingest_due(limit=10, seconds=30)
    assert (Message.objects.count(), Ticket.objects.count()) == (1, 1)
    assert ReceivedMessage.objects.get().state == ReceivedState.FILED


def test_while_s3_is_away_small_mail_arrives_and_large_mail_is_asked_to_come_again(
    house: House, servers: Servers
) -> None:
    large = mail("large", 400_000)
    with ReceiveProcess() as process, Worker():
        servers.s3.kill()
        with RawClient(process.port) as client:
            assert client.sends(mail("small"), "support@house.test").startswith("250")
            assert client.sends(large, "support@house.test").startswith("451 4.3.0")
        wait_until(Message.objects.exists, what="filing while S3 is away")
        servers.s3.restart()
        assert send(process.port, large).startswith("250")
        wait_until(lambda: Message.objects.count() == 2, what="filing the large mail")
    assert {message.rfc_message_id for message in Message.objects.all()} == {
        "small@customer.example",
        "large@customer.example",
    }
    assert (
        read(Message.objects.select_related("raw").get(rfc_message_id="large@customer.example").raw) == large
    )


def test_while_postgresql_is_away_every_command_is_answered_451(house: House, servers: Servers) -> None:
    with ReceiveProcess() as process, RawClient(process.port) as early, RawClient(process.port) as late:
        early.addresses("support@house.test")
        servers.postgres.stop()
        early.asks(b"DATA")
        early.says(mail("early") + b".\r\n")
        assert early.hears().startswith("451 4.3.0")
        assert late.addresses("support@house.test")[0].startswith("451 4.3.0")
        bring_back(servers)
        forget_connections()
        wait_until(
            lambda: late.asks(b"RCPT TO:<support@house.test>").startswith("250"), what="taking mail again"
        )
        late.asks(b"DATA")
        late.says(mail("late") + b".\r\n")
        assert late.hears().startswith("250")
    assert ReceivedMessage.objects.count() == 1


class PersistentSender(threading.Thread):
    """Sends its mails one after the other, each again and again until a 250, as a real server's queue would."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name)
        self._port = port
        self.acknowledged: list[str] = []
        self.refusals: Counter[str] = Counter()

    def run(self) -> None:
        for number in range(MAILS_EACH):
            identifier = f"{self.name}-{number}"
            while not self._sent(mail(identifier)):
                time.sleep(0.05)
            self.acknowledged.append(identifier)

    def _sent(self, raw: bytes) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as program:
                program.sendmail("elena@customer.example", ["support@house.test"], raw)
        except smtplib.SMTPRecipientsRefused as error:
            self.refusals.update(str(code) for code, _text in error.recipients.values())
        except smtplib.SMTPResponseException as error:
            self.refusals[str(error.smtp_code)] += 1
        except (OSError, smtplib.SMTPServerDisconnected) as error:
            self.refusals[type(error).__name__] += 1
        else:
            return True
        return False


def have_taken(senders: Sequence[PersistentSender], least: int) -> bool:
    """Whether that many of their mails were taken."""
    return sum(len(sender.acknowledged) for sender in senders) >= least


@contextmanager
def filing() -> Iterator[None]:
    """Two workers that go on whatever the database does."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.02):
            ingest_due(limit=50, seconds=5)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def stop_postgresql(servers: Servers, *, killed: bool) -> None:
    if killed:
        servers.postgres.kill()
    else:
        servers.postgres.stop()


def bring_back(servers: Servers) -> None:
    """Start PostgreSQL again. Recovery reads the log since the last checkpoint: minutes of tests, on a busy machine."""
    servers.postgres.start()
    wait_until(servers.postgres.is_ready, 180, what="recovery")


def count(state: ReceivedState) -> int:
    """How many rows are in a state; -1 while nobody can tell."""
    try:
        return ReceivedMessage.objects.filter(state=state).count()
    except (DatabaseError, InterfaceError):
        connection.close()
        return -1


def let_lost_claims_lapse() -> None:
    """A claim whose answer the restart swallowed is nobody's; its minute is over now."""
    ReceivedMessage.objects.filter(state=ReceivedState.INGESTING).update(due_at=timezone.now())


@pytest.mark.usefixtures("synchronous_commits")
@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_postgresql_restarting_under_load_loses_and_doubles_nothing(
    house: House, servers: Servers, *, killed: bool
) -> None:
    total = SENDERS * MAILS_EACH
    with ReceiveProcess() as process:
        senders = [PersistentSender(process.port, f"sender{n}") for n in range(SENDERS)]
        with filing():
            for sender in senders:
                sender.start()
            # A restart is over in a fifth of a second, and falls into a commit or not: with several, some do.
            for percent in (10, 25, 40, 55, 70):
                wait_until(partial(have_taken, senders, total * percent // 100), 60, what=f"{percent} %")
                stop_postgresql(servers, killed=killed)
                bring_back(servers)
            for sender in senders:
                sender.join(120)
                assert not sender.is_alive()
            wait_until(lambda: not count(ReceivedState.ACCEPTED), 60, what="taking up the rest")
            let_lost_claims_lapse()
            wait_until(lambda: count(ReceivedState.FILED) == total, 60, what="filing the rest")
    forget_connections()
    acknowledged = [identifier for sender in senders for identifier in sender.acknowledged]
    refusals = sum((sender.refusals for sender in senders), Counter[str]())
    assert refusals, "the restarts were not felt: this test has shown nothing"
    assert set(refusals) <= {"451", "421", "SMTPServerDisconnected", "ConnectionResetError"}, refusals
    kept = Counter(Message.objects.values_list("rfc_message_id", flat=True))
    assert kept == Counter(f"{identifier}@customer.example" for identifier in acknowledged)
    assert Ticket.objects.count() == total


def test_a_redis_flushed_with_mail_waiting_delays_it_and_no_more(house: House, servers: Servers) -> None:
    with ReceiveProcess() as process:
        with RawClient(process.port) as client:
            for number in range(20):
                assert client.sends(mail(number), "support@house.test").startswith("250")
        process.stop()  # so that no wake-up of its comes after the flush
    servers.valkey.flush()
    with Worker():
        assert not Message.objects.exists()
        sweep_received()
        wait_until(lambda: Message.objects.count() == 20, what="filing after the sweep")


def test_a_receive_process_killed_under_load_keeps_all_it_said_250_to(house: House) -> None:
    acknowledged: list[str] = []
    with ReceiveProcess() as process:

        def send_until_it_dies() -> None:
            for number in range(10_000):
                try:
                    with smtplib.SMTP("127.0.0.1", process.port, timeout=10) as program:
                        program.sendmail("elena@customer.example", ["support@house.test"], mail(number))
                        acknowledged.append(f"{number}@customer.example")
                except (OSError, smtplib.SMTPException):
                    return

        sender = threading.Thread(target=send_until_it_dies)
        sender.start()
        wait_until(lambda: len(acknowledged) >= 20, what="twenty mails")
        process.kill()
        sender.join()
    wait_until(lambda: ingest_due(limit=1000, seconds=30) == 0, what="filing")
    kept = Counter(Message.objects.values_list("rfc_message_id", flat=True))
    assert set(acknowledged) <= set(kept)
    # The one on its way when the process died may have been committed before its 250 was said.
    assert kept.total() <= len(acknowledged) + 1
    assert max(kept.values()) == 1

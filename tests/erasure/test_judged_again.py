"""Mail that is held for want of a scanner, and judged again just while its writer is being erased."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apps.erasure.models import Erasure, ErasureState
from apps.erasure.services import request_erasure
from apps.erasure.walk import erase_some
from apps.inbound import admission
from apps.inbound.admission import PATIENCE, judge_again
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage
from apps.mailboxes.models import Message
from apps.screening.screen import all_answer
from apps.tickets.models import HeldMessage, HoldCause
from tests.erasure.customer import ELENA
from tests.erasure.traces import tables_that_say
from tests.inbound.arriving import receive
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.screening.conftest import clamd
from tests.screening.daemons import FakeClamd

__all__ = ["clamd"]
pytestmark = pytest.mark.django_db(transaction=True)


def hold_for_want_of_a_scanner(house: House, clamd: FakeClamd) -> None:
    """A mail of Elena's that no scanner has looked at; they all answer by now."""
    clamd.answer = "stream: something went wrong ERROR"
    row = receive(house, raw_mail(sender=ELENA))
    ReceivedMessage.objects.filter(pk=row.pk).update(received_at=timezone.now() - PATIENCE)
    ingest_due(limit=1, seconds=30)
    assert HeldMessage.objects.get().cause == HoldCause.SCANNER_UNAVAILABLE
    HeldMessage.objects.update(held_at=timezone.now() - PATIENCE)
    clamd.answer = "stream: OK"
    wait_until(all_answer, what="ClamAV being asked again")


def request(house: House) -> None:
    request_erasure(house.as_key, ELENA, confirmation=ELENA, now=timezone.now())


def finish() -> Erasure:
    while erase_some():
        pass
    return Erasure.objects.get()


def test_while_a_customer_is_erased_held_mail_stays_held_and_goes(house: House, clamd: FakeClamd) -> None:
    hold_for_want_of_a_scanner(house, clamd)
    request(house)
    erase_some()
    assert judge_again() == 0
    assert finish().state == ErasureState.DONE
    assert tables_that_say(ELENA) == []
    hold_for_want_of_a_scanner(house, clamd)
    assert judge_again() == 1, "the erasure is over"


def test_one_organisations_erasure_keeps_no_other_from_its_mail(
    house: House, stranger: House, clamd: FakeClamd
) -> None:
    hold_for_want_of_a_scanner(house, clamd)
    request(stranger)
    assert judge_again() == 1


def test_an_erasure_waits_for_mail_that_is_being_given_back(
    house: House, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked whether all mail is read, in the moment before one that was held became unread again."""
    hold_for_want_of_a_scanner(house, clamd)
    entered, leave = threading.Event(), threading.Event()

    def stop_before_the_commit(mailboxes: Sequence[object], what: str) -> None:
        entered.set()
        assert leave.wait(60)

    monkeypatch.setattr(admission, "announce", stop_before_the_commit)
    judging = threading.Thread(target=_and_close, args=(judge_again,))
    judging.start()
    assert entered.wait(60)
    request(house)
    erasing = threading.Thread(target=_and_close, args=(finish,))
    erasing.start()
    wait_until(_somebody_waits_for_a_lock, what="the erasure waiting for the mail")
    leave.set()
    judging.join(60)
    erasing.join(60)
    assert Erasure.objects.get().state == ErasureState.RUNNING, "a mail is not read yet"
    ReceivedMessage.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    ingest_due(limit=1, seconds=30)
    assert Message.objects.count() == 1
    assert finish().state == ErasureState.DONE
    assert tables_that_say(ELENA) == []


def _and_close(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connection.close()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])

"""Real mails, broken at random: each is read, nothing of it hurts, and it becomes a ticket with its very bytes."""

from collections.abc import Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.mailboxes.selectors import raw_of
from apps.mime.parse import parse, parse_as_text
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import check_message
from tests.mail import raw_mail
from tests.mime.mails import corpus, hostile_bytes, mail, multipart, nested
from tests.people import House

pytestmark = pytest.mark.slow

MAX_SEED_BYTES = 200_000
CORPORA = ("mime", "bounces", "html", "replies", "mailauth", "tnef")


def examples(count: int) -> settings:
    """So many, each as slow as it must be."""
    return settings(
        max_examples=count,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.function_scoped_fixture,
        ],
    )


@cache
def seeds() -> list[bytes]:
    """Our own torture mails, and the corpora where they lie beside the project."""
    own = [
        raw_mail(),
        raw_mail(headers={"Importance": "high", "List-Id": "<x>", "Auto-Submitted": "no"}),
        multipart("mixed", mail(b"one\r\n"), mail(b"<p>two</p>", Content_Type="text/html; charset=utf-8")),
        multipart("alternative", mail(b"plain"), mail(b"<svg><style>x", Content_Type="text/html")),
        multipart("report", mail(b"Status: 5.1.1\r\n", Content_Type="message/delivery-status")),
        mail(
            b"aGVsbG8=",
            Content_Transfer_Encoding="base64",
            Content_Disposition='attachment; filename="a.exe"',
        ),
        nested(30),
    ]
    return own + [content for content in _corpora() if len(content) <= MAX_SEED_BYTES]


def _corpora() -> Iterator[bytes]:
    for folder in CORPORA:
        try:
            files = corpus(folder)
        except pytest.skip.Exception:
            continue
        yield from (path.read_bytes() for path in files if path.is_file())


def check_read(raw: bytes) -> None:
    check_message(parse(raw))
    check_message(parse_as_text(raw))


@examples(1500)
@given(st.deferred(lambda: mutated(seeds())))
def test_a_broken_mail_is_read_and_nothing_of_it_hurts(raw: bytes) -> None:
    check_read(raw)


@examples(1500)
@given(hostile_bytes)
def test_bytes_that_never_were_a_mail_are_read_too(raw: bytes) -> None:
    check_read(raw)


@examples(150)
@given(raw=st.deferred(lambda: mutated(seeds(), at_most=6)))
def test_a_broken_mail_becomes_a_ticket_with_its_very_bytes(house: House, raw: bytes) -> None:
    before = Ticket.objects.count()
    message = arrive(house.support, raw)
    assert raw_of(message) == raw
    # A mail that refers to an earlier example joins its ticket.
    assert Ticket.objects.filter(thread=message.thread_id).exists()
    assert Ticket.objects.count() in {before, before + 1}

"""What becomes a row of its own and what a blob."""

import pytest
from django.utils import timezone

from apps.blobs.models import Blob
from apps.mailboxes.models import Message
from apps.mailboxes.projection import SHORT_BODY_BYTES, prepare
from apps.mailboxes.selectors import bodies_of, html_of, text_of
from apps.tickets.intake import file_message
from tests.people import House

pytestmark = pytest.mark.django_db


def file(house: House, text: str, html: str) -> Message:
    raw = (
        "From: elena@customer.example\r\nTo: support@house.test\r\nSubject: Hello\r\n"
        'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        f"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n--b--\r\n"
    ).encode()
    filed = file_message(
        prepare(raw),
        organisation_id=house.organisation.pk,
        mailboxes=[house.support],
        received_at=timezone.now(),
    )
    return Message.objects.get(pk=filed.pk)


def test_short_bodies_stand_in_the_row_and_need_no_object(house: House) -> None:
    message = file(house, "Grüße, nothing came.", "<p>Grüße, <b>nothing</b> came.</p>")
    assert (message.text, message.html) == (None, None)
    assert list(Blob.objects.filter(organisation=house.organisation)) == [message.raw]
    assert "Grüße, nothing came." in text_of(message)
    assert "<b>nothing</b>" in html_of(message)
    assert bodies_of([message]) == {message.pk: (text_of(message), html_of(message))}


def test_a_body_is_a_blob_from_the_byte_on_that_makes_it_long(house: House) -> None:
    # Two bytes a letter: the bound is one of bytes.
    message = file(house, "ü" * (SHORT_BODY_BYTES // 2 + 1), "<p>short</p>")
    assert message.text is not None
    assert (message.short_text, message.html) == ("", None)
    assert text_of(message).startswith("üüü")
    assert bodies_of([message])[message.pk] == (text_of(message), html_of(message))

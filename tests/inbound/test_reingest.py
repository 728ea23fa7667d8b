"""Received messages are read again from their bytes: with what is known now, and with nothing else changed."""

import io
import uuid
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.blobs.models import Blob
from apps.events.models import Event
from apps.inbound import reingest
from apps.inbound.reingest import Choice
from apps.mailboxes.models import Folder, MailboxEntry, Message, MessageKind, Part
from apps.mailboxes.projection import PROJECTION_VERSION
from apps.mailboxes.reprojection import project_again
from apps.mailboxes.selectors import text_of
from apps.mime.bounded import TIMED_OUT, BoundedParser, default_parser
from apps.mime.parse import parse_as_text
from apps.tickets.models import Ticket
from tests.arrivals import arrive
from tests.mail import raw_mail
from tests.mime.mails import mail, multipart
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)

FORWARDED = mail(
    b"The lamp is broken.\r\n",
    From="Ben <ben@customer.example>",
    Subject="Lamp",
    Content_Type="text/plain",
)
WITH_PARTS = multipart(
    "mixed",
    mail(b"See below.\r\n", Content_Type="text/plain"),
    mail(b"\x01\x02", Content_Type="image/png", Content_Disposition='attachment; filename="a.png"'),
    mail(FORWARDED, Content_Type="message/rfc822"),
    From="Elena <elena@customer.example>",
    Subject="Two things",
    Message_ID="<two@customer.example>",
)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("reingest", *arguments, stdout=out)
    return out.getvalue()


def rows_of(message: Message) -> dict[str, Any]:
    """The message's row and its parts', whole."""
    row = Message.objects.filter(pk=message.pk).values().get()
    parts = list(Part.objects.filter(message=message).order_by("n").values())
    return {"message": row, "parts": parts}


def test_a_projection_of_an_older_version_is_made_new_and_its_parts_keep_their_ids(house: House) -> None:
    message = arrive(house.support, WITH_PARTS)
    fresh = rows_of(message)
    # What an older version had made of it: no forwarded message looked into, another name, a part too many.
    Message.objects.filter(pk=message.pk).update(
        projection_version=1, subject="?", short_text="?", snippet="", contents={}, kind="list"
    )
    Part.objects.filter(message=message, n=1).update(filename="old.bin")
    blob = Blob.objects.filter(organisation=house.organisation)[0]
    Part.objects.create(message=message, n=99, filename="gone.bin", content_type="x/y", blob=blob)

    assert "1 messages were read again" in run()
    assert rows_of(message) == fresh
    assert fresh["message"]["contents"]["enclosed"][0]["subject"] == "Lamp"


def test_doing_it_again_changes_nothing(house: House) -> None:
    message = arrive(house.support, WITH_PARTS)
    before = rows_of(message)
    for _ in range(2):
        run("--message", str(message.pk))
        assert rows_of(message) == before


def test_tickets_conversations_flags_and_folders_stay_as_they_are(house: House) -> None:
    message = arrive(house.support, WITH_PARTS)
    MailboxEntry.objects.filter(message=message).update(folder=Folder.ARCHIVE, is_read=True, is_starred=True)
    Ticket.objects.update(state="solved", subject="Renamed", solved_at=timezone.now())
    Message.objects.filter(pk=message.pk).update(filed_because="As it was.", tags=["a"], projection_version=0)
    tickets, entries = list(Ticket.objects.values()), list(MailboxEntry.objects.values())
    events = Event.objects.count()

    run("--since", "2020-01-01")

    assert list(Ticket.objects.values()) == tickets
    assert list(MailboxEntry.objects.values()) == entries
    assert Event.objects.count() == events
    message.refresh_from_db()
    assert (message.filed_because, message.tags) == ("As it was.", ["a"])
    assert message.projection_version == PROJECTION_VERSION


def test_only_what_is_old_is_read_again_when_nothing_else_is_asked_for(house: House) -> None:
    old, new = arrive(house.support, message_id="a@x"), arrive(house.support, message_id="b@x")
    Message.objects.update(short_text="?")
    Message.objects.filter(pk=old.pk).update(projection_version=1)
    assert "1 messages" in run("--older-than-version")
    old.refresh_from_db()
    new.refresh_from_db()
    assert "card was charged twice" in text_of(old)
    assert text_of(new) == "?"


def test_one_organisation_is_chosen_by_id_or_by_domain(house: House, stranger: House) -> None:
    arrive(house.support)
    arrive(stranger.support, message_id="other@x")
    assert "1 messages" in run("--organisation", str(house.organisation.pk))
    assert "1 messages" in run("--organisation", stranger.domain)
    with pytest.raises(CommandError, match="no organisation"):
        run("--organisation", "nobody.example")


def test_a_run_that_was_killed_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [arrive(house.support, message_id=f"{n}@x") for n in range(5)]
    Message.objects.update(projection_version=1)
    monkeypatch.setattr(reingest, "BATCH", 2)
    done: list[uuid.UUID] = []

    def dies_at_the_fourth(message_id: uuid.UUID, *given: Any) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(message_id)
        project_again(message_id, *given)

    monkeypatch.setattr(reingest, "project_again", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert Message.objects.filter(projection_version=PROJECTION_VERSION).count() == 3
    monkeypatch.setattr(reingest, "project_again", project_again)
    assert "2 messages" in run()
    assert "1 messages" in run("--since", "2020-01-01", "--after", str(messages[3].pk))


def test_a_crash_between_the_rows_leaves_the_old_projection(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = arrive(house.support, WITH_PARTS)
    Message.objects.update(projection_version=1, subject="old")
    Part.objects.filter(n=3).delete()
    before = rows_of(message)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Part.objects, "bulk_create", crash)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert rows_of(message) == before


def test_a_message_that_cannot_be_read_in_time_keeps_the_better_reading_it_had(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = arrive(house.support, WITH_PARTS)
    before = rows_of(message)

    def too_slow(_self: BoundedParser, raw: bytes, **_: object) -> Any:
        parsed = parse_as_text(raw)
        object.__setattr__(parsed, "defects", (TIMED_OUT, *parsed.defects))
        return parsed

    monkeypatch.setattr(type(default_parser()), "parse", too_slow)
    assert "Left as they were" in run("--message", str(message.pk))
    assert rows_of(message) == before


def test_what_was_taken_in_as_a_report_stays_one(house: House) -> None:
    message = arrive(house.support, raw_mail(sender="postmaster@x.example", text="No such thing."))
    Message.objects.update(kind=MessageKind.BOUNCE)
    run("--message", str(message.pk))
    message.refresh_from_db()
    assert message.kind == MessageKind.BOUNCE


def test_missing_bytes_are_told_and_stop_nobody(house: House) -> None:
    lost, kept = arrive(house.support, message_id="a@x"), arrive(house.support, message_id="b@x")
    missing = Blob.objects.create(organisation=house.organisation, sha256=b"\x00" * 32, size_bytes=3)
    Message.objects.filter(pk=lost.pk).update(raw=missing)
    out = run("--since", "2020-01-01")
    assert str(lost.pk) in out
    assert "1 messages" in out
    kept.refresh_from_db()


def test_choices_are_explained_by_name(house: House) -> None:
    with pytest.raises(CommandError, match="no received message"):
        run("--message", str(uuid.uuid4()))
    with pytest.raises(CommandError, match="date"):
        run("--since", "yesterday")
    assert next(reingest.reingest(Choice(message_id=uuid.uuid4())), None) is None

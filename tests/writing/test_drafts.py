"""Drafts: nothing typed is lost, whoever saves first, and what was sent is no draft any more."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.mailboxes.errors import NotVisible
from apps.outbound.services import cancel_message
from apps.outbound.submission.submit import Submission, submit_message
from apps.writing.drafts import (
    Saved,
    Typed,
    discard_draft,
    draft_for,
    draft_of_message,
    end_with,
    open_drafts,
    reopen_draft,
    save_draft,
)
from apps.writing.errors import WritingInvalid
from apps.writing.files import append_piece, begin_file
from apps.writing.models import Draft, DraftState
from apps.writing.sweeping import sweep_drafts
from tests.people import House
from tests.writing.documents import document

DRAFT = uuid.UUID("0199a000-0000-4000-8000-000000000001")


def save(
    house: House, text: str, *, version: int = 0, editor: str = "laptop", turn: int = 1, **more: Any
) -> Saved:
    typed = Typed(
        fields={"subject": "Plan", "text": text, "csrf": "x"},
        document=document(text),
        version=version,
        editor=editor,
        turn=turn,
    )
    where = {"mailbox": house.support, "thread_id": None, "now": timezone.now(), **more}
    return save_draft(house.as_alice, DRAFT, typed, **where)


def test_what_is_typed_is_kept_under_a_new_version_each_time(house: House) -> None:
    assert save(house, "one").draft.version == 1
    saved = save(house, "two", version=1, turn=2)
    assert (saved.draft.version, saved.beside) == (2, None)
    row = Draft.objects.get()
    assert row.fields == {"subject": "Plan", "text": "two"}
    assert row.snippet == "two"


def test_two_devices_that_write_the_same_draft_keep_both(house: House) -> None:
    save(house, "one")
    save(house, "on the phone", version=1, editor="phone", turn=1)
    saved = save(house, "on the laptop", version=1, editor="laptop", turn=2)
    # The laptop knew the first version, which is its own: only then is another page's save a conflict.
    assert saved.beside is not None
    assert saved.beside.snippet == "on the phone"
    assert saved.draft.snippet == "on the laptop"
    assert open_drafts(house.as_alice).count() == 2


def test_a_page_that_repeats_itself_or_overtakes_itself_is_no_conflict(house: House) -> None:
    save(house, "one", turn=1)
    again = save(house, "one", version=0, turn=1)
    assert (again.draft.version, again.beside) == (1, None)
    save(house, "three", version=0, turn=3)
    late = save(house, "two", version=1, turn=2)
    assert late.draft.snippet == "three"
    assert Draft.objects.count() == 1


def test_the_same_first_save_from_another_page_with_the_same_words_is_the_same_draft(house: House) -> None:
    save(house, "one")
    assert save(house, "one", editor="phone").beside is None
    assert Draft.objects.count() == 1


def test_a_draft_is_its_authors_alone(house: House, stranger: House) -> None:
    save(house, "one")
    for other in (house.as_bob, house.as_key, stranger.as_alice):
        with pytest.raises(NotVisible):
            draft_for(other, DRAFT)
        assert not open_drafts(other).exists()
    with pytest.raises(NotVisible):
        save_draft(
            house.as_bob,
            DRAFT,
            Typed({"text": "mine"}),
            mailbox=house.bobs,
            thread_id=None,
            now=timezone.now(),
        )


def test_discarded_is_had_back_for_a_day(house: House) -> None:
    save(house, "one")
    now = timezone.now()
    discard_draft(house.as_alice, draft_for(house.as_alice, DRAFT), now)
    assert not open_drafts(house.as_alice).exists()
    assert sweep_drafts(now + timedelta(hours=23)) == 0
    reopen_draft(house.as_alice, draft_for(house.as_alice, DRAFT), now)
    assert open_drafts(house.as_alice).get().version == 2
    discard_draft(house.as_alice, draft_for(house.as_alice, DRAFT), now)
    assert sweep_drafts(now + timedelta(hours=25)) == 1
    assert not Draft.objects.exists()


def test_a_draft_ends_with_its_mail_and_comes_back_with_undo(house: House) -> None:
    save(house, "one")
    now = timezone.now()
    submitted = submit_message(
        house.as_alice,
        Submission(sender="support@house.test", to=("a@x.example",), text="one", hold_seconds=60),
        idempotency_key="k",
        now=now,
        also=lambda message: end_with(house.as_alice, DRAFT, message, now),
    )
    assert Draft.objects.get().state == DraftState.SENT
    # While it waits to leave there is something to go back to.
    assert sweep_drafts(now + timedelta(days=3)) == 0
    written_since = save(house, "and one thing more", version=1, editor="phone")
    assert written_since.beside is not None
    cancel_message(house.as_alice, submitted.message, now)
    draft = draft_of_message(house.as_alice, submitted.message)
    assert draft is not None
    reopen_draft(house.as_alice, draft, now)
    assert "idempotency_key" not in Draft.objects.get(pk=DRAFT).fields
    assert open_drafts(house.as_alice).count() == 2


def test_a_refused_mail_leaves_its_draft_open(house: House) -> None:
    save(house, "one")
    with pytest.raises(Exception, match="no address"):
        submit_message(
            house.as_alice,
            Submission(sender="support@house.test", to=("nonsense",), text="one"),
            idempotency_key="k",
            now=timezone.now(),
            also=lambda message: end_with(house.as_alice, DRAFT, message, timezone.now()),
        )
    assert Draft.objects.get().state == DraftState.OPEN


def test_the_other_version_has_the_same_files(house: House) -> None:
    row = save(house, "one").draft
    file = begin_file(
        row,
        uuid.uuid4(),
        filename="a.txt",
        content_type="text/plain",
        size_bytes=3,
        content_id="",
        now=timezone.now(),
    )
    append_piece(file, 0, b"abc")
    saved = save(house, "two", version=7, editor="phone")
    assert [one.filename for one in saved.draft.files.all()] == ["a.txt"]


def test_a_document_that_is_none_is_refused_by_name(house: House) -> None:
    with pytest.raises(WritingInvalid) as caught:
        save_draft(
            house.as_alice,
            DRAFT,
            Typed({}, document={"type": "script"}),
            mailbox=house.support,
            thread_id=None,
            now=timezone.now(),
        )
    assert caught.value.field == "document"

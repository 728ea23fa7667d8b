"""Files of a draft: in pieces, from where the last one ended, and whole before they are sent."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.mailboxes.errors import NotVisible
from apps.writing.drafts import Typed, save_draft
from apps.writing.errors import PieceMisplaced, WritingInvalid
from apps.writing.files import MAX_FILES_BYTES, append_piece, attachments_of, begin_file, content_of, file_of
from apps.writing.models import Draft, DraftFile, FilePiece
from apps.writing.sweeping import sweep_drafts
from tests.people import House
from tests.pictures import picture

NOBODY_SHOWN: frozenset[str] = frozenset()


@pytest.fixture
def draft(house: House) -> Draft:
    typed = Typed({"text": "see the plan"})
    saved = save_draft(
        house.as_alice, uuid.uuid4(), typed, mailbox=house.support, thread_id=None, now=timezone.now()
    )
    return saved.draft


def begin(draft: Draft, size: int, *, name: str = "plan.bin", content_id: str = "") -> DraftFile:
    return begin_file(
        draft,
        uuid.uuid4(),
        filename=name,
        content_type="application/octet-stream",
        size_bytes=size,
        content_id=content_id,
        now=timezone.now(),
    )


def test_pieces_become_one_content_and_large_ones_go_to_the_store(draft: Draft) -> None:
    content = bytes(range(256)) * 3000
    file = begin(draft, len(content))
    file = append_piece(file, 0, content[:300_000])
    assert not file.is_whole
    file = append_piece(file, 300_000, content[300_000:])
    assert file.is_whole
    assert content_of(file) == content
    assert not FilePiece.objects.exists()


def test_after_a_lost_answer_one_goes_on_where_it_ended(draft: Draft) -> None:
    file = begin(draft, 6)
    append_piece(file, 0, b"abc")
    with pytest.raises(PieceMisplaced) as caught:
        append_piece(file_of(draft, file.pk), 0, b"abc")
    assert caught.value.received_bytes == 3
    stale = DraftFile.objects.get(pk=file.pk)
    stale.received_bytes = 0
    with pytest.raises(PieceMisplaced):
        append_piece(stale, 0, b"abc")
    assert content_of(append_piece(file_of(draft, file.pk), 3, b"def")) == b"abcdef"


def test_what_would_be_too_large_is_refused_before_it_comes(draft: Draft) -> None:
    begin(draft, MAX_FILES_BYTES - 10)
    for size in (11, 0):
        with pytest.raises(WritingInvalid):
            begin(draft, size)
    file = begin(draft, 5)
    with pytest.raises(WritingInvalid, match="More came"):
        append_piece(file, 0, b"abcdef")


def test_a_file_announced_twice_is_the_same_and_of_one_draft(draft: Draft, house: House) -> None:
    file = begin(draft, 5)
    asked = {"filename": "x", "content_type": "", "size_bytes": 5, "content_id": "", "now": timezone.now()}
    assert begin_file(draft, file.pk, **asked) == file  # type: ignore[arg-type]
    other = save_draft(
        house.as_bob,
        uuid.uuid4(),
        Typed({"text": "x"}),
        mailbox=house.support,
        thread_id=None,
        now=timezone.now(),
    ).draft
    with pytest.raises(NotVisible):
        begin_file(other, file.pk, **asked)  # type: ignore[arg-type]


def test_what_is_sent_along_is_whole_and_still_shown(draft: Draft) -> None:
    image = picture(size=(4, 4))
    shown = append_piece(begin(draft, len(image), name="a.png", content_id="a@house.test"), 0, image)
    append_piece(begin(draft, len(image), name="b.png", content_id="b@house.test"), 0, image)
    text = append_piece(begin(draft, 3, name="c.png", content_id="c@house.test"), 0, b"abc")
    assert (shown.content_type, shown.content_id) == ("image/png", "a@house.test")
    assert text.content_id == "", "what is no picture is a file like others"
    sent = attachments_of(draft, frozenset({"a@house.test"}))
    assert [one.filename for one in sent] == ["a.png", "c.png"]
    begin(draft, 9, name="late.pdf")
    with pytest.raises(WritingInvalid, match=r"late\.pdf"):
        attachments_of(draft, NOBODY_SHOWN)


def test_what_stopped_on_its_way_is_swept_and_what_is_whole_stays(draft: Draft) -> None:
    append_piece(begin(draft, 6), 0, b"abc")
    append_piece(begin(draft, 3), 0, b"xyz")
    assert sweep_drafts(timezone.now() + timedelta(days=2)) == 1
    kept = draft.files.get()
    assert kept.blob is not None
    assert content_of(kept) == b"xyz"

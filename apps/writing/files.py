"""Files of a draft, uploaded as soon as they are picked, in pieces.

    begin    a row that says what is to come; refused at once where the mail would become too large
    append   a piece, from where the last one ended; whoever lost an answer asks how far it got and goes on there
    finish   the last piece makes one content of all; a file of a single piece is that content already

The bytes go through us, in requests of `MAX_PIECE_BYTES` at most, and from here to the object store: a mail has 30 MiB
at most, most object stores stand where no browser reaches them, and what is sent must be hashed and looked at anyway
(decision 0035). A crash anywhere leaves the pieces that were answered for; `finish` is done again by whoever asks
next, and what nobody goes on with is swept after a day (`sweeping.py`).

Limits: a file that is finished is read into memory once, whole.
"""

import uuid
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Sum
from django.utils.translation import gettext as _

from apps.blobs.selectors import read, read_many
from apps.blobs.services import put, stage
from apps.mailboxes.errors import NotVisible
from apps.mime.clean import clean_filename
from apps.mime.filetypes import PREFIX_BYTES, detect_type
from apps.outbound.submission.asked import SubmittedAttachment
from apps.outbound.submission.validation import MAX_MESSAGE_BYTES
from apps.writing.errors import PieceMisplaced, WritingInvalid
from apps.writing.models import Draft, DraftFile, FilePiece

MAX_PIECE_BYTES = 4 * 1024 * 1024
MAX_FILES = 200
# Base64 takes four bytes for three, and a line end after 57; the rest is for the text.
MAX_FILES_BYTES = MAX_MESSAGE_BYTES * 57 // 78 - 256 * 1024
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def begin_file(
    draft: Draft,
    file_id: uuid.UUID,
    *,
    filename: str,
    content_type: str,
    size_bytes: int,
    content_id: str,
    now: datetime,
) -> DraftFile:
    """A file that is about to come. Asked again, it is the same. Raises WritingInvalid and NotVisible."""
    known = DraftFile.objects.filter(pk=file_id).first()
    if known is not None:
        if known.draft_id != draft.pk:
            raise NotVisible(str(file_id))
        return known
    there = draft.files.aggregate(bytes=Sum("size_bytes"))["bytes"] or 0
    if there + size_bytes > MAX_FILES_BYTES:
        limit = MAX_FILES_BYTES // 1_000_000
        told = _("%(name)s is too large: a mail takes %(limit)s MB of files.")
        raise WritingInvalid("files", told % {"name": filename[:100], "limit": limit})
    if size_bytes < 1:
        raise WritingInvalid("files", _("%(name)s is empty.") % {"name": filename[:100]})
    if draft.files.count() >= MAX_FILES:
        raise WritingInvalid("files", _("A mail takes %(limit)s files.") % {"limit": MAX_FILES})
    return DraftFile.objects.create(
        id=file_id,
        organisation_id=draft.organisation_id,
        draft=draft,
        filename=clean_filename(filename) or "file",
        content_type=content_type[:255] or "application/octet-stream",
        size_bytes=size_bytes,
        content_id=content_id,
        created_at=now,
    )


def file_of(draft: Draft, file_id: uuid.UUID | str) -> DraftFile:
    """Raises NotVisible."""
    try:
        return draft.files.select_related("blob").get(pk=file_id)
    except (DraftFile.DoesNotExist, ValidationError, ValueError) as error:
        raise NotVisible(str(file_id)) from error


def append_piece(file: DraftFile, offset: int, content: bytes) -> DraftFile:
    """Take the bytes from `offset` on. Raises PieceMisplaced, WritingInvalid and ObjectStoreUnavailable."""
    if offset != file.received_bytes:
        raise PieceMisplaced(file.received_bytes)
    if len(content) > MAX_PIECE_BYTES or offset + len(content) > file.size_bytes:
        raise WritingInvalid("files", _("More came than was announced."))
    if content:
        _keep_piece(file, offset, content)
    file.refresh_from_db()
    return finish_file(file)


def _keep_piece(file: DraftFile, offset: int, content: bytes) -> None:
    staged = stage(content)
    try:
        with transaction.atomic():
            moved = DraftFile.objects.filter(pk=file.pk, received_bytes=offset).update(
                received_bytes=F("received_bytes") + len(content)
            )
            if not moved:
                raise PieceMisplaced(_received(file))
            FilePiece.objects.create(
                organisation_id=file.organisation_id,
                file=file,
                offset_bytes=offset,
                blob=put(file.organisation_id, staged),
            )
    except IntegrityError as error:
        raise PieceMisplaced(_received(file)) from error


def _received(file: DraftFile) -> int:
    received = DraftFile.objects.filter(pk=file.pk).values_list("received_bytes", flat=True).first()
    return received or 0


def finish_file(file: DraftFile) -> DraftFile:
    """Make one content of all pieces, where all are there and nobody has. Raises ObjectStoreUnavailable."""
    if file.is_whole or file.received_bytes < file.size_bytes:
        return file
    pieces = list(file.pieces.select_related("blob").order_by("offset_bytes"))
    contents = read_many(piece.blob for piece in pieces)
    whole = b"".join(contents[piece.blob_id] for piece in pieces)
    if len(whole) < file.size_bytes:
        file.refresh_from_db()  # somebody else finished it just now
        return file
    staged = stage(whole) if len(pieces) > 1 else None
    with transaction.atomic():
        blob = put(file.organisation_id, staged) if staged is not None else pieces[0].blob
        DraftFile.objects.filter(pk=file.pk, blob__isnull=True).update(
            blob=blob, content_type=_type_of(file, whole), content_id=_shown_as(file, whole)
        )
        FilePiece.objects.filter(file=file).delete()
    file.refresh_from_db()
    return file


def _type_of(file: DraftFile, whole: bytes) -> str:
    """What its bytes say, where they do: readers choose a program by it, and browsers guess it from the name."""
    return detect_type(whole[:PREFIX_BYTES]) or file.content_type


def _shown_as(file: DraftFile, whole: bytes) -> str:
    """Only what every reader shows as a picture stands in a text; anything else is a file like others."""
    return file.content_id if detect_type(whole[:PREFIX_BYTES]) in PICTURES else ""


def remove_file(file: DraftFile) -> None:
    """Its bytes go with it, once nobody refers to them (`blobs.discarding`)."""
    file.delete()


def content_of(file: DraftFile) -> bytes:
    """Raises NotVisible while it is not whole, ObjectStoreUnavailable and BlobMissing."""
    if file.blob is None:
        raise NotVisible(str(file.pk))
    return read(file.blob)


def attachments_of(draft: Draft, pictures: frozenset[str]) -> tuple[SubmittedAttachment, ...]:
    """What is sent along: all files, and of the pictures in the text those that still stand there.

    Raises WritingInvalid for one that is not whole, and what reading bytes raises.
    """
    files = [finish_file(file) for file in draft.files.select_related("blob")]
    wanted = [file for file in files if not file.content_id or file.content_id in pictures]
    for file in wanted:
        if not file.is_whole:
            raise WritingInvalid(
                "files",
                _("%(name)s is still on its way. Wait for it, or remove it.") % {"name": file.filename},
            )
    contents = read_many(file.blob for file in wanted if file.blob is not None)
    return tuple(
        SubmittedAttachment(file.filename, file.content_type, contents[file.blob.pk], file.content_id)
        for file in wanted
        if file.blob is not None
    )

"""What is being written to a customer, and that mailboxes know them.

A draft that goes to them and to nobody else outside, and an answer to them that names nobody yet, is removed with its
files, whole or half uploaded, whatever became of it. One that has other readers stays; the walk over all tables puts
the pseudonym into its words, and here those of its files that are text are written anew, as in others' mail
(`mailboxes.erasing`). What is half there and says the address is removed: it cannot be finished any more.

These steps go before messages do, because a draft goes with its conversation, and its files' bytes would stay a day.

Limits: what an open page holds, and what a browser keeps of it, is saved anew by whoever goes on typing there. Of a
file that was taken off its draft before, the bytes go when they are a day old (`blobs.discarding`).
"""

import uuid
from collections import Counter
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.blobs.discarding import discard
from apps.blobs.errors import BlobMissing
from apps.blobs.selectors import read_many
from apps.blobs.services import put, stage
from apps.mailboxes.models import Message, OwnedAddress
from apps.mime.address import comparable_address, parse_addresses
from apps.organisations.erasing import Found, Subject, mentions, uuid_after
from apps.writing.models import Correspondent, Draft, DraftFile, FilePiece

AT_ONCE = 100
# What is rewritten together is held together, and one file may have 21 MB.
BYTES_AT_ONCE = 32 * 1024 * 1024
_TEXTUAL = r"^(text|message)/"


class Drafts:
    """Drafts that are the customer's alone."""

    name = "drafts"

    def find(self, subject: Subject, after: str) -> list[Found]:
        theirs = Message.objects.filter(thread=OuterRef("thread"), sender_address__iexact=subject.address)
        place = uuid_after(after)
        while True:
            rows = list(
                Draft.objects.annotate(answers_them=Exists(theirs))
                .filter(
                    mentions(Draft, subject) | Q(answers_them=True),
                    organisation_id=subject.organisation_id,
                    created_at__lte=subject.requested_at,
                    pk__gt=place,
                )
                .order_by("pk")[:AT_ONCE]
            )
            found = [Found(str(row.pk)) for row in rows if _is_for(subject, row, answers=row.answers_them)]
            if found or not rows:
                return found
            place = rows[-1].pk

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        drafts = Draft.objects.filter(pk__in=[one.key for one in found])
        contents = _contents_of(DraftFile.objects.filter(draft__in=drafts))
        drafts.delete()
        return Counter(drafts=len(found), contents=discard(contents))


def _is_for(subject: Subject, draft: Draft, *, answers: bool) -> bool:
    lines = [draft.fields.get(name, "") for name in ("to", "cc", "bcc")]
    people = {comparable_address(one.address) for line in lines for one in parse_addresses(line)}
    own = OwnedAddress.objects.filter(organisation_id=subject.organisation_id, address__in=people)
    outside = people - set(own.values_list("address", flat=True))
    return outside == {subject.address} or (answers and not outside)


class DraftFiles:
    """Files of drafts that stay. After `Drafts`."""

    name = "files of drafts"

    def find(self, subject: Subject, after: str) -> list[Found]:
        place = uuid_after(after)
        while True:
            rows = list(
                DraftFile.objects.filter(
                    organisation_id=subject.organisation_id,
                    created_at__lte=subject.requested_at,
                    content_type__iregex=_TEXTUAL,
                    pk__gt=place,
                )
                .select_related("blob")
                .order_by("pk")[:AT_ONCE]
            )
            found, size_bytes = list[Found](), 0
            for row in rows:
                redacted = _redacted(subject, row)
                if redacted is not None:
                    found.append(Found(str(row.pk), stage(redacted) if row.is_whole else None))
                    size_bytes += len(redacted)
                if size_bytes > BYTES_AT_ONCE:
                    break
            if found or not rows:
                return found
            place = rows[-1].pk

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        contents = _contents_of(DraftFile.objects.filter(pk__in=[one.key for one in found]))
        for one in found:
            file = DraftFile.objects.filter(pk=one.key)
            if one.work is None:
                file.delete()
            else:
                size = one.work.size_bytes
                file.update(blob=put(subject.organisation_id, one.work), size_bytes=size, received_bytes=size)
        return Counter(draft_files=len(found), contents=discard(contents))


class Correspondents:
    """That mailboxes know them: nobody is to be offered their name any more."""

    name = "correspondents"

    def find(self, subject: Subject, after: str) -> list[Found]:
        rows = Correspondent.objects.filter(
            organisation_id=subject.organisation_id,
            address=comparable_address(subject.address),
            pk__gt=uuid_after(after),
        )
        return [Found(str(pk)) for pk in rows.order_by("pk").values_list("pk", flat=True)[:AT_ONCE]]

    def erase(self, subject: Subject, found: Sequence[Found]) -> Counter[str]:
        Correspondent.objects.filter(pk__in=[one.key for one in found]).delete()
        return Counter(correspondents=len(found))


def _redacted(subject: Subject, file: DraftFile) -> bytes | None:
    """What a file says afterwards; None for one that does not say the address, or whose bytes nobody has."""
    pieces = [piece.blob for piece in file.pieces.select_related("blob").order_by("offset_bytes")]
    blobs = [file.blob] if file.blob is not None else pieces
    try:
        contents = read_many(blobs)
    except BlobMissing:
        return None
    content = b"".join(contents[blob.pk] for blob in blobs)
    redacted = subject.redact(content)
    return redacted if redacted != content else None


def _contents_of(files: QuerySet[DraftFile]) -> set[uuid.UUID]:
    """Their bytes, and those of their pieces."""
    whole = files.filter(blob__isnull=False).values_list("blob_id", flat=True)
    return {*whole, *FilePiece.objects.filter(file__in=files).values_list("blob_id", flat=True)}

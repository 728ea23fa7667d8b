"""A mail's files at the content origin: one by one, all in one archive, and pictures in small.

Nothing here is rendered but pictures, and those as what their bytes are: a page, a drawing with scripts or a document
that calls itself one is saved and never shown. See content_answers.py for the headers.

Limits: "all" is packed in memory, uncompressed, so it is offered up to `attachments.MAX_ARCHIVE_BYTES`.
"""

import io
import zipfile

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from apps.blobs import selectors as blobs
from apps.blobs.errors import BlobError
from apps.blobs.thumbnails import NotYet, thumbnail_of
from apps.mailboxes.attachments import (
    download_type,
    files_of,
    may_be_packed,
    may_have_thumbnail,
    picture_type,
)
from apps.mailboxes.models import Message, Part
from apps.mime.clean import clean_filename
from apps.reading.errors import NothingToSee, NotNow
from apps.reading.previews import PreviewKind, page_picture, preview_kind
from apps.webmail.content_answers import no_picture, opened, opened_part, sandboxed, unreadable
from apps.webmail.content_tokens import ContentKind


@require_safe
def inline(request: HttpRequest, token: str) -> HttpResponse:
    """A picture in place: where the body shows it by its Content-ID, or by itself. Only pictures ever are."""
    message, part = opened_part(ContentKind.INLINE, token)
    media_type = picture_type(part)
    if not media_type:
        raise Http404
    return _bytes(message, part, media_type, in_place=True)


@require_safe
def attachment(request: HttpRequest, token: str) -> HttpResponse:
    message, part = opened_part(ContentKind.ATTACHMENT, token)
    return _bytes(message, part, download_type(part), in_place=False)


@require_safe
def thumbnail(request: HttpRequest, token: str) -> HttpResponse:
    """A small picture of a picture, made now where there is none; a drawing of ours where none can be made."""
    message, part = opened_part(ContentKind.THUMBNAIL, token)
    if not may_have_thumbnail(part):
        return no_picture()
    try:
        small = thumbnail_of(part.blob)
        if small.image is None:
            return no_picture(is_final=small.is_refused_for_good)
        return sandboxed(blobs.read(small.image), "image/webp", filename="thumbnail.webp", in_place=True)
    except NotYet:
        return no_picture(is_final=False)
    except BlobError as error:
        return unreadable(message, error)


@require_safe
def page(request: HttpRequest, token: str) -> HttpResponse:
    """A picture of one page of a PDF, drawn by us: `?page=` counts from 1."""
    message, part = opened_part(ContentKind.PAGE, token)
    number = request.GET.get("page", "1")
    if preview_kind(part) != PreviewKind.PDF or not number.isdecimal() or len(number) > 4:
        raise Http404
    try:
        return sandboxed(page_picture(part, int(number)), "image/webp", filename="page.webp", in_place=True)
    except NothingToSee:
        return no_picture()
    except NotNow:
        return no_picture(is_final=False)
    except BlobError as error:
        return unreadable(message, error)


@require_safe
def archive(request: HttpRequest, token: str) -> HttpResponse:
    """Every file of a message in one zip."""
    _claim, message = opened(ContentKind.ARCHIVE, token)
    if not may_be_packed(message):
        raise Http404
    packed = io.BytesIO()
    names = set[str]()
    try:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as file:
            for part in files_of(message):
                # One at a time: the archive is the one copy of everything.
                entry = zipfile.ZipInfo(_unused(part.filename, names), _moment(message))
                file.writestr(entry, blobs.read(part.blob))
    except BlobError as error:
        return unreadable(message, error)
    name = f"{clean_filename(message.subject)[:80] or 'attachments'}.zip"
    return sandboxed(packed.getvalue(), "application/zip", filename=name)


def _unused(filename: str, taken: set[str]) -> str:
    """A name that the archive has not got yet; systems that know no case would write one file over another."""
    stem, dot, extension = filename.rpartition(".")
    name, n = filename, 1
    while name.lower() in taken:
        n += 1
        name = f"{stem} ({n}){dot}{extension}" if stem else f"{filename} ({n})"
    taken.add(name.lower())
    return name


def _moment(message: Message) -> tuple[int, int, int, int, int, int]:
    # A zip knows no year before 1980, nor after 2107.
    at = timezone.localtime(message.received_at)
    return (min(max(at.year, 1980), 2107), at.month, at.day, at.hour, at.minute, at.second)


def _bytes(message: Message, part: Part, content_type: str, *, in_place: bool) -> HttpResponse:
    try:
        content = blobs.read(part.blob)
    except BlobError as error:
        return unreadable(message, error)
    return sandboxed(content, content_type, filename=part.filename, in_place=in_place)

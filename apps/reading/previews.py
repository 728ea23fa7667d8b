"""A file looked at in its place, before anybody saves it: a picture, the pages of a PDF, a text, a table, the names in
an archive. As what its bytes are, whatever it is called; nothing is unpacked, run or sent elsewhere.

Documents and archives are looked into by processes that can be killed. A text is only decoded, and escaped by whoever
shows it.

Limits: the first `MAX_CHARS` of a text and `MAX_ROWS` of a table; `pages.MAX_PAGES` of a document; nothing of a file
over `MAX_BYTES`.
"""

import contextlib
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.core.cache import cache
from redis.exceptions import RedisError

from apps.blobs.selectors import read
from apps.mailboxes.attachments import picture_type
from apps.mailboxes.models import Part
from apps.mime.charset import decode_text
from apps.mime.clean import clean_text
from apps.mime.filetypes import Family, family, promised
from apps.mime.listing import Packed
from apps.mime.pages import PageAsked
from apps.reading.errors import NothingToSee
from apps.reading.looking import look_into

MAX_BYTES = 40 * 1024 * 1024
MAX_TEXT_BYTES = 2 * 1024 * 1024
MAX_CHARS = 200_000
MAX_ROWS = 300
MAX_COLUMNS = 40
MAX_CELL_CHARS = 500
COUNT_KEPT_SECONDS = 3600
_TABLES = (".csv", ".tsv")
# Whose text is a text; a script is shown and never run. A calendar's or a card's file is one, too.
_LEGIBLE = frozenset({Family.TEXT, Family.SCRIPT})


class PreviewKind(StrEnum):
    NONE = ""
    PICTURE = "picture"
    PDF = "pdf"
    TEXT = "text"
    TABLE = "table"
    ARCHIVE = "archive"


_BY_TYPE = {"application/pdf": PreviewKind.PDF} | dict.fromkeys(
    ("application/zip", "application/gzip", "application/x-tar", "application/x-bzip2", "application/x-xz"),
    PreviewKind.ARCHIVE,
)


@dataclass(frozen=True, slots=True)
class TextSeen:
    """`is_cut`: there is more. `rows` are a table's, the first of them its head."""

    text: str = ""
    rows: Sequence[Sequence[str]] = ()
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class ArchiveSeen:
    files: Sequence[Packed]
    count: int

    @property
    def rest(self) -> int:
        return self.count - len(self.files)


def preview_kind(part: Part) -> PreviewKind:
    """As what a part can be looked at."""
    detected = part.detected_type or ""
    if not 0 < part.blob.size_bytes <= MAX_BYTES:
        return PreviewKind.NONE
    if picture_type(part):
        return PreviewKind.PICTURE
    return _BY_TYPE.get(detected) or _kind_of_text(part, detected)


def _kind_of_text(part: Part, detected: str) -> PreviewKind:
    if part.blob.size_bytes > MAX_TEXT_BYTES or family(detected) not in {Family.UNKNOWN, Family.SCRIPT}:
        return PreviewKind.NONE
    if part.filename.lower().endswith(_TABLES):
        return PreviewKind.TABLE
    is_named_so = promised(part.filename, part.content_type) in _LEGIBLE
    is_text = is_named_so or part.content_type.startswith("text/") or detected.startswith("text/")
    return PreviewKind.TEXT if is_text else PreviewKind.NONE


def see_text(part: Part) -> TextSeen:
    """The beginning of a text. Raises NothingToSee for what is none, and BlobError."""
    text = _decoded(read(part.blob))
    return TextSeen(text=text[:MAX_CHARS], is_cut=len(text) > MAX_CHARS)


def see_table(part: Part) -> TextSeen:
    """The first rows of a table. Raises as `see_text`."""
    text = _decoded(read(part.blob))[: MAX_CHARS * 2]
    try:
        dialect = csv.Sniffer().sniff(text[:4000], delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel_tab if part.filename.lower().endswith(".tsv") else csv.excel
    rows: list[list[str]] = []
    try:
        for row in csv.reader(text.splitlines(), dialect):
            if len(rows) == MAX_ROWS:
                return TextSeen(rows=rows, is_cut=True)
            rows.append([cell[:MAX_CELL_CHARS] for cell in row[:MAX_COLUMNS]])
    except csv.Error:
        return TextSeen(text=text[:MAX_CHARS], is_cut=len(text) > MAX_CHARS)
    return TextSeen(rows=rows)


def see_archive(part: Part) -> ArchiveSeen:
    """Raises NothingToSee, NotNow and BlobError."""
    files, count = look_into("listing", read(part.blob))
    return ArchiveSeen(files, count)


def page_count(part: Part) -> int:
    """How many pages of a PDF can be seen. Raises NothingToSee, NotNow and BlobError."""
    key = f"pdf-pages:{part.blob_id}"
    try:
        known = cache.get(key)
    except RedisError:
        known = None
    if isinstance(known, int):
        return known
    count = int(look_into("pages", read(part.blob)))
    with contextlib.suppress(RedisError):  # it is counted again
        cache.set(key, count, COUNT_KEPT_SECONDS)
    return count


def page_picture(part: Part, number: int) -> bytes:
    """A page, counted from 1, as WebP. Raises NothingToSee, NotNow and BlobError."""
    if number < 1:
        raise NothingToSee("no_such_page")
    picture, _width, _height = look_into("page", PageAsked(number - 1, read(part.blob)).pack())
    return bytes(picture)


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        if b"\0" in content[:4096]:
            raise NothingToSee("no_text")
        text, _defect = decode_text(content)
    return clean_text(text.replace("\r\n", "\n").replace("\r", "\n"))

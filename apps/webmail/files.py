"""A message's files as the page shows them: pictures in small, the others by name, and what to tell beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from apps.mailboxes.attachments import FileWarning, may_have_thumbnail, picture_type, warning_of
from apps.mailboxes.models import Part
from apps.reading.previews import PreviewKind, preview_kind
from apps.webmail.content_tokens import ContentKind

SHOWN = 30  # the others are in a fold

# Makes the address of one of a message's parts on the content origin; of the message itself, with 0.
Link = Callable[[ContentKind, int], str]


_ICONS = {
    PreviewKind.PICTURE: "image",
    PreviewKind.PDF: "file-text",
    PreviewKind.TEXT: "file-text",
    PreviewKind.TABLE: "table",
    PreviewKind.ARCHIVE: "file-archive",
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message. A picture has a small one (`thumbnail_url`), and is shown whole at `picture_url`."""

    part: Part
    url: str
    warning: FileWarning | None = None
    thumbnail_url: str = ""
    picture_url: str = ""
    preview: PreviewKind = PreviewKind.NONE

    @property
    def icon(self) -> str:
        return _ICONS.get(self.preview, "file")


@dataclass(frozen=True, slots=True)
class Files:
    """Those of one message. `archive_url` has all of a mail's `archive_count` files in one."""

    attachments: Sequence[Attachment] = field(default_factory=tuple)
    archive_url: str = ""
    archive_count: int = 0

    @property
    def pictures(self) -> list[Attachment]:
        return [one for one in self.attachments[:SHOWN] if one.thumbnail_url]

    @property
    def by_name(self) -> list[Attachment]:
        return [one for one in self.attachments[:SHOWN] if not one.thumbnail_url]

    @property
    def folded(self) -> Sequence[Attachment]:
        return self.attachments[SHOWN:]


def show_files(parts: Sequence[Part], link: Link, *, packed: int = 0) -> Files:
    """`packed`: offer the archive too, of so many files."""
    return Files(
        [_attachment(part, link) for part in parts], link(ContentKind.ARCHIVE, 0) if packed else "", packed
    )


def _attachment(part: Part, link: Link) -> Attachment:
    return Attachment(
        part,
        link(ContentKind.ATTACHMENT, part.n),
        warning=warning_of(part),
        thumbnail_url=link(ContentKind.THUMBNAIL, part.n) if may_have_thumbnail(part) else "",
        picture_url=link(ContentKind.INLINE, part.n) if picture_type(part) else "",
        preview=preview_kind(part),
    )

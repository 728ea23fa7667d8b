"""What is to be told about a file in a mail before anybody opens it, and as what it may be shown.

A file has a name, the type its sender gave it, and the type its own bytes tell (`Part.detected_type`). Programs open
files by their names, so a warning compares the name with the bytes; what the sender calls it decides nothing.
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.mailboxes.models import Message, Part
from apps.mime.filetypes import (
    ANDROID_APP,
    ELF_PROGRAM,
    HELP_FILE,
    JAVA_ARCHIVE,
    JAVA_CLASS,
    MACH_PROGRAM,
    SHORTCUT,
    WINDOWS_PROGRAM,
    Family,
    family,
    is_a_lie,
    promised,
)
from apps.screening.names import judge_name

# What every browser shows, and runs nothing of.
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})
# Types that a browser may be told of on download. Everything else is bytes: a type that could be run or rendered in
# place must never leave here, whatever the mail claims.
SAFE_TYPES = PICTURES | frozenset(
    {"application/pdf", "application/zip", "text/plain", "text/csv", "message/rfc822"}
)
BYTES = "application/octet-stream"
MAX_PICTURE_BYTES = 40 * 1024 * 1024
MAX_ARCHIVE_BYTES = 64 * 1024 * 1024

_PROGRAMS = {
    WINDOWS_PROGRAM: gettext_lazy("a Windows program"),
    ELF_PROGRAM: gettext_lazy("a Linux program"),
    MACH_PROGRAM: gettext_lazy("a macOS program"),
    JAVA_CLASS: gettext_lazy("a Java program"),
    JAVA_ARCHIVE: gettext_lazy("a Java program"),
    ANDROID_APP: gettext_lazy("an Android app"),
    SHORTCUT: gettext_lazy("a Windows shortcut, which starts a program"),
    HELP_FILE: gettext_lazy("a Windows help file, which can start programs"),
}
_FAMILIES = {
    Family.PROGRAM: gettext_lazy("a program"),
    Family.SCRIPT: gettext_lazy("a script, which is a program"),
    Family.PDF: gettext_lazy("a PDF"),
    Family.PICTURE: gettext_lazy("a picture"),
    Family.WEB_PAGE: gettext_lazy("a web page"),
    Family.DOCUMENT: gettext_lazy("an Office document"),
    Family.ARCHIVE: gettext_lazy("an archive"),
    Family.MEDIA: gettext_lazy("a film or a recording"),
    Family.TEXT: gettext_lazy("a text"),
}
_BY_NAME = {
    "program": gettext_lazy("It is called like a program. Open it only if you know who made it, and why."),
    "script": gettext_lazy("It is called like a script, which runs when it is opened."),
    "shortcut": gettext_lazy("It is a shortcut, which starts a program when it is opened."),
    "disk_image": gettext_lazy("It is a disk image, which can hide programs from virus scanners."),
    "active_document": gettext_lazy("Opened in Excel it fetches data from elsewhere."),
    "double_extension": gettext_lazy("Its name ends twice: it looks like a document and runs as a program."),
    "name_reversed": gettext_lazy("Its name is written so that its ending reads as another one."),
}


@dataclass(frozen=True, slots=True)
class FileWarning:
    """What to tell beside a file: a code, and the same in a sentence."""

    code: str
    sentence: str


def warning_of(part: Part) -> FileWarning | None:
    """Why to think twice before opening a part; None for nearly all."""
    promise, found = promised(part.filename, part.content_type), family(part.detected_type or "")
    noun = _PROGRAMS.get(part.detected_type or "") or _FAMILIES.get(found)
    if is_a_lie(promise, found):
        code = "disguised_program" if found in {Family.PROGRAM, Family.SCRIPT} else "type_mismatch"
        return FileWarning(code, _("It is called %(name)s, but it is %(noun)s.") % _words(part, noun))
    if found == Family.PROGRAM:
        told = _("It is %(noun)s. Open it only if you know who made it, and why.") % _words(part, noun)
        return FileWarning("program", told)
    code = judge_name(part.filename)
    return FileWarning(code, str(_BY_NAME[code])) if code in _BY_NAME else None


def _words(part: Part, noun: object) -> dict[str, str]:
    return {"name": part.filename, "noun": str(noun)}


def picture_type(part: Part) -> str:
    """The type as which a part may be shown in place; "" for what is no picture, whatever it is called."""
    media_type = part.detected_type or part.content_type
    return media_type if media_type in PICTURES else ""


def download_type(part: Part) -> str:
    """The type that a download may bear: what the bytes are or, where they do not tell, what the mail says."""
    media_type = part.detected_type or part.content_type
    return media_type if media_type in SAFE_TYPES else BYTES


def may_have_thumbnail(part: Part) -> bool:
    """Whether it is worth asking for one. What was refused for good has none."""
    known = getattr(part.blob, "thumbnail", None)
    is_refused = known is not None and known.is_refused_for_good
    return bool(picture_type(part)) and part.blob.size_bytes <= MAX_PICTURE_BYTES and not is_refused


def is_shown(part: Part) -> bool:
    """Whether the HTML shows it. What it only tries to show, such as a TIFF or a PDF, is a file like any other."""
    return part.inline and bool(picture_type(part))


def files_of(message: Message) -> list[Part]:
    """What a reader takes for the message's attachments: all that its HTML does not show."""
    return [part for part in message.parts.all() if not is_shown(part)]


def may_be_packed(message: Message) -> bool:
    """Whether all files together are something, and not too much, for one archive."""
    sizes = [part.blob.size_bytes for part in files_of(message)]
    return 0 < sum(sizes) <= MAX_ARCHIVE_BYTES

"""What a file is by its own first bytes, and whether that is what its name says.

`detect_type` answers a media type, "" where the bytes do not tell: plain text has no mark of its own. puremagic knows
some two thousand formats by their signatures; here stands what it lacks or is too eager about: programs by their whole
structure (a text may begin with "MZ"), web pages and drawings that browsers run, and what kind of thing is packed in a
zip. Only `PREFIX_BYTES` are looked at, and the time is linear in them, so it may run anywhere.

`family` sorts types and names into the few kinds of things a person tells apart. Two formats of one family under one
another's names (a JPEG that is called .png) are no lie worth telling.

Limits: a file may be of two formats at once (polyglots); the first is told. What it holds inside is for
`apps.screening` to find. An MSI package looks like an old Office document, and is told by its name only.
"""

import re
from enum import StrEnum

import puremagic

PREFIX_BYTES = 8192
# puremagic's own figure: by the length of the signature. Below are two-byte marks such as "BM", which texts have too.
_MIN_CONFIDENCE = 0.3

WINDOWS_PROGRAM = "application/vnd.microsoft.portable-executable"
ELF_PROGRAM = "application/x-executable"
MACH_PROGRAM = "application/x-mach-binary"
JAVA_CLASS = "application/java-vm"
JAVA_ARCHIVE = "application/java-archive"
ANDROID_APP = "application/vnd.android.package-archive"
SHORTCUT = "application/x-ms-shortcut"
HELP_FILE = "application/vnd.ms-htmlhelp"
SCRIPT = "text/x-shellscript"
HTML = "text/html"
SVG = "image/svg+xml"
ZIP = "application/zip"
_OOXML = "application/vnd.openxmlformats-officedocument."


class Family(StrEnum):
    """What a person takes a file for."""

    UNKNOWN = ""
    PROGRAM = "program"
    SCRIPT = "script"
    PDF = "pdf"
    PICTURE = "picture"
    WEB_PAGE = "web_page"
    DOCUMENT = "document"
    ARCHIVE = "archive"
    MEDIA = "media"
    TEXT = "text"


_BY_TYPE = {
    WINDOWS_PROGRAM: Family.PROGRAM,
    ELF_PROGRAM: Family.PROGRAM,
    MACH_PROGRAM: Family.PROGRAM,
    JAVA_CLASS: Family.PROGRAM,
    JAVA_ARCHIVE: Family.PROGRAM,
    ANDROID_APP: Family.PROGRAM,
    SHORTCUT: Family.PROGRAM,
    HELP_FILE: Family.PROGRAM,
    SCRIPT: Family.SCRIPT,
    HTML: Family.WEB_PAGE,
    SVG: Family.WEB_PAGE,  # it runs scripts like one
    "application/pdf": Family.PDF,
    "application/rtf": Family.DOCUMENT,
    "text/rtf": Family.DOCUMENT,
    "application/msword": Family.DOCUMENT,
    "application/x-ole-storage": Family.DOCUMENT,
    ZIP: Family.ARCHIVE,
    "application/gzip": Family.ARCHIVE,
    "application/x-7z-compressed": Family.ARCHIVE,
    "application/vnd.rar": Family.ARCHIVE,
    "application/x-rar-compressed": Family.ARCHIVE,
    "application/x-bzip2": Family.ARCHIVE,
    "application/x-xz": Family.ARCHIVE,
}
_EXTENSIONS = {
    Family.PROGRAM: "exe dll scr com cpl sys drv ocx msi msp jar class apk xapk dmg pkg deb rpm appimage elf lnk chm",
    Family.SCRIPT: "bat cmd js jse ps1 py rb pl sh vb vbe vbs wsf wsh hta",
    Family.PDF: "pdf",
    Family.PICTURE: "png jpg jpeg jpe jfif gif webp avif heic heif bmp tif tiff ico psd",
    Family.WEB_PAGE: "htm html xhtml shtml mht mhtml svg svgz",
    Family.DOCUMENT: "doc docx docm dot dotx xls xlsx xlsm xlsb ppt pptx pptm pps ppsx odt ods odp odg rtf",
    Family.ARCHIVE: "zip 7z rar gz tgz bz2 xz tar",
    Family.MEDIA: "mp3 mp4 m4a m4v mov avi mkv webm wav ogg oga ogv flac aac wma wmv mpg mpeg 3gp",
    Family.TEXT: "txt csv tsv md log json xml yaml yml ini conf eml ics vcf",
}
_BY_EXTENSION = {
    extension: family for family, extensions in _EXTENSIONS.items() for extension in extensions.split()
}
# Where a name may say the one and the bytes the other in good faith. Encrypted Office documents are old containers,
# new ones are zips, and programs write HTML tables and RTF under .xls and .doc. Whoever opens a text sees its source.
_IN_GOOD_FAITH = {
    (Family.DOCUMENT, Family.ARCHIVE),
    (Family.DOCUMENT, Family.WEB_PAGE),
    (Family.DOCUMENT, Family.TEXT),
    (Family.TEXT, Family.WEB_PAGE),
    (Family.TEXT, Family.SCRIPT),
    (Family.SCRIPT, Family.WEB_PAGE),
    (Family.SCRIPT, Family.TEXT),
    (Family.PROGRAM, Family.ARCHIVE),
    (Family.PROGRAM, Family.SCRIPT),
    (Family.WEB_PAGE, Family.TEXT),
}

_RENAMED = {
    "application/x-gzip": "application/gzip",
    "application/x-zip-compressed": ZIP,
    "application/java": JAVA_CLASS,
    "image/x-ms-bmp": "image/bmp",
}
_PROGRAM_MARKS = (
    (b"\x7fELF", ELF_PROGRAM),
    (b"\xfe\xed\xfa\xce", MACH_PROGRAM),
    (b"\xfe\xed\xfa\xcf", MACH_PROGRAM),
    (b"\xce\xfa\xed\xfe", MACH_PROGRAM),
    (b"\xcf\xfa\xed\xfe", MACH_PROGRAM),
    (b"L\0\0\0\x01\x14\x02\0", SHORTCUT),
    (b"ITSF\x03", HELP_FILE),
    (b"#!/", SCRIPT),
    (b"#! /", SCRIPT),
)
_PICTURE_BRANDS = frozenset({b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})
# What the HTML standard's sniffing takes for a page (MIME Sniffing §7.1), after blanks and comments.
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?(?>\s|<\?xml[^>]{0,500}\?>|<!--.{0,2000}?-->)*+"
    rb"<(?:(?P<svg>svg|!doctype\s+svg)|!doctype\s+html|html|head|body|script|iframe|title|table|style)[\s>]",
    re.IGNORECASE | re.DOTALL,
)
# What a zip may say it is. Who could say anything would say "image/png" of an archive that is called .png.
_PACKED_DOCUMENT = re.compile(
    rb"application/(?:vnd\.oasis\.opendocument\.[\w.-]+|vnd\.sun\.xml\.[\w.-]+|epub\+zip)"
)
# APPNOTE 4.3.7: the lengths of content, name and extra field of a member, which follow its header in that order.
_ZIP_MEMBER = re.compile(rb"PK\x03\x04.{14}(.{4}).{4}(..)(..)", re.DOTALL)


def detect_type(data: bytes) -> str:
    """The media type that the first bytes of a file tell; "" when they tell none."""
    prefix = data[:PREFIX_BYTES]
    found = _program(prefix, data) or _markup(prefix) or _picture_in_boxes(prefix)
    if found or not prefix:
        return found
    if prefix.startswith(b"PK\x03\x04"):
        return _packed(prefix)
    return _by_signature(prefix)


def family(media_type: str) -> Family:
    """The kind of thing a media type is."""
    kind, _slash, _subtype = media_type.partition("/")
    if media_type in _BY_TYPE:
        return _BY_TYPE[media_type]
    if kind == "image":
        return Family.PICTURE
    if kind in {"audio", "video"}:
        return Family.MEDIA
    if media_type.startswith((_OOXML, "application/vnd.oasis.opendocument.", "application/vnd.ms-")):
        return Family.DOCUMENT
    return Family.UNKNOWN


def promised(filename: str, content_type: str) -> Family:
    """What the name promises; what the mail calls it, where the name has no ending we know."""
    _stem, dot, extension = filename.lower().rpartition(".")
    named = _BY_EXTENSION.get(extension.strip(), Family.UNKNOWN) if dot else Family.UNKNOWN
    return named or family(content_type.lower())


def is_a_lie(promise: Family, found: Family) -> bool:
    """Whether a file that promises to be the one and is the other should be told of."""
    if not promise or not found or promise == found:
        return False
    return (promise, found) not in _IN_GOOD_FAITH


def _program(prefix: bytes, data: bytes) -> str:
    if prefix[:2] == b"MZ" and len(data) >= 64:
        # The old header leads to the new one, at any place of the file.
        header = int.from_bytes(data[60:64], "little")
        is_program = data[header : header + 4] == b"PE\0\0" or data[header : header + 2] in {b"NE", b"LE"}
        return WINDOWS_PROGRAM if is_program else ""
    if prefix.startswith(b"\xca\xfe\xba\xbe"):
        # Both a Java class and a program for several processors; a class's version is 45 or more.
        return JAVA_CLASS if int.from_bytes(prefix[4:8], "big") >= 45 else MACH_PROGRAM
    return next((found for mark, found in _PROGRAM_MARKS if prefix.startswith(mark)), "")


def _markup(prefix: bytes) -> str:
    if prefix.startswith((b"\xff\xfe", b"\xfe\xff")):
        prefix = prefix.decode("utf-16", "replace").encode()
    match = _MARKUP.match(prefix)
    if match is None:
        return ""
    return SVG if match["svg"] else HTML


def _picture_in_boxes(prefix: bytes) -> str:
    """AVIF and HEIF, by the brands in their first box (ISO/IEC 14496-12 §4.3): puremagic goes by the length of that box
    too, and takes those of 28 bytes for films."""
    if prefix[4:8] != b"ftyp" or prefix[8:12] not in _PICTURE_BRANDS:
        return ""
    brands = prefix[8 : int.from_bytes(prefix[:4], "big")]
    return "image/avif" if b"avif" in brands or b"avis" in brands else "image/heif"


def _packed(prefix: bytes) -> str:
    """What a zip is for, by the first names in it."""
    names = []
    for member in _ZIP_MEMBER.finditer(prefix):
        size, of_name, of_extra = (int.from_bytes(member[n], "little") for n in (1, 2, 3))
        name_end = member.end() + of_name
        names.append(prefix[member.end() : name_end].lower())
        if names == [b"mimetype"]:
            # OpenDocument and EPUB say what they are in their first member.
            written = prefix[name_end + of_extra : name_end + of_extra + min(size, 100)]
            return written.decode() if _PACKED_DOCUMENT.fullmatch(written) else ZIP
    for beginning, media_type in (
        (b"word/", f"{_OOXML}wordprocessingml.document"),
        (b"xl/", f"{_OOXML}spreadsheetml.sheet"),
        (b"ppt/", f"{_OOXML}presentationml.presentation"),
        (b"androidmanifest.xml", ANDROID_APP),
        (b"meta-inf/", JAVA_ARCHIVE),
    ):
        if any(name.startswith(beginning) for name in names):
            return media_type
    # New Office programs put the table of contents first and the rest beyond the prefix.
    return f"{_OOXML}document" if names and names[0].startswith(b"[content_types].xml") else ZIP


def _by_signature(prefix: bytes) -> str:
    try:
        matches = puremagic.magic_string(prefix)
    except (puremagic.PureError, ValueError):
        return ""
    for match in matches:
        if match.confidence >= _MIN_CONFIDENCE and match.mime_type:
            return _RENAMED.get(match.mime_type, str(match.mime_type))
    return ""

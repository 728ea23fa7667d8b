"""What a file's name says about it: kinds that run when they are opened, and names that lie.

The list is the one Gmail publishes (support.google.com/mail/answer/6590, "File types blocked in Gmail"), with what
Outlook blocks beside it and Windows runs on a double click: refusing such a file here, with a sentence, is kinder
than a bounce from there. Sources that people do send each other (.py, .sh, .rb, .sql) are not on it, because no
system runs them on a double click.

Limits: .js is Windows' script and the web's; a packed web site is refused for it, here as at Gmail.
"""

import re
import unicodedata

_PROGRAMS = (
    "ade adp apk app appx appxbundle cab chm cmd com cpl dll dmg drv ex ex_ exe gadget hlp ins isp jar jnlp lib mde msc"
    " msi msix msixbundle msp mst nsh ocx pif ppkg scf scr sct sfx shb shs sys vxd wll xbap xll xpi"
)
_SCRIPTS = (
    "bat btm hta inf js jse mam mdt msh msh1 msh1xml msh2 msh2xml mshxml ps1 ps1xml ps2 ps2xml psc1 psc2 psd1 psm1"
    " reg vb vbe vbs wsc wsf wsh"
)
_SHORTCUTS = (
    "appref-ms application desktop library-ms lnk search-ms searchconnector-ms settingcontent-ms theme"
    " themepack"
)
_IMAGES = "img iso udf vhd vhdx vmdk"
_QUERIES = "iqy oqy rqy slk"

BLOCKED = (
    dict.fromkeys(_PROGRAMS.split(), "program")
    | dict.fromkeys(_SCRIPTS.split(), "script")
    | dict.fromkeys(_SHORTCUTS.split(), "shortcut")
    | dict.fromkeys(_IMAGES.split(), "disk_image")
    | dict.fromkeys(_QUERIES.split(), "active_document")
)

# What people take for harmless, and a program or an archive may not be called.
_DOCUMENTS = "doc docx odp ods odt pdf ppt pptx rtf xls xlsx"
_MEDIA = "bmp gif heic ico jpe jpeg jpg mov mp3 mp4 png tif tiff wav webp"
_TEXTS = "csv htm html log md svg txt"
_HARMLESS = frozenset(f"{_DOCUMENTS} {_MEDIA} {_TEXTS}".split())
_NO_TEXT = frozenset(f"{_DOCUMENTS} {_MEDIA}".split())
# Formats whose own bytes are neither an archive nor an Office container.
_NEITHER = frozenset(f"{_MEDIA} {_TEXTS} pdf rtf".split())

# Unicode TR9 §2.2: overrides turn the letters behind them round. Embeddings and isolates are left alone: programs write
# them around Arabic and Hebrew names in good faith, and the name's true end is judged in any case.
_OVERRIDES = re.compile("[\u202d\u202e]")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")


def judge_name(name: str) -> str:
    """The code of what is wrong with a file's name, or ""."""
    if _OVERRIDES.search(name):
        return "name_reversed"
    *earlier, last = extensions(name)
    code = BLOCKED.get(last, "")
    if code and earlier and earlier[-1] in _HARMLESS:
        return "double_extension"  # invoice.pdf.exe
    return code


def extensions(name: str) -> list[str]:
    """The name's extensions as a system sees them, at least one: ["gz"], ["tar", "gz"], [""].

    Windows drops dots and blanks at the end and all from a colon on; wide letters and dots (U+FF0E) are shown like
    narrow ones; blanks may push an extension out of sight.
    """
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", name[-1000:]))
    plain = plain.replace("\\", "/").rpartition("/")[2].lower()
    stem, colon, stream = plain.partition(":")
    plain = stem if colon and "." in stem else stream or stem
    pieces = [piece.strip() for piece in plain.strip(" .\t").split(".")[1:]]
    return pieces[-3:] or [""]


def pretends_harmless(name: str) -> bool:
    """Whether the name is one of a document, a picture or a film, which no script may be called.

    Plain text is none of them: people quote scripts in .txt.
    """
    return extensions(name)[-1] in _NO_TEXT


def cannot_be_a_container(name: str) -> bool:
    """Whether a file of this name is never an archive nor an old Office document by its nature."""
    return extensions(name)[-1] in _NEITHER

"""Make text from strangers fit to store and to show.

PostgreSQL refuses NUL and lone surrogates. A bidirectional override turns `exe.fdp` into `pdf.exe` on
screen, a CR LF in a subject becomes a header of its own when the subject is quoted in an answer, and a file
name may be a path. All of this is cleaned once, at the border, so that nobody further in has to think of
it.
"""

import re
import unicodedata

MAX_LINE_CHARS = 998
MAX_FILENAME_CHARS = 200

# C0 and C1 controls except tab, LF and CR; lone surrogates.
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
# Unicode TR9: embeddings, overrides and isolates reorder what stands around them. The plain marks (U+200E,
# U+200F) are kept.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_WHITESPACE_RUN = re.compile(r"\s+")
_NOT_IN_FILENAMES = re.compile(r'[/\\:*?"<>|]')


def clean_text(value: str) -> str:
    """Remove what PostgreSQL refuses and what no reader shows; keep tabs and line ends as they are."""
    return _UNSTORABLE.sub("", value)


def clean_line(value: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """Make one tidy line: every run of whitespace becomes one space, and nothing in it can reorder or split it."""
    # Only a bounded beginning is looked at: a subject of 10 MB costs no more than one of 10 KB.
    spaced = _WHITESPACE_RUN.sub(" ", value[: max_chars * 4])
    visible = _BIDI_CONTROLS.sub("", _UNSTORABLE.sub("", spaced))
    return _WHITESPACE_RUN.sub(" ", visible).strip()[:max_chars].rstrip()


def clean_filename(value: str) -> str:
    """The last component of a name, fit for every file system; "" when nothing usable is left.

    At most 200 characters, and the extension survives the cut, because people choose a program by it.
    """
    line = clean_line(unicodedata.normalize("NFC", value[:4096]), 4096)
    last = line.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = _NOT_IN_FILENAMES.sub("_", last).strip(" .")
    if len(name) <= MAX_FILENAME_CHARS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        return name[:MAX_FILENAME_CHARS]
    return stem[: MAX_FILENAME_CHARS - len(extension) - 1].rstrip(" .") + dot + extension

"""The files of a message: everything that is not read as its body, decoded and named."""

import mimetypes
from dataclasses import dataclass

from apps.mime.bodies import Choice, content_id, decode_body
from apps.mime.charset import decode_text
from apps.mime.clean import clean_filename, clean_line
from apps.mime.structure import Structure

MESSAGES = frozenset({"message/rfc822", "message/global"})
_MAX_CONTENT_ID_CHARS = 998


@dataclass(frozen=True, slots=True)
class File:
    """One file. `filename` is clean and may be empty: `name_of` gives it one. `is_whole`: it is the very message that
    it is a file of, kept because that had to be cut short.
    """

    filename: str
    content_type: str
    content_id: str
    data: bytes
    is_whole: bool = False


def files_of(structure: Structure, choice: Choice) -> list[File]:
    """What of a message is not read, in its order; then the files that stood encoded in a text."""
    files = []
    for entity in choice.kept:
        data, defect = decode_body(structure.raw, entity)
        if defect:
            choice.defects.append(defect)
        cid = clean_line(content_id(entity), _MAX_CONTENT_ID_CHARS)
        files.append(File(clean_filename(entity.filename), entity.content_type, cid, data))
    if not structure.complete:
        files.append(File("message.eml", "message/rfc822", "", structure.raw, is_whole=True))
    for one in choice.encoded:
        name = clean_filename(decode_text(one.filename)[0])
        files.append(File(name, type_of_name(name), "", one.data))
    return files


def name_of(file: File, n: int) -> str:
    """What a file is called, if need be by its number and type."""
    if file.filename:
        return file.filename
    if file.content_type in MESSAGES:
        return "message.eml"
    extension = mimetypes.guess_extension(file.content_type, strict=False) or ".bin"
    return f"attachment-{n}{'.txt' if file.content_type.startswith('message/') else extension}"


def type_of_name(filename: str) -> str:
    """The type that a name stands for, where nothing else tells it."""
    return mimetypes.guess_type(filename, strict=False)[0] or "application/octet-stream"

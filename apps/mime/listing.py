"""What is packed in an archive, by name. Only ever called in a process that can be killed (`picture_worker`).

Nothing is unpacked to anywhere. A tar that is compressed has to be read through, so a bomb costs the time that its
process is given.
"""

import io
import tarfile
import zipfile

from apps.mime.clean import clean_line
from apps.mime.pictures import NoPicture

MAX_LISTED = 500
_MAX_NAME_CHARS = 300

# Name, size in bytes, and whether it is encrypted.
Packed = tuple[str, int, bool]


def list_archive(data: bytes) -> tuple[list[Packed], int]:
    """The first `MAX_LISTED` files of a zip or a tar, compressed or not, and how many there are. Raises NoPicture."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            infos = [one for one in file.infolist() if not one.is_dir()]
            return [
                (_name(one.filename), one.file_size, bool(one.flag_bits & 1)) for one in infos[:MAX_LISTED]
            ], len(infos)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as file:
            listed: list[Packed] = []
            count = 0
            for member in file:
                if not member.isdir():
                    count += 1
                    if count <= MAX_LISTED:
                        listed.append((_name(member.name), member.size, False))
                file.members = []  # type: ignore[attr-defined]  # it would keep every one
            return listed, count
    except tarfile.ReadError as error:
        raise NoPicture("no_archive") from error


def _name(name: str) -> str:
    return clean_line(name, _MAX_NAME_CHARS) or "?"

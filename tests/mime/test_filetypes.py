"""What a file is by its bytes, and whether its name says so."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.mime.filetypes import PREFIX_BYTES, Family, detect_type, family, is_a_lie, promised
from apps.mime.parse import parse
from tests.pictures import picture, windows_program

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def zip_of(*names: str, first: bytes = b"") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as file:
        for name in names:
            file.writestr(name, first)
    return written.getvalue()


def first_box(brand: bytes, *compatible: bytes) -> bytes:
    brands = b"".join([brand, b"\0\0\0\0", *compatible])
    return (len(brands) + 8).to_bytes(4, "big") + b"ftyp" + brands + b"\0" * 50


OOXML = "application/vnd.openxmlformats-officedocument."
ODT = "application/vnd.oasis.opendocument.text"
BY_BYTES = [
    (windows_program(), "application/vnd.microsoft.portable-executable", Family.PROGRAM),
    (b"\x7fELF\2\1\1" + b"\0" * 60, "application/x-executable", Family.PROGRAM),
    (b"\xca\xfe\xba\xbe\0\0\0\x41" + b"\0" * 60, "application/java-vm", Family.PROGRAM),
    (b"\xca\xfe\xba\xbe\0\0\0\x02" + b"\0" * 60, "application/x-mach-binary", Family.PROGRAM),
    (b"L\0\0\0\x01\x14\x02\0" + b"\0" * 60, "application/x-ms-shortcut", Family.PROGRAM),
    (zip_of("META-INF/MANIFEST.MF"), "application/java-archive", Family.PROGRAM),
    (zip_of("AndroidManifest.xml"), "application/vnd.android.package-archive", Family.PROGRAM),
    (b"#!/bin/sh\nrm -r /\n", "text/x-shellscript", Family.SCRIPT),
    (b"%PDF-1.7\n%\xe2\xe3\n", "application/pdf", Family.PDF),
    (picture(), "image/png", Family.PICTURE),
    (picture(kind="JPEG"), "image/jpeg", Family.PICTURE),
    (picture(kind="GIF"), "image/gif", Family.PICTURE),
    (picture(kind="WEBP"), "image/webp", Family.PICTURE),
    (picture(kind="AVIF"), "image/avif", Family.PICTURE),
    (first_box(b"avif", b"avif", b"mif1", b"miaf"), "image/avif", Family.PICTURE),
    (first_box(b"mif1", b"mif1", b"avif", b"miaf"), "image/avif", Family.PICTURE),
    (first_box(b"heic", b"heic", b"mif1", b"miaf"), "image/heif", Family.PICTURE),
    (first_box(b"M4A ", b"M4A ", b"mp42", b"isom"), "video/mp4", Family.MEDIA),
    (b"\xef\xbb\xbf  <!DOCTYPE HTML><html>", "text/html", Family.WEB_PAGE),
    (b"<!-- x --><script>alert(1)</script>", "text/html", Family.WEB_PAGE),
    ("<html><body>".encode("utf-16"), "text/html", Family.WEB_PAGE),
    (b'<?xml version="1.0"?>\n<svg xmlns="x">', "image/svg+xml", Family.WEB_PAGE),
    (zip_of("word/document.xml"), f"{OOXML}wordprocessingml.document", Family.DOCUMENT),
    (zip_of("[Content_Types].xml"), f"{OOXML}document", Family.DOCUMENT),
    (zip_of("mimetype", first=ODT.encode()), ODT, Family.DOCUMENT),
    (bytes.fromhex("d0cf11e0a1b11ae1") + b"\0" * 600, "application/msword", Family.DOCUMENT),
    (zip_of("photo.jpg"), "application/zip", Family.ARCHIVE),
    (zip_of("mimetype", first=b"image/png"), "application/zip", Family.ARCHIVE),
    (b"Rar!\x1a\x07\x01\0" + b"\0" * 50, "application/vnd.rar", Family.ARCHIVE),
    (b"\0\0\0 ftypisom" + b"\0" * 50, "video/mp4", Family.MEDIA),
]  # fmt: skip


@pytest.mark.parametrize(("data", "media_type", "kind"), BY_BYTES, ids=[one[1] for one in BY_BYTES])
def test_a_file_is_known_by_its_first_bytes(data: bytes, media_type: str, kind: Family) -> None:
    assert detect_type(data) == media_type
    assert family(media_type) == kind


@pytest.mark.parametrize(
    "data", [b"", b"Hello Elena,", b"MZ is how a program begins", b"BM", b"a,b\n1,2\n", b"\0" * 99]
)
def test_what_has_no_mark_of_its_own_is_not_guessed(data: bytes) -> None:
    assert detect_type(data) == ""


@pytest.mark.parametrize(
    ("filename", "content_type", "found", "told"),
    [
        ("invoice.pdf", "application/pdf", Family.PROGRAM, True),
        ("invoice.pdf", "application/pdf", Family.WEB_PAGE, True),
        ("holiday.jpg", "image/jpeg", Family.ARCHIVE, True),
        ("holiday.jpg", "text/plain", Family.PICTURE, False),
        ("scan", "application/pdf", Family.PROGRAM, True),
        ("scan", "application/octet-stream", Family.PDF, False),
        ("setup.exe", "application/pdf", Family.PROGRAM, False),
        ("report.xls", "application/vnd.ms-excel", Family.WEB_PAGE, False),
        ("contract.docx", "application/zip", Family.ARCHIVE, False),
        ("notes.txt", "text/plain", Family.SCRIPT, False),
        ("invoice.pdf", "application/pdf", Family.UNKNOWN, False),
        ("data.unheard-of", "application/x-unheard-of", Family.PROGRAM, False),
    ],
)
def test_a_name_is_held_to_what_it_promises(
    filename: str, content_type: str, found: Family, *, told: bool
) -> None:
    assert is_a_lie(promised(filename, content_type), found) is told


@given(st.binary(max_size=PREFIX_BYTES * 2))
def test_no_bytes_are_too_much(data: bytes) -> None:
    assert isinstance(family(detect_type(data)), Family)


@pytest.mark.parametrize("mark", [b"<!--a-->", b"<?xml?>", b"PK\3\4", b"MZ", b"<!--", b" "])
def test_nor_any_repetition(mark: bytes) -> None:
    assert isinstance(detect_type(mark * PREFIX_BYTES), str)


def corpus_files() -> Sequence[Path]:
    return sorted(path for path in CORPUS.rglob("*") if path.is_file()) if CORPUS.is_dir() else []


@pytest.mark.skipif(not corpus_files(), reason="the corpus is not here")
def test_no_honest_file_of_the_corpus_is_called_a_liar() -> None:
    lies = [
        (path.name, part.filename)
        for path in corpus_files()
        for part in parse(path.read_bytes()).parts
        if is_a_lie(promised(part.filename, part.content_type), family(detect_type(part.data)))
    ]
    assert lies == []

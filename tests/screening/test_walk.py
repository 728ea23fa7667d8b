"""Files under every disguise, through the built-in scanner's walk: what is found, where, and what is let through."""

import binascii
import bz2
import gzip
import lzma
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.screening.budget import Budget
from apps.screening.findings import Outcome
from apps.screening.walk import _Walk, look_through, look_through_plain
from tests.mail import raw_mail
from tests.screening.files import (
    EICAR,
    ELF,
    GTUBE,
    ISO,
    JAVA_CLASS,
    JPEG,
    LNK,
    MACHO,
    PDF,
    PE,
    PNG,
    compound,
    locked,
    mail_with,
    ole_package,
    tarred,
    vba_project,
    workbook,
    zip_bomb,
    zipped,
)
from tests.screening.looking import OPENS, codes

# what is found


def test_eicar_is_found_bare_in_base64_and_in_archives() -> None:
    assert [one.code for one in look_through(raw_mail(text=EICAR.decode()))] == ["eicar"]
    assert codes(("test.com.txt", EICAR)) == ["eicar"]
    assert codes(("test.zip", zipped({"readme.txt": EICAR}))) == ["eicar"]
    assert set(codes(("test.tar.gz", gzip.compress(tarred("readme.txt", EICAR))))) == {"eicar"}
    assert codes(("test.txt.bz2", bz2.compress(EICAR))) == ["eicar"]
    assert set(codes(("test.txt.xz", lzma.compress(EICAR)))) == {"eicar"}


def test_gtube_is_spam() -> None:
    (finding,) = look_through(raw_mail(text=GTUBE.decode()))
    assert (finding.outcome, finding.code) == (Outcome.SPAM, "gtube")


@pytest.mark.parametrize("data", [PE, ELF, MACHO, JAVA_CLASS, LNK, ISO])
@pytest.mark.parametrize("name", ["notes.txt", "photo.jpg", "setup", "report.pdf"])
def test_no_name_hides_what_runs(name: str, data: bytes) -> None:
    assert codes((name, data)) in (["program"], ["shortcut"], ["disk_image"])


@pytest.mark.parametrize(
    "name",
    [
        "setup.exe", "SETUP.EXE", "a.scr", "a.js", "a.vbs", "a.hta", "a.wsf", "a.ps1", "a.bat", "a.jar", "a.lnk",
        "a.iso", "a.img", "a.msi", "a.exe.", "a.exe ", "a.exe . .", "a.exe::$DATA", "a．exe", "a.ex\u200be",
    ],
)  # fmt: skip
def test_names_of_programs_and_scripts_are_refused_whatever_is_in_them(name: str) -> None:
    assert codes((name, b"nothing")) != []


@pytest.mark.parametrize("name", ["invoice.pdf.exe", "photo.jpg.scr", "letter.docx        .js"])
def test_a_double_extension_is_a_disguise(name: str) -> None:
    assert codes((name, b"nothing")) == ["double_extension"]


def test_a_name_written_backwards_is_refused() -> None:
    assert codes(("invoice\u202efdp.txt", b"nothing")) == ["name_reversed"]


def test_the_other_name_of_a_part_counts_too() -> None:
    raw = mail_with(("letter.txt", b"x")).replace(
        b"Content-Type: application/octet-stream",
        b'Content-Type: application/octet-stream; name="letter.exe"',
    )
    assert [one.code for one in look_through(raw)] == ["program"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report.pdf", "@echo off\r\ndel *.*\r\n"),
        ("report.doc", 'Set shell = CreateObject("WScript.Shell")\r\nshell.Run "calc"\r\n'),
        ("photo.jpg", "powershell.exe -w hidden -enc SQBFAFgA\r\n"),
        ("photo.png", "#!/bin/sh\nrm -rf /\n"),
    ],
)
def test_a_script_that_is_called_a_document_is_disguised(name: str, text: str) -> None:
    assert codes((name, text.encode())) == ["disguised"]


def test_an_archive_that_is_called_a_picture_is_disguised() -> None:
    assert codes(("photo.jpg", zipped({"a.txt": b"a"}))) == ["disguised"]
    assert codes(("notes.txt", compound({"WordDocument": b"x" * 5000}))) == ["disguised"]


def test_the_place_of_a_find_is_told_from_the_outside_in() -> None:
    (finding,) = look_through(mail_with(("kit.zip", zipped({"tools/inner.zip": zipped({"photo.jpg": PE})}))))
    assert finding.where == ("kit.zip", "tools/inner.zip", "photo.jpg")


def test_a_forwarded_mail_is_looked_through_as_well() -> None:
    inner = mail_with(("photo.jpg", PE))
    raw = mail_with(("forwarded.eml", inner), encoding="8bit").replace(
        b"Content-Type: application/octet-stream", b"Content-Type: message/rfc822", 1
    )
    assert [one.code for one in look_through(raw)] == ["program"]
    assert codes(("forwarded.eml", inner)) == ["program"]


def test_a_file_written_into_the_text_is_looked_at() -> None:
    lines = b"".join(binascii.b2a_uu(PE[at : at + 45]) for at in range(0, len(PE), 45))
    text = "See below.\n\nbegin 644 photo.jpg\n" + lines.decode() + "`\nend\n"
    assert [one.code for one in look_through(raw_mail(text=text))] == ["program"]


# archives


def test_a_bomb_of_overlapping_members_goes_off_nowhere() -> None:
    bomb = zip_bomb(gigabytes=4)
    assert len(bomb) < 100_000
    assert codes(("bomb.zip", bomb)) == ["archive_bomb"]


def test_many_bombs_too_small_to_be_called_so_are_too_large_together() -> None:
    files = {f"{n}.txt": (b"%04d " % n) * 1_600_000 for n in range(40)}  # 8 MB each
    assert codes(("logs.zip", zipped(files))) == ["archive_too_large"]


def test_archives_in_archives_end_at_a_depth() -> None:
    data = b"text"
    for _ in range(12):
        data = zipped({"a.zip": data})
    assert codes(("a.zip", data)) == ["archive_too_deep"]


def test_more_members_than_anyone_looks_at_are_refused() -> None:
    assert codes(
        ("a.zip", zipped(dict.fromkeys(map(str, range(10_100)), b""), method=zipfile.ZIP_STORED))
    ) == ["archive_too_many_files"]


def test_a_small_file_of_nothing_is_no_bomb() -> None:
    assert codes(("empty.bmp.zip", zipped({"empty.bmp": bytes(8_000_000)}))) == []


def test_an_archive_that_cannot_be_opened_says_so_and_its_names_still_count() -> None:
    assert codes(("a.zip", locked(zipped({"a.txt": b"secret"})))) == ["archive_encrypted"]
    assert sorted(codes(("a.zip", locked(zipped({"a.exe": b"secret"}))))) == ["archive_encrypted", "program"]
    assert codes(("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(60))) == ["archive_unopenable"]
    assert codes(("a.rar", b"Rar!\x1a\x07\x01\0" + bytes(60))) == ["archive_unopenable"]
    assert codes(("a.zip", b"PK\x03\x04 and then nonsense")) == ["archive_unopenable"]
    assert codes(("a.docx", compound({"EncryptedPackage": b"x", "EncryptionInfo": b"x"}))) == [
        "document_encrypted"
    ]


def test_both_of_two_zips_in_one_file_are_opened() -> None:
    assert codes(("a.zip", zipped({"photo.jpg": PE}) + zipped({"readme.txt": b"hi"}))) == ["program"]
    assert codes(("a.zip", zipped({"readme.txt": b"hi"}) + zipped({"photo.jpg": PE}))) == ["program"]


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members_are_read_however_they_are_packed(method: int) -> None:
    assert codes(("a.zip", zipped({"photo.jpg": PE}, method=method))) == ["program"]


def test_what_a_damaged_end_leaves_is_looked_at() -> None:
    whole = gzip.compress(PE + bytes(range(256)) * 4000)
    assert codes(("photo.jpg.gz", whole[: len(whole) // 2])) == ["program"]


# what is let through


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("report.pdf", PDF),
        ("photo.jpg", JPEG),
        ("photo.jpg", PNG),  # the wrong picture is still a picture
        ("letter.docx", zipped({"[Content_Types].xml": b"<t/>", "word/document.xml": b"<w/>"})),
        ("letter.doc", compound({"WordDocument": b"x" * 5000, "1Table": b"y" * 300})),
        ("letter.doc", b"{\\rtf1 A letter.}"),
        ("build.sh", b"#!/bin/sh\nmake\n"),
        ("notes.txt", b"Run this: powershell -enc SQBFAFgA, or @echo off\r\n"),
        ("patch.txt", b"MZ is how programs begin; PE comes later.\n" * 40),
        ("site.zip", zipped({"index.html": b"<html>", "style.css": b"a{}", "logo.png": PNG})),
        ("source.tar.gz", gzip.compress(tarred("src/main.py", b"print(1)\n"))),
        ("noise.bin", bytes(range(256)) * 100),
        ("קובץ \u202bשלום\u202c.pdf", PDF),
        ("Bericht v1.2 (final).pdf", PDF),
        ("report 3.0.com.pdf", PDF),
        ("mail.eml", raw_mail()),
        ("invite.ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
    ],
)
def test_what_people_send_each_other_is_let_through(name: str, data: bytes) -> None:
    assert codes((name, data)) == []


# bounds


def test_plain_mail_needs_no_process_and_everything_else_does() -> None:
    assert look_through_plain(raw_mail()) == []
    assert [one.code for one in look_through_plain(raw_mail(text=EICAR.decode())) or []] == ["eicar"]
    assert look_through_plain(mail_with(("report.pdf", PDF))) is None
    assert look_through_plain(raw_mail(text="x" * 200_000)) is None
    assert look_through_plain(raw_mail(text="begin 644 a.exe\n`\nend\n")) is None
    assert look_through_plain(parts_of_text(15)) == []
    assert look_through_plain(parts_of_text(30)) is None
    assert look_through(parts_of_text(30)) == []
    assert look_through_plain(raw_mail(text="PK\x03\x04 is how archives begin")) is None


def parts_of_text(count: int) -> bytes:
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * count + b"--b--\r\n"


def test_a_clock_that_runs_out_is_no_clean_verdict() -> None:
    walk = _Walk(Budget(deadline=0))
    (finding,) = walk.mail(mail_with(("a.zip", zipped({"a.txt": b"a"}))))
    assert (finding.outcome, finding.code) == (Outcome.UNSCANNABLE, "scan_timed_out")


def test_a_mail_deeper_than_we_look_is_not_sent() -> None:
    raw = b"x"
    for n in range(40):
        raw = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%s\r\n--b%d--\r\n" % (
            n,
            n,
            raw,
            n,
        )
    assert "mail_too_deep" in [one.code for one in look_through(raw)]


MAGIC = [
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"\x1f\x8b\x08",
    b"BZh91AY&SY",
    b"\xfd7zXZ\0",
    b"{\\rtf",
    b"",
]


@given(st.sampled_from(MAGIC), st.binary(max_size=3000))
def test_damaged_files_of_every_kind_are_looked_at_without_a_fall(magic: bytes, rest: bytes) -> None:
    look_through(mail_with(("a.bin", magic + rest)))


@given(st.data())
def test_good_files_with_flipped_bytes_are_looked_at_without_a_fall(data: st.DataObject) -> None:
    good = data.draw(
        st.sampled_from(
            [
                zipped({"a.txt": b"hello" * 50, "b.bin": bytes(500)}),
                vba_project(OPENS),
                compound({"Workbook": workbook(macro_sheet=True), "\1Ole10Native": ole_package("a", b"b")}),
                gzip.compress(tarred("a.txt", b"hello" * 300)),
                tarred("a.txt", b"hello" * 300),
            ]
        )
    )
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 12))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    look_through(mail_with(("a.bin", bytes(damaged))))

"""Files of a mail at the content origin and in the conversation: shown, told of, saved, and never run."""

import base64
import io
import zipfile
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from apps.blobs.models import Thumbnail
from apps.mailboxes.attachments import warning_of
from apps.mailboxes.models import Message, Part
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from tests.api.client import Api
from tests.arrivals import arrive
from tests.people import House
from tests.pictures import bomb_png, picture, windows_program

DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
PAGE = b"<!doctype html><script>alert(1)</script>"


def mail_with(files: Mapping[str, tuple[str, bytes]], subject: str = "Files") -> bytes:
    """A mail with files: by name, what it calls each of them, and their bytes."""
    parts = [
        f"--b\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
        f"{base64.encodebytes(content).decode()}\r\n"
        for name, (content_type, content) in files.items()
    ]
    head = (
        f"From: Elena Marsh <elena@customer.example>\r\nTo: support@house.test\r\nSubject: {subject}\r\n"
        "Message-ID: <files@customer.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHere they are.\r\n"
    )
    return (head + "".join(parts) + "--b--\r\n").encode()


@pytest.fixture
def message(house: House) -> Message:
    return arrive(
        house.support,
        mail_with(
            {
                "photo.png": ("image/png", picture()),
                "bomb.png": ("image/png", bomb_png()),
                "drawing.png": ("image/png", DRAWING),
                "invoice.pdf": ("application/pdf", windows_program()),
                "page.html": ("text/html", PAGE),
                "feed.xml": ("text/xml", b"<?xml version='1.0'?><feed/>"),
                "scan.bin": ("application/octet-stream", picture(kind="JPEG")),
                "notes.txt": ("text/plain", b"Hello"),
            }
        ),
    )


@pytest.fixture
def content() -> Client:
    return Client(HTTP_HOST=urlsplit(settings.CONTENT_ORIGIN).netloc)


def part_of(message: Message, filename: str) -> Part:
    return message.parts.get(filename=filename)


def path_to(kind: ContentKind, message: Message, house: House, filename: str = "") -> str:
    n = part_of(message, filename).n if filename else 0
    url = content_url(kind, ContentClaim(message.pk, house.alice.pk, n), timezone.now())
    return url.removeprefix(settings.CONTENT_ORIGIN)


def test_each_part_knows_what_its_bytes_say(message: Message) -> None:
    told = dict(message.parts.values_list("filename", "detected_type"))
    assert told["photo.png"] == "image/png"
    assert told["drawing.png"] == "image/svg+xml"
    assert told["invoice.pdf"] == "application/vnd.microsoft.portable-executable"
    assert told["page.html"] == "text/html"
    assert told["scan.bin"] == "image/jpeg"
    assert told["notes.txt"] == ""


def test_a_program_that_calls_itself_an_invoice_is_told_of(message: Message) -> None:
    warning = warning_of(part_of(message, "invoice.pdf"))
    assert warning is not None
    assert warning.code == "disguised_program"
    assert warning.sentence == "It is called invoice.pdf, but it is a Windows program."
    drawing = warning_of(part_of(message, "drawing.png"))
    assert drawing is not None
    assert drawing.code == "type_mismatch"
    assert warning_of(part_of(message, "photo.png")) is None
    assert warning_of(part_of(message, "notes.txt")) is None


@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("setup.exe", "program"),
        ("invoice.pdf.exe", "double_extension"),
        ("run.vbs", "script"),
        ("a.iso", "disk_image"),
    ],
)
def test_a_name_alone_may_be_reason_to_think_twice(filename: str, code: str) -> None:
    warning = warning_of(Part(filename=filename, content_type="application/octet-stream", detected_type=""))
    assert warning is not None
    assert warning.code == code


def test_a_part_nobody_looked_at_yet_is_judged_by_its_name() -> None:
    assert warning_of(Part(filename="invoice.pdf", content_type="application/pdf")) is None
    assert warning_of(Part(filename="setup.exe", content_type="application/pdf")) is not None


def test_the_api_tells_the_type_and_the_warning(house: House, message: Message) -> None:
    answer = Api.of(house.secret).get(f"/messages/{message.pk}").json()
    told = {one["filename"]: one for one in answer["attachments"]}
    assert told["invoice.pdf"]["detected_type"] == "application/vnd.microsoft.portable-executable"
    assert told["invoice.pdf"]["warning"] == {
        "code": "disguised_program",
        "reason": "It is called invoice.pdf, but it is a Windows program.",
    }
    assert told["photo.png"]["warning"] is None


@pytest.mark.parametrize(
    ("filename", "served_as"),
    [
        ("photo.png", "image/png"),
        ("drawing.png", "application/octet-stream"),
        ("invoice.pdf", "application/octet-stream"),
        ("page.html", "application/octet-stream"),
        ("feed.xml", "application/octet-stream"),
        ("scan.bin", "image/jpeg"),
        ("notes.txt", "text/plain"),
    ],
)
def test_a_download_is_saved_and_is_what_its_bytes_are(
    house: House, message: Message, content: Client, filename: str, served_as: str
) -> None:
    answer = content.get(path_to(ContentKind.ATTACHMENT, message, house, filename))
    assert answer["Content-Type"] == served_as
    assert answer["Content-Disposition"] == f'attachment; filename="{filename}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("filename", "status"),
    [
        ("photo.png", 200),
        ("scan.bin", 200),
        ("drawing.png", 404),
        ("page.html", 404),
        ("feed.xml", 404),
        ("invoice.pdf", 404),
        ("notes.txt", 404),
    ],
)
def test_only_pictures_are_shown_in_place(
    house: House, message: Message, content: Client, filename: str, status: int
) -> None:
    assert content.get(path_to(ContentKind.INLINE, message, house, filename)).status_code == status


def test_a_thumbnail_is_small_private_and_kept_by_the_browser(
    house: House, message: Message, content: Client
) -> None:
    answer = content.get(path_to(ContentKind.THUMBNAIL, message, house, "photo.png"))
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
    assert answer["Cache-Control"] == "private, max-age=1800"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert len(answer.content) < len(picture())
    assert Thumbnail.objects.get().image is not None


@pytest.mark.parametrize("filename", ["bomb.png", "drawing.png", "invoice.pdf", "notes.txt"])
def test_where_there_is_no_small_picture_ours_stands(
    house: House, message: Message, content: Client, filename: str
) -> None:
    for _look in range(2):
        answer = content.get(path_to(ContentKind.THUMBNAIL, message, house, filename))
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml")
        assert b"alert" not in answer.content


def test_all_files_come_in_one_archive(house: House, message: Message, content: Client) -> None:
    answer = content.get(path_to(ContentKind.ARCHIVE, message, house))
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="Files.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.testzip() is None
        assert len(packed.namelist()) == 8
        assert packed.read("photo.png") == picture()


def test_names_in_an_archive_are_harmless_and_each_is_its_own(house: House, content: Client) -> None:
    raw = mail_with(
        {
            "../../etc/passwd": ("text/plain", b"1"),
            "a.txt": ("text/plain", b"2"),
            "b/A.TXT": ("text/plain", b"3"),
        }
    )
    message = arrive(house.support, raw)
    answer = content.get(path_to(ContentKind.ARCHIVE, message, house))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        assert packed.namelist() == ["passwd", "a.txt", "A (2).TXT"]


def test_more_than_an_archive_holds_is_not_offered(
    house: House, message: Message, content: Client, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = f"/m/{house.support.pk}/inbox/{message.thread_id}/"
    assert "Download all 8 files" in alice.get(page).content.decode()
    monkeypatch.setattr("apps.mailboxes.attachments.MAX_ARCHIVE_BYTES", 1000)
    assert "Download all" not in alice.get(page).content.decode()
    assert content.get(path_to(ContentKind.ARCHIVE, message, house)).status_code == 404


def test_the_conversation_shows_pictures_and_tells_of_the_others(
    house: House, message: Message, alice: Client
) -> None:
    page = alice.get(f"/m/{house.support.pk}/inbox/{message.thread_id}/").content.decode()
    assert page.count("/content/thumbnail/") == 3  # photo, bomb and scan
    assert "It is called invoice.pdf, but it is a Windows program." in page


def test_what_was_refused_once_is_listed_as_a_file(
    house: House, message: Message, content: Client, alice: Client
) -> None:
    content.get(path_to(ContentKind.THUMBNAIL, message, house, "bomb.png"))
    page = alice.get(f"/m/{house.support.pk}/inbox/{message.thread_id}/").content.decode()
    assert page.count("/content/thumbnail/") == 2
    assert "bomb.png" in page

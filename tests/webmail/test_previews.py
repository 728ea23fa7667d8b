"""Files looked at in their place: as what their bytes are, bounded, and nothing of them run."""

import io
import re
import tarfile
import zipfile
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.mailboxes.models import Message
from apps.webmail.content_tokens import ContentClaim, ContentKind, content_url
from tests.arrivals import arrive
from tests.people import House
from tests.pictures import picture
from tests.webmail.test_files import mail_with

CONTENT_HOST = urlsplit(settings.CONTENT_ORIGIN).netloc


def pdf(pages: int = 2) -> bytes:
    """A PDF with empty pages, which tries to run a script when it is opened."""
    kids = " ".join(f"{n + 3} 0 R" for n in range(pages))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        *["<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] >>"] * pages,
    ]
    body = "".join(f"{n} 0 obj\n{one}\nendobj\n" for n, one in enumerate(objects, 1))
    return f"%PDF-1.7\n{body}trailer << /Root 1 0 R >>\n".encode()


def zipped(names: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in names.items():
            file.writestr(name, content)
    return packed.getvalue()


def tarred(names: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def mail_of(house: House, name: str, content: bytes, media_type: str = "application/octet-stream") -> Message:
    return arrive(house.support, mail_with({name: (media_type, content)}, "Files"))


def seen(client: Client, message: Message, n: int = 1) -> str:
    answer = client.get(reverse("webmail:preview", args=[message.pk, n]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_text_is_shown_in_its_own_charset_and_escaped(house: House, alice: Client) -> None:
    text = "Viele Grüße aus München, wir hätten gerne zwei Lampen für die Küche. <script>alert(1)</script>"
    assert "München, wir hätten gerne zwei Lampen für die Küche. &lt;script&gt;alert(1)" in seen(
        alice, mail_of(house, "a.txt", text.encode("cp1252"))
    )
    assert "Grüße" in seen(alice, mail_of(house, "b.md", text.encode()))
    assert "Grüße" in seen(alice, mail_of(house, "c.log", text.encode("utf-16")))


def test_a_table_is_a_table(house: House, alice: Client) -> None:
    rows = "Name;Sum\n" + "".join(f"Lamp {n};{n}\n" for n in range(1000))
    html = seen(alice, mail_of(house, "list.csv", rows.encode(), "text/csv"))
    assert '<th scope="col">Sum</th>' in html
    assert "<td>Lamp 7</td>" in html
    assert "It goes on." in html
    assert "Lamp 999" not in html


def test_the_pages_of_a_pdf_are_pictures(house: House, alice: Client) -> None:
    message = mail_of(house, "contract.pdf", pdf(), "application/pdf")
    html = seen(alice, message)
    pages = re.findall(r'src="([^"]+/content/page/[^"]+)"', html)
    assert len(pages) == 2
    content = Client(HTTP_HOST=CONTENT_HOST)
    page = content.get(pages[1].removeprefix(settings.CONTENT_ORIGIN))
    assert (page.status_code, page["Content-Type"]) == (200, "image/webp")
    gone = content.get(pages[0].removeprefix(settings.CONTENT_ORIGIN).replace("page=1", "page=9"))
    assert gone["Content-Type"] == "image/svg+xml"
    for number in ("0", "-1", "x", "1e3", "99999"):
        odd = pages[0].removeprefix(settings.CONTENT_ORIGIN).replace("page=1", f"page={number}")
        assert content.get(odd).status_code in {200, 404}


def test_what_only_looks_like_a_pdf_is_told(house: House, alice: Client) -> None:
    message = mail_of(house, "broken.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\nnothing", "application/pdf")
    assert "Save it to open it." in seen(alice, message)


@pytest.mark.parametrize(("name", "pack"), [("a.zip", zipped), ("a.tar.gz", tarred)])
def test_an_archive_is_listed_and_not_unpacked(house: House, alice: Client, name: str, pack: type) -> None:
    packed = pack({"../../etc/passwd": b"x", "big.txt": b"\0" * 3_000_000, "<b>.txt": b""})
    html = seen(alice, mail_of(house, name, packed))
    for words in ("../../etc/passwd", "2.9\xa0MB", "&lt;b&gt;.txt"):
        assert words in html


def test_an_archive_of_very_many_files_is_listed_in_part(house: House, alice: Client) -> None:
    html = seen(alice, mail_of(house, "many.zip", zipped({f"{n}.txt": b"" for n in range(700)})))
    assert "200 more files" in html


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("page.html", b"<!doctype html><script>alert(1)</script>", "text/html"),
        ("page.txt", b"<html><script>alert(1)</script></html>", "text/plain"),
        ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', "image/svg+xml"),
        ("program.exe", b"MZ\0\0", "application/x-msdownload"),
        ("empty.txt", b"", "text/plain"),
    ],
)
def test_what_cannot_be_looked_at_has_no_preview(
    house: House, alice: Client, name: str, content: bytes, media_type: str
) -> None:
    message = mail_of(house, name, content, media_type)
    assert alice.get(reverse("webmail:preview", args=[message.pk, 1])).status_code == 404


def test_bytes_that_call_themselves_text_are_told(house: House, alice: Client) -> None:
    assert "This is no text." in seen(alice, mail_of(house, "a.txt", b"\0\1\2\3" * 100, "text/plain"))


def test_one_goes_from_file_to_file(house: House, alice: Client) -> None:
    files = {"a.png": ("image/png", picture()), "b.exe": ("x/y", b"MZ"), "c.txt": ("text/plain", b"words")}
    message = arrive(house.support, mail_with(files, "Files"))
    first, last = seen(alice, message, 1), seen(alice, message, 3)
    assert "1 of 2" in first
    assert reverse("webmail:preview", args=[message.pk, 3]) in first
    assert reverse("webmail:preview", args=[message.pk, 1]) in last


def test_the_outsider_sees_nothing(house: House, outsider: Client, alice: Client) -> None:
    message = mail_of(house, "a.txt", b"words")
    assert outsider.get(reverse("webmail:preview", args=[message.pk, 1])).status_code == 404
    assert alice.get(reverse("webmail:preview", args=[message.pk, 7])).status_code == 404


def test_only_a_pdf_has_pages_and_only_for_who_may_see_it(house: House, stranger: House) -> None:
    content = Client(HTTP_HOST=CONTENT_HOST)

    def status_of(message: Message, user: User) -> int:
        url = content_url(ContentKind.PAGE, ContentClaim(message.pk, user.pk, 1), timezone.now())
        return content.get(url.removeprefix(settings.CONTENT_ORIGIN)).status_code

    assert status_of(mail_of(house, "a.txt", b"words"), house.alice) == 404
    contract = mail_of(house, "contract.pdf", pdf(), "application/pdf")
    assert status_of(contract, house.alice) == 200
    assert status_of(contract, stranger.alice) == 404

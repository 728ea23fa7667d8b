"""Mail for the tests of this room: small builders, hostile bytes, and the corpora where they are present."""

from pathlib import Path

import pytest
from hypothesis import strategies as st

_CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"


def corpus(folder: str, pattern: str = "*") -> list[Path]:
    """The files of a corpus folder; the test is skipped where the corpora are not installed beside the project."""
    files = sorted((_CORPUS / folder).glob(pattern))
    if not files:
        pytest.skip(f"the corpus {folder}/ is not beside this project")
    return files


def mail(body: bytes = b"Hello\r\n", /, **headers: str) -> bytes:
    """A message with these headers (underscores stand for hyphens) and this body."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in headers.items()]
    return b"".join(lines) + b"\r\n" + body


def multipart(kind: str, *entities: bytes, **headers: str) -> bytes:
    """A multipart message of these entities."""
    body = b"".join(b"--limit\r\n" + entity + b"\r\n" for entity in entities) + b"--limit--\r\n"
    return mail(body, Content_Type=f'multipart/{kind}; boundary="limit"', **headers)


def nested(depth: int) -> bytes:
    """Multiparts within multiparts."""
    head = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return head + b"Content-Type: text/plain\r\n\r\nthe innermost words\r\n"


# What parsers trip over, to be shuffled together.
_FRAGMENTS = [
    b"Content-Type: ", b"multipart/mixed; boundary=x", b"multipart/alternative; boundary=x",
    b"multipart/related; start=x; boundary=x", b"multipart/report; report-type=delivery-status; boundary=x",
    b"message/rfc822", b"text/html", b"text/plain; format=flowed; delsp=yes", b"text/calendar; method=REQUEST",
    b"; charset=", b"utf-7", b"+2AA-", b"hz", b"~{", b"idna", b"punycode", b"hex", b"undefined", b"\x00",
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--x", b"--x--", b" ", b"\t", b"From: ", b"To: ", b"<a@b>", b'"', b"(", b"<",
    b",", b"group:",
    b"Subject: ", b"=?utf-8?q?=00=0d=0a?=", b"=?utf-7?b?+2AA-?=", b"=?hex?q?00?=", b"=?utf-8?b?/?=",
    b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"x-uuencode", b"begin 644 a\nM\nend",
    b"Date: ",
    b"Mon, 1 Jan 99999 00:00:00 +9999", b"Message-ID: ", b"<<a@b>", b"References: ", b"Content-ID: <x>",
    b"Content-Disposition: attachment; filename*0*=", b"\xff\xfe",
    b"utf-8''%ff%00", b'filename="../\\"/x',
    b"<div>", b"<svg><style>", b"<img src=cid:x>", b"<!--", b"> quoted",
    b"On 1 Jan 2020 a@b.c wrote:", b"Auto-Submitted: x",
]  # fmt: skip

hostile_bytes = st.lists(
    st.one_of(st.sampled_from(_FRAGMENTS), st.binary(max_size=20)), max_size=40
).map(b"".join)  # fmt: skip

_MARKUP = [
    "<div>", "</div>", "<p style='", "color:red", "background:url(x)", "'>", '"', "<img src=", "http://x/y", "cid:a",
    ">", "data:image/png;base64,xx", "data:text/html,x", "<svg>", "<style>", "</style>", "<a href=",
    "javascript:alert(1)",
    " ", "onclick=", "<math><mtext>", "<table>", "<td>", "<!--", "-->", "&lt;", "&#x3c;script&#62;", "<title>",
    "</title>", "<b>", "<i>", "</b>", "\x00", "<noscript>", "</noscript>", "<select>", "<template>", "<form>", "=",
    "/", "<pre>\n", "\n", "&nbsp;", "<br>", "<li>", "<font color=red>", "<a>", "<script>", "</script>",
    "<base href=//x>",
    "<meta http-equiv=refresh>", "<iframe src=//x>", "\\", "expression(", "@import", "<mglyph>", "<xmp>",
]  # fmt: skip

hostile_html = st.lists(st.one_of(st.sampled_from(_MARKUP), st.text(max_size=4)), max_size=30).map("".join)

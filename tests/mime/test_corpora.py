"""Real and hostile mail from public collections: all of it is read, no part is lost, and what it is is known.

The table each test prints is seen with `pytest -s`. What is looked at beside our own reader is read by the standard
library, which has other faults than we have.
"""

import email
import email.message
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.mime.message import MessageKind, ParsedMessage
from apps.mime.parse import parse
from apps.mime.quotes import split_quotes
from apps.mime.tnef import read_tnef
from apps.mime.transfer import decode_transfer
from apps.outbound.bounces.reading import kind_of, read_report
from tests.fuzz.targets import check_html, check_message
from tests.mime.mails import corpus

REAL_MAILS = Path(__file__).parents[2] / "var" / "corpus"
# What the name of a bounce's file calls an answer of a holiday program, or of a list program about itself, is none.
REPORTS = {MessageKind.BOUNCE, MessageKind.COMPLAINT}
NO_REPORTS = {
    "rfc3834-01.eml": MessageKind.AUTO_REPLY,
    "rfc3834-04.eml": MessageKind.AUTO_REPLY,
    "lhost-fml-03.eml": MessageKind.LIST,
}


def real_mails() -> list[Path]:
    files = sorted(REAL_MAILS.rglob("*.txt"))
    if not files:
        pytest.skip("`make corpus` fetches the 6,046 mails")
    return files


def leaves(
    message: email.message.Message, *, closed: bool = False, encoding: str = ""
) -> Iterator[tuple[str, bytes]]:
    """(type, content) of each leaf the standard library sees. Into a forwarded message it looks, as we do, but for the
    one in a report, which stays `closed`; `encoding` is that of the message around a leaf, which it leaves on.
    """
    if closed and is_message(message):
        return
    if not message.is_multipart():
        yield message.get_content_type(), squeezed(payload(message, encoding))
        return
    around = str(message.get("content-transfer-encoding", "")) if is_message(message) else ""
    for child in message.get_payload():
        if isinstance(child, email.message.Message):
            encoded = around.lower() in {"base64", "quoted-printable"}
            yield from leaves(child, closed=closed, encoding=around if encoded else "")


def is_message(message: email.message.Message) -> bool:
    return message.get_content_maintype() == "message"


def payload(leaf: email.message.Message, encoding: str = "") -> bytes:
    """A leaf's bytes without their transfer encoding, undone by our own function: its faults are tried elsewhere."""
    raw = str(leaf.get_payload()).encode("latin-1", "replace")
    return decode_transfer(raw, encoding or str(leaf.get("content-transfer-encoding", "")))[0]


def read_beside(raw: bytes) -> email.message.Message:
    """The standard library's reading. Latin-1 keeps every byte, whatever it is."""
    return email.message_from_string(raw.decode("latin-1"))


def squeezed(data: bytes) -> bytes:
    return b"".join(data.split())


def lost(raw: bytes, parsed: ParsedMessage) -> list[str]:
    """The leaves of which neither a part nor the text has anything."""
    parts = [squeezed(part.data) for part in parsed.parts]
    text = squeezed(parsed.text.encode())
    missing = []
    for kind, content in leaves(read_beside(raw), closed=parsed.kind in REPORTS):
        if not content or any(content in part for part in parts):
            continue
        if kind.startswith("text/") and (parsed.text or parsed.html):
            continue  # a body; that no word of it is lost is tried below
        if kind.startswith("multipart/") and (parsed.parts or text):
            continue  # the standard library found no boundary; we did, or show it as it stands
        if kind.startswith("message/") and content[:200].decode("latin-1").encode() in text:
            continue
        missing.append(f"{kind} of {len(content)} bytes")
    return missing


def table(title: str, rows: dict[str, object]) -> None:
    print(f"\n{title}")  # noqa: T201
    for name, value in rows.items():
        print(f"  {name:<24}{value}")  # noqa: T201


def read_all(title: str, files: list[Path]) -> dict[str, list[str]]:
    """Read every file, print the table, and answer what of which file was lost."""
    kinds: Counter[str] = Counter()
    parts = seen = 0
    losses: dict[str, list[str]] = {}
    seconds: list[float] = []
    for path in files:
        raw = path.read_bytes()
        before = time.perf_counter()
        parsed = parse(raw)
        seconds.append(time.perf_counter() - before)
        check_message(parsed)
        kinds[parsed.kind] += 1
        parts += len(parsed.parts)
        seen += sum(1 for _kind, content in leaves(read_beside(raw)) if content)
        if missing := lost(raw, parsed):
            losses[path.name] = missing
    rows: dict[str, object] = {
        "files": len(files),
        "read without error": len(seconds),
        "leaves seen by stdlib": seen,
        "parts kept": parts,
        "files with a loss": len(losses),
        "kinds": dict(kinds),
        "ms, median": round(sorted(seconds)[len(seconds) // 2] * 1000, 2),
    }
    table(title, rows)
    return losses


@pytest.mark.parametrize("folder", ["mime", "bounces"])
def test_no_part_of_any_mail_is_lost(folder: str) -> None:
    assert read_all(f"corpus/{folder}", corpus(folder)) == {}


@pytest.mark.slow
def test_no_part_of_six_thousand_real_mails_is_lost() -> None:
    assert read_all("SpamAssassin, ham and spam", real_mails()) == {}


@pytest.mark.slow
def test_no_word_of_six_thousand_real_mails_is_lost_by_folding() -> None:
    for path in real_mails():
        text = parse(path.read_bytes()).text
        quoted = split_quotes(text)
        lines = text.split("\n")
        folded = [line for start, end in quoted.folded for line in lines[start:end]]
        assert sorted("\n".join([quoted.new_text, *folded]).split()) == sorted(text.split()), path.name


def test_every_bounce_is_recognised_as_what_it_is() -> None:
    kinds: dict[str, MessageKind] = {}
    for path in corpus("bounces"):
        raw = path.read_bytes()
        parsed = parse(raw)
        report = read_report(parsed, raw, envelope_sender=envelope_sender_of(raw))
        kinds[path.name] = kind_of(report) if report else parsed.kind
    table("corpus/bounces", dict(Counter(kinds.values())))
    assert {name: kind for name, kind in kinds.items() if kind not in REPORTS} == NO_REPORTS


def envelope_sender_of(raw: bytes) -> str:
    """MAIL FROM, as the server that collected the mail wrote it into Return-Path (RFC 5321 §4.4)."""
    value = read_beside(raw).get("return-path", "<>")
    return str(value).strip().strip("<>")


def test_what_is_new_in_a_reply_is_found_nine_times_in_ten_and_no_word_is_lost() -> None:
    right = []
    files = corpus("replies/emails")
    for path in files:
        text = path.read_text(errors="replace")
        quoted = split_quotes(text)
        lines = text.split("\n")
        folded = [line for start, end in quoted.folded for line in lines[start:end]]
        assert sorted("\n".join([quoted.new_text, *folded]).split()) == sorted(text.split()), path.name
        wanted = (path.parents[1] / "trimmed" / path.name).read_text(errors="replace")
        right.append(quoted.new_text.split() == wanted.split())
    table(
        "corpus/replies",
        {"files": len(files), "new text right": f"{sum(right)} ({sum(right) / len(right):.1%})"},
    )
    assert sum(right) >= 0.9 * len(files)


def test_every_winmail_is_opened() -> None:
    files = corpus("tnef", "*.tnef")
    found = {path.name: read_tnef(path.read_bytes()) for path in files}
    rows = {
        name: f"{one.message_class:<36} {len(one.attachments)} files, {len(one.text or one.html)} characters"
        for name, one in found.items()
    }
    table("corpus/tnef", dict(rows))
    assert not any(one.damaged for one in found.values())
    assert sum(len(one.attachments) for one in found.values()) == 14
    assert sum(bool(one.text or one.html) for one in found.values()) == 8


def test_every_vector_against_html_readers_is_harmless() -> None:
    for path in corpus("html"):
        content = path.read_bytes()
        parsed = parse(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + content)
        check_html(parsed.html)
        assert parsed.html

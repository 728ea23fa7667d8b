"""The replay: what it takes for a mail, what it sends, and whether it tells the truth about it."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.blobs.selectors import read
from apps.inbound import custody
from apps.inbound.errors import ReplayImpossible
from apps.inbound.ingest import ingest_due
from apps.inbound.progress import Progress
from apps.inbound.receiving import Accepted, accept_all
from apps.inbound.replay import find_mails, read_mail
from apps.inbound.replay_check import wait_until_filed
from apps.mailboxes.models import Message
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three mails, two of them equal, and a file that is none."""
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "one.eml").write_bytes(raw_mail())
    (inner / "same.txt").write_bytes(raw_mail())
    mbox = b"From elena Mon Mar  2 10:00:00 2026\n" + raw_mail(text=".dot\r\nlast").replace(b"\r\n", b"\n")
    (inner / "00003.7c53").write_bytes(mbox)
    (tmp_path / "index.json").write_bytes(b'{"id": 1}\n')
    return tmp_path


@pytest.fixture
def worker() -> Iterator[None]:
    """Files what arrives, as a work process would."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.02):
            ingest_due(limit=50, seconds=5)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stopping.set()
    thread.join()


def replay(folder: Path, port: int, **options: Any) -> str:
    out = io.StringIO()
    call_command(
        "replay", folder, to="support@house.test", port=port, host="127.0.0.1", stdout=out, **options
    )
    return out.getvalue()


def test_a_mail_is_what_begins_with_a_header_field(folder: Path) -> None:
    mails, left_out = find_mails(folder)
    assert [path.name for path in mails] == ["00003.7c53", "same.txt", "one.eml"]
    assert left_out == 1
    assert find_mails(folder, limit=2)[0] == mails[:2]


def test_a_folder_without_mail_is_told(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ReplayImpossible):
            find_mails(place)


def test_a_file_loses_its_separator_and_gains_crlf(tmp_path: Path) -> None:
    path = tmp_path / "mail"
    path.write_bytes(b"From x\nSubject: a\r\nX: b\n\nlone\rcr\n>From here\nend")
    assert read_mail(path) == b"Subject: a\r\nX: b\r\n\r\nlone\rcr\r\n>From here\r\nend\r\n"


@pytest.mark.usefixtures("worker")
def test_every_file_is_sent_and_filed_byte_for_byte(folder: Path, port: int, house: House) -> None:
    told = replay(folder, port, sessions=2)
    assert "files      3 (1 others are no mail)" in told
    assert "accepted   3" in told
    assert "filed      3" in told
    sent = sorted(read_mail(path) for path in find_mails(folder)[0])
    assert sorted(read(message.raw) for message in Message.objects.select_related("raw")) == sent


@pytest.mark.usefixtures("worker")
def test_a_second_replay_is_as_many_messages_again(folder: Path, port: int, house: House) -> None:
    replay(folder, port)
    replay(folder, port)
    assert Message.objects.count() == 6


@pytest.mark.usefixtures("worker")
def test_a_mail_refused_for_now_is_sent_again_and_filed_once(
    folder: Path, port: int, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def commit_and_fail_at_first(*args: Any, **named: Any) -> list[Accepted]:
        accepted = accept_all(*args, **named)
        calls.append("called")
        if len(calls) == 1:
            raise ConnectionError
        return accepted

    monkeypatch.setattr(custody, "accept_all", commit_and_fail_at_first)
    assert "accepted   3" in replay(folder, port, sessions=1)
    assert len(calls) == 4
    assert Message.objects.count() == 3


@pytest.mark.usefixtures("worker")
def test_a_refusal_is_counted_with_its_reason_and_fails_the_command(
    folder: Path, port: int, house: House
) -> None:
    out = io.StringIO()
    with pytest.raises(CommandError, match="not every mail"):
        call_command("replay", folder, to="nobody@house.test", port=port, host="127.0.0.1", stdout=out)
    assert "refused    3" in out.getvalue()
    assert "3 x 550 5.1.1 Nobody here has this address" in out.getvalue()


def test_nobody_listening_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.inbound.replay.FIRST_PAUSE_SECONDS", 0.001)
    with pytest.raises(CommandError, match=r"^nobody listens on 127\.0\.0\.1:9$"):
        replay(folder, 9)


class RawMessages(BaseHTTPRequestHandler):
    """Answers GET /api/v1/messages/{id}/raw from the database, all but one byte of the last filed message."""

    damaged: object = None
    keys: set[str] = set()

    def do_GET(self) -> None:
        try:
            message = Message.objects.select_related("raw").get(pk=self.path.split("/")[4])
            body = read(message.raw)
        finally:
            connection.close()
        self.keys.add(self.headers["Authorization"])
        if message.pk == self.damaged:
            body = body[:-3] + b"!\r\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Quiet."""


@pytest.mark.usefixtures("worker")
def test_verify_fetches_each_back_and_tells_what_differs(
    folder: Path, port: int, house: House, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = ThreadingHTTPServer(("127.0.0.1", 0), RawMessages)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    settings.DATA_DIR = folder
    demo = folder / "demo.json"
    demo.write_text(f'{{"web": "http://127.0.0.1:{web.server_port}", "api_key": "{house.secret}"}}')
    told = replay(folder, port, verify=True)
    assert "identical  3 of 3" in told
    assert RawMessages.keys == {f"Bearer {house.secret}"}

    def wait_and_damage_one(*args: Any) -> Any:
        states = wait_until_filed(*args)
        RawMessages.damaged = Message.objects.latest("received_at").pk
        return states

    out = io.StringIO()
    monkeypatch.setattr("apps.inbound.management.commands.replay.wait_until_filed", wait_and_damage_one)
    with pytest.raises(CommandError):
        call_command(
            "replay", folder, to="support@house.test", port=port, host="127.0.0.1", verify=True, stdout=out
        )
    assert "identical  2 of 3" in out.getvalue()
    assert "came back with other bytes" in out.getvalue()
    web.shutdown()
    web.server_close()


def test_progress_writes_a_line_at_every_tenth_where_it_is_kept() -> None:
    out = io.StringIO()
    progress = Progress("sent", 100, out)
    for _ in range(100):
        progress.advance()
    progress.finish()
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1].startswith("sent      " + "█" * 30 + " 100/100")

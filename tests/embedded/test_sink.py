"""The sink keeps every mail as it came, with its envelope, and not more mails than it should."""

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.smtp import Envelope, Session

from mailplatform.embedded.sink import Sink
from mailplatform.environment import PROJECT_ROOT
from tests.embedded.runs import choose_ports
from tests.polling import wait_until

_LONG_LINE = b"Subject: kept\r\n\r\n" + b"x" * 5000 + b"\r\n.leading dot\r\nbare \x00 and \xff\r\n"


@pytest.fixture
def sink_port(tmp_path: Path) -> Iterator[int]:
    port = choose_ports(1)[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "mailplatform.embedded.sink"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "MAILPLATFORM_DATA_DIR": str(tmp_path), "SINK_PORT": str(port)},
    )
    try:
        wait_until(lambda: _answers(port), 20)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def test_a_mail_is_kept_byte_for_byte_with_its_envelope(sink_port: int, tmp_path: Path) -> None:
    recipients = ["a@one.test", "b@two.test"]
    with smtplib.SMTP("127.0.0.1", sink_port, local_hostname="client.test") as client:
        assert client.sendmail("<>", recipients, _LONG_LINE) == {}
    (mail,) = (tmp_path / "sink").glob("*.eml")
    assert mail.read_bytes() == _LONG_LINE
    envelope = json.loads(mail.with_suffix(".json").read_text())
    assert envelope["rcpt_tos"] == recipients
    assert envelope["helo"] == "client.test"


def test_only_the_newest_mails_are_kept(tmp_path: Path) -> None:
    _take(Sink(tmp_path, kept_mails=2), b"1", b"2", b"3")
    assert _kept(tmp_path) == [b"2", b"3"]
    _take(Sink(tmp_path, kept_mails=2), b"4")  # another start counts what the first one left
    assert _kept(tmp_path) == [b"3", b"4"]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_written_is_a_passing_failure(tmp_path: Path) -> None:
    sink = Sink(tmp_path / "sink")
    (tmp_path / "sink").rmdir()
    assert _take(sink, b"lost") == ["452 4.3.1 The sink cannot write: No such file or directory"]


def _take(sink: Sink, *contents: bytes) -> list[str]:
    session = Session(asyncio.new_event_loop())
    answers = []
    for content in contents:
        envelope = Envelope()
        envelope.mail_from, envelope.rcpt_tos, envelope.original_content = "a@b.test", ["c@d.test"], content
        answers.append(asyncio.run(sink.handle_DATA(None, session, envelope)))
    return answers


def _kept(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.eml"))]


def _answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=1):
            return True
    except OSError:
        return False

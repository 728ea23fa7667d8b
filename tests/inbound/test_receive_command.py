"""The receive process: starts, says what is wrong, stops."""

import os
import socket
import subprocess
import sys

import pytest

from apps.inbound.models import ReceivedMessage
from mailplatform.environment import PROJECT_ROOT
from tests.inbound.processes import ReceiveProcess
from tests.inbound.wire import RawClient, send, stuffed
from tests.mail import raw_mail
from tests.people import House

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]


def test_it_takes_mail_and_ends_well_when_told_to(house: House) -> None:
    with ReceiveProcess(SMTP_MAX_SIZE_BYTES="2000") as process:
        assert send(process.port).startswith("250")
        with RawClient(process.port) as client:
            assert "250-SIZE 2000" in client.asks(b"EHLO again")
            client.addresses("support@house.test")
            client.asks(b"DATA")
            client.says(stuffed(raw_mail(message_id="half@customer.example"))[:40])
            # Stalled in the middle: the process does not wait for it longer than its grace.
            assert process.stop() == 0
    assert "receive_stopped" in process.log()
    assert ReceivedMessage.objects.count() == 1


def test_no_port_announces_more_than_it_takes(house: House) -> None:
    with ReceiveProcess(SMTP_MAX_SIZE_BYTES=str(100 * 1024 * 1024)) as process:
        with RawClient(process.port) as world:
            assert "250-SIZE 104857600" in world.asks(b"EHLO again")
        with RawClient(process.submission_port) as program:
            assert "250-SIZE 31457280" in program.asks(b"EHLO again")


def test_a_taken_port_is_one_line_naming_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "manage.py", "receive"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "SMTP_PORT": str(port)},  # noqa: TID251
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.strip() == f"CommandError: SMTP_PORT: 127.0.0.1:{port} is taken"

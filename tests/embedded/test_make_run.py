"""What `make run` ends in, with the product's own processes: accepted mail outlives a kill of everything."""

import json
import os
import shutil
import signal
import smtplib
import stat
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.runs import Run, start_product
from tests.polling import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.stack]

_MAIL = "From: customer@far.test\r\nTo: support@demo.test\r\nSubject: {subject}\r\n\r\nPlease help.\r\n"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mailplatform-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_mail_that_was_accepted_outlives_a_kill_of_everything(data_dir: Path) -> None:
    with start_product(data_dir) as run:
        run.wait_for(r"(?m)^ready: http://127\.0\.0\.1:\d+$")
        demo = _demo(data_dir)
        _send(demo, "before the kill")
        wait_until(lambda: "before the kill" in _subjects(demo), 30)
        _send(demo, "just before the kill")
        _kill_everything(run)
    with start_product(
        data_dir, WEB_PORT=demo["web"].rsplit(":", 1)[1], SMTP_PORT=demo["smtp"].split(":")[1]
    ) as run:
        run.wait_for("ready: ")
        wait_until(lambda: {"before the kill", "just before the kill"} <= set(_subjects(demo)), 60)
        run.send(signal.SIGTERM)
        run.send(signal.SIGTERM)
        assert run.wait(10) == 0
        assert not run.left_alive()


def test_the_demo_file_is_for_its_owner_and_names_everybody(data_dir: Path) -> None:
    with start_product(data_dir) as run:
        run.wait_for("ready: ")
        demo = _demo(data_dir)
        assert stat.S_IMODE((data_dir / "demo.json").stat().st_mode) == 0o600
        roles = [user["role"] for user in demo["users"]]
        assert roles.count("agent") >= 2
        assert "admin" in roles
        assert "support@demo.test" in [mailbox["address"] for mailbox in demo["mailboxes"]]
        assert demo["outsider"]["api_key"] != demo["api_key"]
        # What a pipe leads to is a log: it names the people and none of their secrets.
        assert demo["users"][0]["email"] in run.output
        secrets = [demo["api_key"], *(user["password"] for user in demo["users"])]
        assert not [secret for secret in secrets if secret in run.output]
        assert demo["users"][0]["password"] not in (data_dir / "logs" / "stack.log").read_text()


def _kill_everything(run: Run) -> None:
    for pid in [run.process.pid, *run.left_alive()]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not run.left_alive(), 10)


def _demo(data_dir: Path) -> dict[str, Any]:
    demo: dict[str, Any] = json.loads((data_dir / "demo.json").read_text())
    return demo


def _send(demo: dict[str, Any], subject: str) -> None:
    host, port = demo["smtp"].split(":")
    with smtplib.SMTP(host, int(port)) as client:
        client.sendmail("customer@far.test", ["support@demo.test"], _MAIL.format(subject=subject))


def _subjects(demo: dict[str, Any]) -> list[str]:
    request = urllib.request.Request(  # noqa: S310 - http, our own
        f"{demo['web']}/api/v1/tickets", headers={"Authorization": f"Bearer {demo['api_key']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return [ticket["subject"] for ticket in json.load(answer)["results"]]

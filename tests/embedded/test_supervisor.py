"""The supervisor over fake processes and no servers: quick to start, so every way to end can be tried."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailplatform.environment import PROJECT_ROOT
from tests.embedded.runs import choose_ports, start_run
from tests.polling import wait_until
from tests.servers import Servers

pytestmark = pytest.mark.processes


@pytest.fixture
def outside(servers: Servers) -> dict[str, str]:
    """The tests' own servers as outside ones."""
    access = servers.access
    return {
        "DATABASE_URL": access.postgres.url,
        "REDIS_URL": access.valkey.url,
        "S3_ENDPOINT_URL": access.s3.url,
        "S3_ACCESS_KEY": access.s3.access_key,
        "S3_SECRET_KEY": access.s3.secret_key,
    }


def test_it_says_ready_and_stops_with_status_0(outside: dict[str, str], tmp_path: Path) -> None:
    with start_run(tmp_path, "idle", "web", **outside) as run:
        run.wait_for(r"(?m)^ready: http://127\.0\.0\.1:\d+$")
        run.send(signal.SIGINT)
        assert run.wait() == 0
        assert not run.left_alive()


@pytest.mark.parametrize("variable", ["WEB_PORT", "SMTP_PORT", "SINK_PORT"])
def test_a_taken_port_is_one_line_that_names_it(
    outside: dict[str, str], tmp_path: Path, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with start_run(tmp_path, "idle", "web", **outside, **{variable: str(port)}) as run:
            assert run.wait() == 1
            assert run.errors.count("\n") == 1
            assert variable in run.errors
            assert str(port) in run.errors
            assert "idle" not in run.output


def test_a_second_start_on_the_same_folder_is_refused_in_one_line(
    outside: dict[str, str], tmp_path: Path
) -> None:
    with start_run(tmp_path, "web", **outside) as first:
        first.wait_for("ready:")
        with start_run(tmp_path, "web", **outside) as second:
            assert second.wait() == 1
            assert second.errors.count("\n") == 1
            assert f"process {first.process.pid}" in second.errors
        assert first.process.poll() is None


def test_what_dies_is_restarted(outside: dict[str, str], tmp_path: Path) -> None:
    with start_run(tmp_path, "idle", "web", **outside) as run:
        run.wait_for("ready:")
        first = int(run.wait_for(r"idle (\d+)")[1])
        os.kill(first, signal.SIGKILL)
        run.wait_for("idle was ended by SIGKILL; restarting it in 0.5 s")
        wait_until(lambda: run.output.count(" idle ") >= 3, 10)  # two starts, and the line about its end
        assert f"idle {first}\n" in run.output


def test_everything_ends_in_time_although_one_is_deaf_and_signals_keep_coming(
    outside: dict[str, str], tmp_path: Path
) -> None:
    with start_run(tmp_path, "stubborn", "idle", "web", **outside) as run:
        run.wait_for("deaf")
        run.wait_for("ready:")
        started_at = time.monotonic()
        for _ in range(3):
            run.send(signal.SIGTERM)
        assert run.wait(10) == 0
        assert time.monotonic() - started_at < 10
        assert "stubborn did not drain within 5.5 s and was killed" in run.output
        assert not run.left_alive()


def test_a_supervisor_killed_with_9_takes_its_children_along(outside: dict[str, str], tmp_path: Path) -> None:
    with start_run(tmp_path, "stubborn", "idle", "web", **outside) as run:
        run.wait_for("ready:")
        assert len(run.left_alive()) == 3
        run.send(signal.SIGKILL)
        wait_until(lambda: not run.left_alive(), 5)


def test_a_grandchild_that_outlived_a_killed_run_is_ended_by_the_next(
    outside: dict[str, str], tmp_path: Path
) -> None:
    with start_run(tmp_path, "parent", "web", **outside) as run:
        grandchild = int(run.wait_for(r"grandchild (\d+)")[1])
        run.send(signal.SIGKILL)
        wait_until(lambda: run.left_alive() == [grandchild], 5)
        with start_run(tmp_path, "web", **outside) as following:
            following.wait_for("an earlier run was killed: ended what it left, 1 in number")
            following.wait_for("ready:")
            assert grandchild not in following.left_alive()


def test_a_stop_during_the_start_is_obeyed(outside: dict[str, str], tmp_path: Path) -> None:
    with start_run(tmp_path, "idle", "stubborn", **outside) as run:  # no web: it would never be ready
        run.wait_for("deaf")
        run.send(signal.SIGTERM)
        assert run.wait(10) == 0
        assert "ready:" not in run.output


def test_a_failing_preparation_is_one_line_with_its_last_words(
    outside: dict[str, str], tmp_path: Path
) -> None:
    with start_run(tmp_path, "first:broken", "idle", "web", **outside) as run:
        assert run.wait() == 1
        assert run.errors.startswith("broken ended with status 1: the reason it is broken (more in ")
        assert run.errors.count("\n") == 1
        assert "idle" not in run.output


def test_a_start_that_never_gets_ready_because_a_process_dies_is_given_up(
    outside: dict[str, str], tmp_path: Path
) -> None:
    with start_run(tmp_path, "broken", "idle", **outside) as run:
        assert run.wait(20) == 1
        assert run.errors.startswith("broken ended 3 times before it was ready: the reason it is broken")
        assert run.errors.count("\n") == 1
        assert not run.left_alive()


def test_stop_ends_a_run_and_says_when_there_is_none(outside: dict[str, str], tmp_path: Path) -> None:
    with start_run(tmp_path, "idle", "web", **outside) as run:
        run.wait_for("ready:")
        assert _embedded(tmp_path, "stop").stdout == "stopped\n"
        assert run.wait() == 0
    assert _embedded(tmp_path, "stop").stdout == f"nothing runs on {tmp_path}\n"


def test_a_wrong_setting_is_one_line_that_names_it_and_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    done = _embedded(folder, SMTP_PORT="many")
    assert done.returncode == 1
    assert done.stderr == (
        "mailplatform: SMTP_PORT: must be a valid integer, unable to parse string as an integer\n"
    )
    assert not folder.exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://mail:hush@127.0.0.1:9/mail"),
        ("REDIS_URL", "redis://:hush@127.0.0.1:9/0"),
        ("S3_ENDPOINT_URL", "http://127.0.0.1:9"),
    ],
)
def test_an_outside_server_that_is_away_is_one_line_that_names_it(
    outside: dict[str, str], tmp_path: Path, variable: str, value: str
) -> None:
    with start_run(tmp_path, "idle", "web", **{**outside, variable: value}) as run:
        assert run.wait() == 1
        assert run.errors.startswith(f"{variable}: ")
        assert run.errors.count("\n") == 1
        assert "hush" not in run.errors
        assert "idle" not in run.output


def test_a_data_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _embedded(tmp_path / "file" / "data")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "MAILPLATFORM_DATA_DIR" in done.stderr


def test_a_log_line_of_the_product_is_shown_readably(tmp_path: Path) -> None:
    from mailplatform.embedded.log import Log

    log = Log(tmp_path, screen=False)
    log.record("web", '{"event": "refused", "level": "warning", "port": 25}', on_screen=False)
    assert log.last_words("web").startswith("WARNING refused port=25 (more in ")
    assert (tmp_path / "web.log").read_text() == '{"event": "refused", "level": "warning", "port": 25}\n'
    log.close()


def _embedded(data_dir: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    ports = dict(zip(("WEB_PORT", "SMTP_PORT", "SINK_PORT"), map(str, choose_ports(3)), strict=True))
    return subprocess.run(
        [sys.executable, "-m", "mailplatform.embedded", *words],
        cwd=PROJECT_ROOT,
        env={**os.environ, **ports, **variables, "MAILPLATFORM_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

"""The supervisor with its real servers, over fake processes: what a kill of everything leaves, and what it
does not.
"""

import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from mailplatform.embedded.access import EmbeddedAccess
from tests.embedded.objects import s3_client
from tests.embedded.runs import start_run
from tests.polling import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.stack]


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Where an unprivileged user can walk to, which pytest's own folders are not; removed with all its data."""
    folder = Path(tempfile.mkdtemp(prefix="mailplatform-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_kill_9_of_everything_keeps_rows_and_objects_even_when_the_ports_are_gone(data_dir: Path) -> None:
    with start_run(data_dir, "idle", "web") as run:
        run.wait_for("ready:")
        _keep_a_row_and_an_object(data_dir)
        for pid in [run.process.pid, *run.left_alive()]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not run.left_alive(), 5)
    before = _access(data_dir)
    with _occupied(_ports(before)), start_run(data_dir, "idle", "web") as run:
        run.wait_for("ready:")
        assert not set(_ports(before)) & set(_ports(_access(data_dir)))
        _expect_the_row_and_the_object(data_dir)
        run.send(signal.SIGTERM)
        assert run.wait(10) == 0


def test_a_supervisor_killed_with_9_takes_the_servers_along(data_dir: Path) -> None:
    with start_run(data_dir, "web") as run:
        run.wait_for("ready:")
        assert len(run.left_alive()) >= 4
        assert (data_dir / "embedded.json").stat().st_mode & 0o777 == stat.S_IRUSR | stat.S_IWUSR
        run.send(signal.SIGKILL)
        wait_until(lambda: not run.left_alive(), 10)


def test_a_server_that_dies_is_restarted_on_its_port(data_dir: Path) -> None:
    with start_run(data_dir, "web") as run:
        run.wait_for("ready:")
        url = _access(data_dir).valkey.port
        for pid in run.left_alive():
            if Path(f"/proc/{pid}/comm").read_text().startswith("valkey"):
                os.kill(pid, signal.SIGKILL)
        run.wait_for("Valkey was ended by SIGKILL; restarting it")
        wait_until(lambda: _answers(url), 10)
        run.send(signal.SIGTERM)
        run.send(signal.SIGTERM)
        assert run.wait(10) == 0
        assert not run.left_alive()


def test_passwords_that_do_not_fit_the_data_are_one_clear_line(data_dir: Path) -> None:
    with start_run(data_dir, "web") as run:
        run.wait_for("ready:")
        run.send(signal.SIGTERM)
        assert run.wait(10) == 0
    (data_dir / "embedded.json").unlink()
    with start_run(data_dir, "web") as run:
        assert run.wait() == 1
        assert run.errors.startswith("PostgreSQL refuses embedded.json's password")
        assert run.errors.count("\n") == 1
        assert not run.left_alive()


def _keep_a_row_and_an_object(data_dir: Path) -> None:
    access = _access(data_dir)
    with psycopg.connect(access.postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
    s3_client(access.s3).put_object(Bucket="mail", Key="kept", Body=b"here")


def _expect_the_row_and_the_object(data_dir: Path) -> None:
    access = _access(data_dir)
    with psycopg.connect(access.postgres.url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchone() == ("here",)
    assert s3_client(access.s3).get_object(Bucket="mail", Key="kept")["Body"].read() == b"here"
    # A new object too: the store finds its volumes again on other ports.
    s3_client(access.s3).put_object(Bucket="mail", Key="another", Body=b"here")


def _access(data_dir: Path) -> EmbeddedAccess:
    access = EmbeddedAccess.read(data_dir)
    assert access
    return access


def _ports(access: EmbeddedAccess) -> list[int]:
    s3 = access.s3
    return [access.postgres.port, access.valkey.port, s3.port, s3.master_port, s3.volume_port, s3.filer_port]


@contextmanager
def _occupied(ports: list[int]) -> Iterator[None]:
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

import asyncio
import base64
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from apps.mime import bounded, processes
from apps.mime.bounded import BoundedParser, default_parser
from apps.mime.message import MessageKind
from apps.mime.parse import parse
from tests.mime.mails import mail, multipart

_MAIL = mail(b"the words", Subject="Hello", From="a@x.org")


@pytest.fixture
def parser() -> Iterator[BoundedParser]:
    made = BoundedParser()
    yield made
    made.close()


def _worker(parser: BoundedParser) -> subprocess.Popen[bytes]:
    return parser._idle[-1].process


def _until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_a_worker_reads_what_the_parser_reads(parser: BoundedParser) -> None:
    raw = multipart("mixed", b"\r\nthe text", b"Content-Type: application/x\r\n\r\n" + b"\xff" * 300_000)
    assert parser.parse(raw) == parse(raw)
    assert parser.sanitise("<p onclick=x>hi</p>") == "<p>hi</p>"


def test_a_worker_serves_many_messages(parser: BoundedParser) -> None:
    parser.parse(_MAIL)
    first = _worker(parser).pid
    parser.parse(_MAIL)
    assert _worker(parser).pid == first


def test_a_hanging_worker_is_killed_and_replaced(parser: BoundedParser) -> None:
    parser.parse(_MAIL)
    hanging = _worker(parser)
    os.kill(hanging.pid, signal.SIGSTOP)
    started = time.monotonic()
    message = parser.parse(_MAIL, timeout_seconds=0.3)
    assert time.monotonic() - started < 3
    assert message.defects == ("parsing took too long", "read as plain text")
    assert (message.subject, message.text) == ("Hello", "the words")
    assert message.parts[0].data == _MAIL
    assert hanging.returncode == -signal.SIGKILL
    assert parser.parse(_MAIL).defects == ()


def test_a_worker_killed_by_something_else_costs_no_message(parser: BoundedParser) -> None:
    parser.parse(_MAIL)
    os.kill(_worker(parser).pid, signal.SIGKILL)
    assert parser.parse(_MAIL).defects == ()


def test_a_message_that_needs_too_much_memory_is_read_as_text() -> None:
    parser = BoundedParser(memory_bytes=150 * 1024 * 1024)
    try:
        raw = mail(
            b"QUFB" * 20_000_000,
            Subject="Big",
            Content_Type="application/x",
            Content_Transfer_Encoding="base64",
        )
        message = parser.parse(raw)
        assert message.defects == ("parsing failed", "read as plain text")
        assert message.subject == "Big"
        assert parser.parse(_MAIL).defects == ()
    finally:
        parser.close()


def test_an_answer_with_anything_else_than_a_message_is_refused() -> None:
    class _Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return os.system, ("true",)

    with pytest.raises(pickle.UnpicklingError, match="no part of an answer"):
        bounded._AnswerUnpickler(io.BytesIO(pickle.dumps((True, _Evil())))).load()


def test_a_worker_is_recycled(parser: BoundedParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REQUESTS_PER_WORKER", 2)
    parser.parse(_MAIL)
    first = _worker(parser)
    parser.parse(_MAIL)
    assert first.returncode is not None
    assert parser.parse(_MAIL).defects == ()


def test_many_threads_share_a_few_workers(parser: BoundedParser) -> None:
    results: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: results.append(parser.parse(_MAIL).defects)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [()] * 8
    assert len(parser._idle) <= bounded.DEFAULT_WORKERS


def test_a_worker_outlives_the_thread_that_first_needed_it(parser: BoundedParser) -> None:
    thread = threading.Thread(target=parser.parse, args=(_MAIL,))
    thread.start()
    thread.join()
    first = _worker(parser)
    assert parser.parse(_MAIL).defects == ()
    assert _worker(parser) is first
    assert first.poll() is None


async def test_it_works_from_an_event_loop_s_executor() -> None:
    assert (await asyncio.to_thread(default_parser().parse, _MAIL)).subject == "Hello"


def test_a_worker_gets_no_environment_and_no_django(
    parser: BoundedParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    parser.parse(_MAIL)
    process = psutil.Process(_worker(parser).pid)
    assert "DATABASE_URL" not in process.environ()
    assert not [each for each in process.memory_maps() if "psycopg" in each.path]
    assert process.memory_info().rss < 80 * 1024 * 1024


def test_workers_die_with_their_parent_even_when_it_is_killed() -> None:
    root = Path(__file__).parents[2]
    code = (
        "from apps.mime.bounded import default_parser as p; import time\n"
        "p().parse(b'x'); print(p()._idle[0].process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        assert worker.is_running()
        parent.kill()
    assert _until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_a_closed_parser_leaves_no_process() -> None:
    parser = BoundedParser()
    parser.parse(_MAIL)
    process = _worker(parser)
    parser.close()
    assert process.returncode is not None
    with pytest.raises(RuntimeError):
        parser.parse(_MAIL)


def test_a_small_message_costs_little(parser: BoundedParser) -> None:
    raw = mail(b"A line of sixty characters or so, as people write them today\r\n" * 65, Subject="4 KB")
    parser.parse(raw)
    worker = psutil.Process(_worker(parser).pid)

    def cpu_seconds() -> float:
        times = worker.cpu_times()
        return time.process_time() + times.user + times.system

    before = cpu_seconds()
    for _ in range(200):
        parser.parse(raw)
    assert (cpu_seconds() - before) / 200 < 0.005


def test_a_large_mail_costs_memory_in_proportion_and_leaves_none_behind(parser: BoundedParser) -> None:
    parser.parse(_MAIL)
    process = psutil.Process(_worker(parser).pid)
    before = process.memory_info().rss
    file = mail(
        base64.encodebytes(bytes(range(256)) * 60_000),
        Content_Type="application/pdf",
        Content_Transfer_Encoding="base64",
    )
    raw = multipart("mixed", mail(b"Hi"), file)
    parsed = parser.parse(raw)
    assert parsed.parts[0].data == bytes(range(256)) * 60_000
    assert type(parsed.parts[0].data) is bytes
    if sys.platform == "linux":
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
        assert peak - before < 4 * len(raw)
    parser.parse(_MAIL)
    assert process.memory_info().rss - before < 1.5 * len(raw)


def test_a_small_mail_does_not_wait_for_a_large_one(parser: BoundedParser) -> None:
    large = mail(b"word " * 5_000_000, Subject="large")
    thread = threading.Thread(target=parser.parse, args=(large,))
    parser.parse(_MAIL)
    thread.start()
    started = time.perf_counter()
    assert parser.parse(_MAIL).defects == ()
    small = time.perf_counter() - started
    thread.join()
    assert small < time.perf_counter() - started


def test_a_kind_is_pickled_by_its_value_on_every_python() -> None:
    """Before 3.11.4 an enum's member was pickled as a getattr, and every answer of a worker was refused."""
    pickled = pickle.dumps(MessageKind.BOUNCE)
    assert b"getattr" not in pickled
    assert MessageKind.BOUNCE.__reduce_ex__(pickle.HIGHEST_PROTOCOL) == (MessageKind, ("bounce",))

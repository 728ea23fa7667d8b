"""The built-in scanner: sentences, the organisation's policy, and a process that dies or hangs."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from apps.screening.builtin import BuiltinScanner, default_builtin
from apps.screening.findings import Outcome
from apps.screening.verdict import Direction, Envelope, Policy, Verdict
from tests.mail import raw_mail
from tests.screening.files import EICAR, PDF, PE, locked, mail_with, zipped

DEFAULT = Policy()


@pytest.fixture
def scanner() -> Iterator[BuiltinScanner]:
    scanner = BuiltinScanner(workers=1)
    yield scanner
    scanner.close()


def look(
    scanner: BuiltinScanner, raw: bytes, *, policy: Policy = DEFAULT, timeout_seconds: float = 60
) -> Verdict:
    return scanner.scan(raw, Direction.OUT, Envelope(), policy, timeout_seconds=timeout_seconds)


def worker_of(scanner: BuiltinScanner) -> int:
    return scanner._processes._idle[-1].process.pid


def test_the_sender_reads_which_file_and_what_to_do() -> None:
    verdict = look(default_builtin(), mail_with(("kit.zip", zipped({"tools/setup.exe": PE}))))
    assert (verdict.outcome, verdict.code, verdict.scanner) == (Outcome.FORBIDDEN, "program", "builtin")
    assert verdict.reason == (
        "“tools/setup.exe” in “kit.zip” is a program, and programs are not sent by mail. Share it with a link instead."
    )


def test_a_virus_counts_more_than_a_forbidden_file() -> None:
    verdict = look(default_builtin(), mail_with(("setup.exe", PE), ("notes.txt", EICAR)))
    assert (verdict.outcome, verdict.reason) == (
        Outcome.INFECTED,
        "“notes.txt” contains the EICAR test virus.",
    )


def test_whether_a_locked_archive_may_be_sent_is_the_organisations_decision() -> None:
    raw = mail_with(("payroll.zip", locked(zipped({"payroll.csv": b"1,2"}))))
    passed = look(default_builtin(), raw)
    assert passed.is_clean
    assert passed.details == ("archive_encrypted",)  # nobody looked inside, and that is kept
    verdict = look(default_builtin(), raw, policy=Policy(rejects_closed_archives=True))
    assert (verdict.outcome, verdict.code) == (Outcome.FORBIDDEN, "archive_encrypted")


def test_a_name_cannot_write_into_the_sentence() -> None:
    verdict = look(default_builtin(), mail_with(("a\u202e%(code)s\r\nBcc: x.exe", PE)))
    assert "\u202e" not in verdict.reason
    assert "\n" not in verdict.reason


def test_a_worker_found_dead_is_replaced(scanner: BuiltinScanner) -> None:
    raw = mail_with(("report.pdf", PDF))
    assert look(scanner, raw).is_clean
    pid = worker_of(scanner)
    os.kill(pid, signal.SIGKILL)
    assert look(scanner, raw).is_clean
    assert worker_of(scanner) != pid


def test_a_worker_that_hangs_is_killed_and_the_mail_is_not_taken_for_clean(scanner: BuiltinScanner) -> None:
    raw = mail_with(("report.pdf", PDF))
    look(scanner, raw)
    os.kill(worker_of(scanner), signal.SIGSTOP)
    verdict = look(scanner, raw, timeout_seconds=0.3)
    assert (verdict.outcome, verdict.code) == (Outcome.UNSCANNABLE, "scan_timed_out")
    assert look(scanner, raw).is_clean  # by another one


def test_a_worker_without_memory_does_not_call_anything_clean() -> None:
    scanner = BuiltinScanner(workers=1, memory_bytes=400 * 1024 * 1024)
    try:
        files = {f"{n}.bin": os.urandom(1000) * 100_000 for n in range(2)}  # 100 MB each, 300 KB packed
        verdict = look(scanner, mail_with(("big.zip", zipped(files))))
        assert verdict.outcome in {Outcome.UNSCANNABLE, Outcome.FORBIDDEN}
    finally:
        scanner.close()


def test_many_threads_share_the_scanner(scanner: BuiltinScanner) -> None:
    verdicts: list[Verdict] = []
    raws = [
        mail_with(("report.pdf", PDF)),
        raw_mail(),
        mail_with(("setup.exe", PE)),
        raw_mail(text=EICAR.decode()),
    ]

    def work() -> None:
        verdicts.extend(look(scanner, raw) for raw in raws * 5)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sum(one.outcome == outcome for one in verdicts) for outcome in Outcome] == [80, 40, 0, 40, 0]


def test_plain_mail_costs_less_than_a_millisecond() -> None:
    raw = raw_mail(text="A line of ordinary text, as people write it.\r\n" * 90)
    assert 4000 < len(raw) < 5000
    look(default_builtin(), raw)
    took = []
    for _ in range(50):
        started = time.thread_time()
        look(default_builtin(), raw)
        took.append(time.thread_time() - started)
    assert sorted(took)[25] < 0.001


def test_the_version_changes_with_the_rules() -> None:
    assert default_builtin().version().startswith("builtin ")

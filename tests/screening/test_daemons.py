"""ClamAV's protocol and rspamd's, and what becomes of a mail when they are away, slow, full or talk nonsense."""

import json
import socket
import threading
import time

import pytest

from apps.screening.breaker import Breaker
from apps.screening.clamd import ClamdAddress, ClamdScanner
from apps.screening.errors import ScannerUnavailable
from apps.screening.findings import Outcome
from apps.screening.rspamd import RspamdScanner
from apps.screening.screen import scanners, screen, screen_received, version_of_scanners
from apps.screening.verdict import Direction, Envelope, Policy, Verdict
from tests.mail import raw_mail
from tests.screening.daemons import STALL, FakeClamd, FakeRspamd
from tests.screening.files import EICAR

RAW = raw_mail()
ENVELOPE = Envelope("alice@house.test", ("elena@x.example", "ömer@x.example"))


def ask(scanner: ClamdScanner | RspamdScanner, raw: bytes = RAW, *, seconds: float = 30) -> Verdict:
    return scanner.scan(raw, Direction.OUT, ENVELOPE, Policy(), timeout_seconds=seconds)


def trouble(scanner: ClamdScanner | RspamdScanner, raw: bytes = RAW, *, seconds: float = 30) -> str:
    with pytest.raises(ScannerUnavailable) as caught:
        ask(scanner, raw, seconds=seconds)
    return caught.value.public


def nobody() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


# clamd


def test_clamd_gets_the_very_bytes_and_says_ok(clamd: FakeClamd) -> None:
    large = raw_mail(text="x" * 3_000_000)
    assert ask(ClamdScanner(clamd.url), large).is_clean
    assert clamd.mails == [large]


def test_what_clamd_finds_is_named(clamd: FakeClamd) -> None:
    clamd.answer = "stream: Eicar-Test-Signature.UNOFFICIAL FOUND"
    verdict = ask(ClamdScanner(clamd.url))
    assert (verdict.outcome, verdict.code) == (Outcome.INFECTED, "virus")
    assert verdict.reason == "A virus was found (ClamAV: Eicar-Test-Signature.UNOFFICIAL)."


def test_a_file_clamd_was_told_to_stop_is_no_virus(clamd: FakeClamd) -> None:
    clamd.answer = "stream: Heuristics.Encrypted.Zip FOUND"
    assert ask(ClamdScanner(clamd.url)).outcome == Outcome.FORBIDDEN


def test_a_mail_larger_than_clamd_takes_waits_with_clamds_own_words() -> None:
    clamd = FakeClamd(accepts_bytes=1_000_000)
    try:
        said = trouble(ClamdScanner(clamd.url), raw_mail(text="x" * 20_000_000))
    finally:
        clamd.close()
    assert "INSTREAM size limit exceeded" in said


@pytest.mark.parametrize("answer", ["stream: lstat() failed: No such file. ERROR", "", "\r\nstrange"])
def test_what_is_no_verdict_is_not_taken_for_clean(clamd: FakeClamd, answer: str) -> None:
    clamd.answer = answer
    assert "gave no verdict" in trouble(ClamdScanner(clamd.url))


def test_a_clamd_that_is_away_or_silent_is_told_apart(clamd: FakeClamd) -> None:
    assert (
        trouble(ClamdScanner(f"tcp://127.0.0.1:{nobody()}")) == "The virus scanner (ClamAV) cannot be reached"
    )
    assert (
        trouble(ClamdScanner("unix:///nowhere/clamd.ctl")) == "The virus scanner (ClamAV) cannot be reached"
    )
    clamd.answer = STALL
    assert (
        trouble(ClamdScanner(clamd.url), seconds=0.3) == "The virus scanner (ClamAV) did not answer in time"
    )


def test_a_silent_clamd_is_waited_for_once_and_then_asked_for_a_sign_of_life(clamd: FakeClamd) -> None:
    scanner = ClamdScanner(clamd.url)
    clamd.answer = STALL
    trouble(scanner, seconds=0.3)
    for _ in range(20):
        trouble(scanner, seconds=60)  # would take twenty minutes, if each waited
    assert clamd.calls == ["INSTREAM"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:3310", "unix://clamd.ctl", "tcp://", "clamd"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="unix:///path or tcp://host:port"):
        ClamdAddress.of(url)


# rspamd


def test_rspamd_is_told_who_sends_to_whom(rspamd: FakeRspamd) -> None:
    scanner = RspamdScanner(rspamd.url, "q1")
    assert ask(scanner).is_clean
    (headers, body) = rspamd.requests[0]
    told = [(name.lower(), value) for name, value in headers]
    assert body == RAW
    assert ("from", "alice@house.test") in told
    assert [value for name, value in told if name == "rcpt"] == ["elena@x.example", "\\xf6mer@x.example"]
    assert ("user", "alice@house.test") in told
    assert ("password", "q1") in told


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("reject", Outcome.SPAM),
        ("add header", Outcome.CLEAN),
        ("rewrite subject", Outcome.CLEAN),
        ("soft reject", Outcome.CLEAN),
        ("greylist", Outcome.CLEAN),
        ("no action", Outcome.CLEAN),
    ],
)
def test_of_rspamds_advice_only_reject_stops_a_mail_of_ours(
    rspamd: FakeRspamd, action: str, outcome: Outcome
) -> None:
    symbols = {"GTUBE": {"score": 15}, "X": {"score": -0.2}}
    rspamd.body = json.dumps({"action": action, "score": 15.25, "symbols": symbols})
    verdict = ask(RspamdScanner(rspamd.url))
    assert verdict.outcome == outcome
    assert verdict.details == (f"{action}, score 15.2", "GTUBE +15.0", "X -0.2")


@pytest.mark.parametrize(
    ("status", "body"), [(200, "nonsense"), (200, "[]"), (200, '{"error": "x"}'), (403, "{}"), (500, "")]
)
def test_an_answer_without_an_action_is_no_verdict(rspamd: FakeRspamd, status: int, body: str) -> None:
    rspamd.status, rspamd.body = status, body
    assert "rspamd" in trouble(RspamdScanner(rspamd.url))


def test_an_rspamd_that_is_away_says_so() -> None:
    assert (
        trouble(RspamdScanner(f"http://127.0.0.1:{nobody()}")) == "The spam filter (rspamd) cannot be reached"
    )


# together


def verdict_on(raw: bytes = RAW, *, seconds: float = 60) -> Verdict:
    return screen(raw, direction=Direction.OUT, envelope=ENVELOPE, policy=Policy(), timeout_seconds=seconds)


def test_all_scanners_look_and_their_versions_are_kept(clamd: FakeClamd, rspamd: FakeRspamd) -> None:
    verdict = verdict_on()
    assert verdict.is_clean
    assert "ClamAV 1.4.3/27500; rspamd/3.9; sends closed archives" in verdict.version
    assert (len(clamd.mails), len(rspamd.requests)) == (1, 1)


def test_whoever_finds_something_ends_it(clamd: FakeClamd, rspamd: FakeRspamd) -> None:
    assert verdict_on(raw_mail(text=EICAR.decode())).scanner == "builtin"
    assert (clamd.mails, rspamd.requests) == ([], [])


def test_one_scanner_that_is_away_keeps_the_verdict_open(clamd: FakeClamd, rspamd: FakeRspamd) -> None:
    clamd.close()
    verdict = verdict_on()
    assert (verdict.outcome, verdict.scanner, verdict.code) == (
        Outcome.UNSCANNABLE,
        "clamav",
        "scanner_unavailable",
    )
    assert rspamd.requests == []


def test_a_scanner_that_hangs_takes_no_time_from_the_next(clamd: FakeClamd, rspamd: FakeRspamd) -> None:
    """With what is left of the time, which is nothing, rspamd would be taken for dead as well, and left to rest."""
    clamd.answer = STALL
    rspamd.seconds = 0.2
    against = screen_received(RAW, envelope=ENVELOPE, policy=Policy(), timeout_seconds=1.5)
    assert [verdict.scanner for verdict in against.values()] == ["clamav"]
    assert len(rspamd.requests) == 1
    assert scanners()[-1].version() == "rspamd/3.9"


def test_a_new_signature_database_is_another_version(
    clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = version_of_scanners(Policy())
    clamd.version = "ClamAV 1.4.3/27501"
    assert version_of_scanners(Policy()) == before  # asked once a minute
    later = time.monotonic() + 61
    monkeypatch.setattr("apps.screening.clamd.time.monotonic", lambda: later)
    assert version_of_scanners(Policy()) != before


def test_with_no_daemon_the_built_in_scanner_is_the_whole_of_it() -> None:
    assert verdict_on().is_clean


# the breaker


class _Daemon:
    """Alive or not, and how often it was asked."""

    def __init__(self) -> None:
        self.is_up = True
        self.asked = 0
        self.pinged = 0
        self.now = 0.0
        self.breaker = Breaker("d", is_alive=self.ping, clock=lambda: self.now)

    def ping(self) -> None:
        self.pinged += 1
        self._fall()

    def work(self) -> str:
        self.asked += 1
        self._fall()
        return "done"

    def _fall(self) -> None:
        if not self.is_up:
            raise ScannerUnavailable("d", "away")

    def call(self) -> str:
        try:
            return self.breaker.call(self.work)
        except ScannerUnavailable as error:
            return error.public


def test_a_daemon_that_fell_is_left_alone_and_then_asked_quickly_first() -> None:
    daemon = _Daemon()
    daemon.is_up = False
    assert [daemon.call() for _ in range(5)] == ["away"] * 5
    assert (daemon.asked, daemon.pinged) == (1, 0)
    daemon.now = 1.1
    assert daemon.call() == "away"
    assert (daemon.asked, daemon.pinged) == (1, 1)
    daemon.now = 2.2  # the second rest is twice as long
    assert daemon.call() == "away"
    assert daemon.pinged == 1
    daemon.is_up, daemon.now = True, 3.2
    assert [daemon.call(), daemon.call()] == ["done", "done"]
    assert (daemon.asked, daemon.pinged) == (3, 2)


def test_one_caller_probes_while_the_others_are_turned_away() -> None:
    daemon = _Daemon()
    daemon.is_up = False
    daemon.call()
    daemon.is_up, daemon.now = True, 2
    entered, leave = threading.Event(), threading.Event()

    def slow_ping() -> None:
        daemon.pinged += 1
        entered.set()
        leave.wait(30)

    daemon.breaker._is_alive = slow_ping
    prober = threading.Thread(target=daemon.call)
    prober.start()
    entered.wait(30)
    assert daemon.call() == "away"
    leave.set()
    prober.join()
    assert (daemon.call(), daemon.pinged) == ("done", 1)

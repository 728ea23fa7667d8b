"""The real clamd and rspamd: what they find in our mails, and what becomes of mail while they are gone or hang."""

from collections.abc import Iterator

import pytest
from django.utils import timezone
from pytest_django import Settings

from apps.outbound.causes import Cause
from apps.outbound.models import Delivery, DeliveryState, OutgoingScreening
from apps.screening.clamd import ClamdScanner
from apps.screening.errors import ScannerUnavailable
from apps.screening.findings import Outcome
from apps.screening.rspamd import RspamdScanner
from apps.screening.screen import _daemons
from apps.screening.verdict import Direction, Envelope, Policy, Verdict
from tests.mail import raw_mail
from tests.outbound.sending import drain, make_due, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer
from tests.screening.files import EICAR, GTUBE, mail_with, zipped
from tests.screening.real import RealDaemon, real_clamd, real_rspamd

pytestmark = pytest.mark.slow

CLEAN = raw_mail()


@pytest.fixture(scope="module")
def clamd_process() -> Iterator[RealDaemon]:
    with real_clamd() as daemon:
        yield daemon


@pytest.fixture(scope="module")
def rspamd_process() -> Iterator[RealDaemon]:
    with real_rspamd() as daemon:
        yield daemon


@pytest.fixture
def clamd(clamd_process: RealDaemon, settings: Settings) -> RealDaemon:
    settings.CLAMD_URL = clamd_process.url
    _daemons.cache_clear()  # its breaker remembers what the test before did to the daemon
    return clamd_process


@pytest.fixture
def rspamd(rspamd_process: RealDaemon, settings: Settings) -> RealDaemon:
    settings.RSPAMD_URL = rspamd_process.url
    _daemons.cache_clear()
    return rspamd_process


def ask(daemon: RealDaemon, raw: bytes, *, seconds: float = 60) -> Verdict:
    scanner = RspamdScanner(daemon.url) if daemon.url.startswith("http") else ClamdScanner(daemon.url)
    try:
        envelope = Envelope("alice@house.test", ("elena@x.example",))
        return scanner.scan(raw, Direction.OUT, envelope, Policy(), timeout_seconds=seconds)
    finally:
        scanner.close()


def over_with_waiting() -> None:
    OutgoingScreening.objects.filter(outcome="unscannable").update(try_again_at=timezone.now())
    make_due()


# clamd


@pytest.mark.parametrize(
    "raw",
    [
        raw_mail(text=EICAR.decode() + "\r\n"),
        mail_with(("notes.txt", EICAR)),
        mail_with(("notes.zip", zipped({"inner/notes.txt": EICAR}))),
        mail_with(("outer.zip", zipped({"inner.zip": zipped({"notes.txt": EICAR})}))),
    ],
    ids=["bare", "base64", "zip", "zip in zip"],
)
def test_clamd_finds_eicar(clamd: RealDaemon, raw: bytes) -> None:
    verdict = ask(clamd, raw)
    assert (verdict.outcome, verdict.details) == (Outcome.INFECTED, ("Eicar-Test-Signature.UNOFFICIAL",))


def test_clamd_lets_clean_mail_pass_and_tells_its_version(clamd: RealDaemon) -> None:
    assert ask(clamd, CLEAN).is_clean
    assert ask(clamd, raw_mail(text="A line of text.\r\n" * 60_000)).is_clean
    assert ClamdScanner(clamd.url).version().startswith("ClamAV ")


def test_clamd_says_why_it_takes_no_larger_mail(clamd: RealDaemon) -> None:
    with pytest.raises(ScannerUnavailable, match="INSTREAM size limit exceeded"):
        ask(clamd, raw_mail(text="A line of text.\r\n" * 600_000))


# rspamd


def test_rspamd_calls_gtube_spam(rspamd: RealDaemon) -> None:
    verdict = ask(rspamd, raw_mail(text=GTUBE.decode() + "\r\n"))
    assert (verdict.outcome, verdict.code) == (Outcome.SPAM, "spam")
    assert verdict.details[0].startswith("reject, score")


def test_rspamd_lets_an_ordinary_mail_pass_and_tells_its_version(rspamd: RealDaemon) -> None:
    verdict = ask(rspamd, CLEAN)
    assert verdict.is_clean
    assert verdict.details
    assert RspamdScanner(rspamd.url).version().startswith("rspamd/")


# on the road


def test_what_the_daemons_find_is_rejected(
    house: House, relay: RemoteServer, clamd: RealDaemon, rspamd: RealDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our own rules know both test patterns; here the daemons are to find them.
    monkeypatch.setattr(
        "apps.screening.builtin.BuiltinScanner.scan",
        lambda *_args, **_more: Verdict(Outcome.CLEAN, "builtin"),
    )
    infected = send(house.as_key, "elena@x.example", text=EICAR.decode())
    spam = send(house.as_key, "elena@x.example", text=GTUBE.decode())
    clean = send(house.as_key, "elena@x.example")
    drain()
    assert only_delivery(infected).cause == Cause.INFECTED
    assert "Eicar-Test-Signature" in only_delivery(infected).reason
    assert only_delivery(spam).cause == Cause.SPAM
    assert only_delivery(clean).state == DeliveryState.SENT
    assert len(relay.messages) == 1


@pytest.mark.parametrize("which", ["clamd", "rspamd"])
def test_a_daemon_that_stops_defers_mail_and_lets_it_go_when_it_is_back(
    house: House, relay: RemoteServer, request: pytest.FixtureRequest, which: str
) -> None:
    daemon: RealDaemon = request.getfixturevalue(which)
    before = send(house.as_key, "elena@x.example")
    drain()
    assert only_delivery(before).state == DeliveryState.SENT
    daemon.stop()
    try:
        meanwhile = send(house.as_key, "elena@x.example", "jan@x.example")
        drain()
        states = set(Delivery.objects.filter(message=meanwhile.message).values_list("state", "cause"))
        assert states == {("deferred", "scanner_unavailable")}
        assert len(relay.messages) == 1
    finally:
        daemon.start()
    _daemons.cache_clear()  # no waiting for the breaker's rest
    over_with_waiting()
    drain()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}
    assert len(relay.messages) == 3


@pytest.mark.parametrize("which", ["clamd", "rspamd"])
def test_a_daemon_that_hangs_defers_mail(
    house: House,
    relay: RemoteServer,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    daemon: RealDaemon = request.getfixturevalue(which)
    monkeypatch.setattr("apps.screening.screen.SCAN_SECONDS", 1.0)
    daemon.pause()
    try:
        for n in range(10):
            send(house.as_key, f"c{n}@x.example")
        drain()
        assert set(Delivery.objects.values_list("state", "cause")) == {("deferred", "scanner_unavailable")}
        assert relay.messages == []
    finally:
        daemon.wake()
    _daemons.cache_clear()
    over_with_waiting()
    drain()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}

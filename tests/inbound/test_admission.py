"""What is filed at once and what is held: viruses, dangerous files, spam, forged senders, and scanners away."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from apps.inbound import admission, ingest
from apps.inbound.admission import PATIENCE, judge_again
from apps.inbound.ingest import ingest_due
from apps.inbound.models import ReceivedMessage, ReceivedState
from apps.mailboxes.models import Message
from apps.organisations.models import Organisation
from apps.screening.builtin import BuiltinScanner
from apps.screening.findings import Finding, Outcome
from apps.screening.screen import screen_received
from apps.tickets.models import DmarcWish, HeldMessage, HeldState, HoldCause, ReceivingPolicy, Ticket
from apps.tickets.trust import proves_sender, trust_sender
from tests.inbound.arriving import PROVEN, FoundOut, fails_dmarc, judged, receive, take
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until
from tests.screening.conftest import clamd, rspamd
from tests.screening.daemons import STALL, FakeClamd, FakeRspamd
from tests.screening.files import EICAR, GTUBE, PE, locked, mail_with, zipped

__all__ = ["clamd", "rspamd"]
pytestmark = pytest.mark.django_db(transaction=True)

SPAMMED = '{"action": "reject", "score": 17.2, "symbols": {"BAYES_SPAM": {"score": 5.1}}}'


def wish(organisation: Organisation, **wishes: str) -> None:
    ReceivingPolicy.objects.update_or_create(organisation=organisation, defaults=wishes)


def test_a_virus_is_held_with_its_cause_and_no_ticket_opens(house: House) -> None:
    row = take(house, mail_with(("bill.txt", EICAR)), "support@house.test", "alice@house.test")
    assert row.state == ReceivedState.HELD
    assert not Message.objects.exists()
    assert not Ticket.objects.exists()
    held = HeldMessage.objects.get()
    assert row.held_id == held.pk
    assert (held.cause, held.state, held.subject) == (HoldCause.INFECTED, HeldState.WAITING, "A file")
    assert "“bill.txt” contains the EICAR test virus." in held.reason
    assert set(held.mailboxes.all()) == {house.support, house.alices}
    assert held.files == [
        {"filename": "bill.txt", "content_type": "application/octet-stream", "size_bytes": len(EICAR)}
    ]
    assert "please find it attached" in held.preview
    assert (held.raw_id, held.received_at, held.envelope_sender) == (
        row.raw_id,
        row.received_at,
        row.envelope_sender,
    )


def test_a_program_is_told_to_who_received_it_and_not_to_who_sent_it(house: House) -> None:
    hold = judged(house, mail_with(("kit.zip", zipped({"setup.exe": PE}))))
    assert hold is not None
    assert hold.cause == HoldCause.FORBIDDEN_FILE
    assert hold.reason == "“setup.exe” in “kit.zip” is a program."


def test_an_organisation_may_want_programs_and_still_gets_no_virus(house: House, clamd: FakeClamd) -> None:
    wish(house.organisation, forbidden_files="allow")
    raw = mail_with(("setup.exe", PE))
    assert judged(house, raw) is None
    assert clamd.mails == [raw], "what the built-in scanner has against it must not keep ClamAV from looking"
    clamd.answer = "stream: Win.Test.Fake FOUND"
    hold = judged(house, raw)
    assert hold is not None
    assert hold.cause == HoldCause.INFECTED


def test_spam_never_hides_a_virus(house: House, clamd: FakeClamd) -> None:
    clamd.answer = "stream: Win.Test.Fake FOUND"
    hold = judged(house, raw_mail(text=GTUBE.decode() + "\r\n"))
    assert hold is not None
    assert hold.cause == HoldCause.INFECTED
    assert any("GTUBE" in one for one in hold.details), "the other reasons stand in the evidence"


def test_archives_with_a_password_come_in_unless_the_organisation_says_otherwise(house: House) -> None:
    raw = mail_with(("letter.zip", locked(zipped({"letter.txt": b"dear"}))))
    assert judged(house, raw) is None
    wish(house.organisation, locked_archives="hold")
    hold = judged(house, raw)
    assert hold is not None
    assert (hold.cause, hold.reason) == (
        HoldCause.FORBIDDEN_FILE,
        "“letter.zip” has a password, so no scanner can look inside.",
    )


def test_what_rspamd_calls_spam_is_held_with_its_score(house: House, rspamd: FakeRspamd) -> None:
    rspamd.body = SPAMMED
    hold = judged(house, raw_mail())
    assert hold is not None
    assert hold.cause == HoldCause.SPAM
    assert "17.2" in hold.reason
    assert any("BAYES_SPAM" in one for one in hold.details)
    headers = dict(rspamd.requests[-1][0])
    assert headers["From"] == "elena@customer.example"
    assert "User" not in headers, "a stranger has not signed in"
    wish(house.organisation, spam="allow")
    assert judged(house, raw_mail()) is None


@pytest.mark.parametrize(
    ("disposition", "cause"),
    [
        ("none", None),
        ("quarantine", HoldCause.DMARC_QUARANTINE),
        ("reject", HoldCause.DMARC_REJECT),
    ],
)
def test_what_fails_dmarc_is_held_as_its_domain_asks(
    house: House, disposition: str, cause: HoldCause | None
) -> None:
    hold = judged(house, raw_mail(), fails_dmarc(disposition))
    assert (hold.cause if hold else None) == cause
    if hold:
        assert "customer.example" in hold.reason
        assert any("Neither SPF nor DKIM" in one for one in hold.details)


def test_an_organisation_may_hold_less_of_what_fails_dmarc(house: House) -> None:
    wish(house.organisation, dmarc=DmarcWish.REJECT_ONLY)
    assert judged(house, raw_mail(), fails_dmarc("quarantine")) is None
    assert judged(house, raw_mail(), fails_dmarc("reject")) is not None
    wish(house.organisation, dmarc=DmarcWish.IGNORE)
    assert judged(house, raw_mail(), fails_dmarc("reject")) is None


@pytest.mark.parametrize("trusted", ["elena@customer.example", "customer.example", "Customer.Example"])
def test_a_trusted_sender_is_spared_the_spam_filter_when_the_mail_is_proven(
    house: House, rspamd: FakeRspamd, trusted: str
) -> None:
    rspamd.body = SPAMMED
    trust_sender(house.as_alice, trusted, now=timezone.now())
    assert judged(house, raw_mail(), PROVEN) is None
    for unproven in (None, FoundOut(), fails_dmarc("none")):
        hold = judged(house, raw_mail(), unproven)
        assert hold is not None
        assert "nothing proves that this mail is theirs" in hold.reason


def test_trust_lets_no_virus_and_no_forger_in(house: House, stranger: House) -> None:
    trust_sender(house.as_alice, "customer.example", now=timezone.now())
    infected = raw_mail(text=EICAR.decode() + "\r\n")
    hold = judged(house, infected, PROVEN)
    assert hold is not None
    assert hold.cause == HoldCause.INFECTED
    hold = judged(house, raw_mail(), fails_dmarc("reject"))
    assert hold is not None
    assert hold.cause == HoldCause.DMARC_REJECT


def test_one_organisations_trust_is_not_anothers(house: House, stranger: House, rspamd: FakeRspamd) -> None:
    rspamd.body = SPAMMED
    trust_sender(house.as_alice, "customer.example", now=timezone.now())
    assert judged(stranger, raw_mail(), PROVEN) is not None


@pytest.mark.parametrize(
    ("found_out", "proven"),
    [
        (None, False),
        ({}, False),
        ({"dmarc": {"result": "none", "proven_by": "servers"}}, True),
        ({"dmarc": {"result": "pass", "proven_by": "signature"}}, True),
        ({"dmarc": {"result": "fail", "proven_by": ""}, "spf": {"result": "pass"}}, False),
    ],
)
def test_what_proves_a_sender(found_out: dict[str, object] | None, proven: bool) -> None:  # noqa: FBT001
    assert proves_sender(found_out) is proven


def make_due(row: ReceivedMessage, *, age: timedelta = timedelta()) -> None:
    now = timezone.now()
    ReceivedMessage.objects.filter(pk=row.pk).update(due_at=now - timedelta(seconds=1), received_at=now - age)


def test_a_mail_no_scanner_could_look_at_waits_and_is_then_held(house: House, clamd: FakeClamd) -> None:
    clamd.answer = "stream: something went wrong ERROR"
    row = take(house)
    for _ in range(5):
        assert (row.state, row.attempts, row.last_error) == ("accepted", 0, "VerdictTooEarly")
        assert row.due_at > timezone.now()
        make_due(row)
        ingest_due(limit=1, seconds=30)
        row.refresh_from_db()
    make_due(row, age=PATIENCE)
    ingest_due(limit=1, seconds=30)
    row.refresh_from_db()
    assert row.state == ReceivedState.HELD
    assert HeldMessage.objects.get().cause == HoldCause.SCANNER_UNAVAILABLE


def test_a_scanner_that_comes_back_in_time_costs_nothing_but_the_wait(house: House, clamd: FakeClamd) -> None:
    clamd.answer = "stream: something went wrong ERROR"
    row = take(house)
    clamd.answer = "stream: OK"
    make_due(row)
    ingest_due(limit=1, seconds=30)
    row.refresh_from_db()
    assert (row.state, row.attempts) == (ReceivedState.FILED, 1)
    assert Ticket.objects.count() == 1


def test_what_was_held_for_want_of_a_scanner_is_judged_when_it_answers(
    house: House, clamd: FakeClamd
) -> None:
    clamd.answer = "stream: something went wrong ERROR"
    for n, text in enumerate(("hello", EICAR.decode())):
        row = receive(house, raw_mail(message_id=f"{n}@x.example", text=f"{text}\r\n"))
        make_due(row, age=PATIENCE)
    ingest_due(limit=5, seconds=30)
    assert set(HeldMessage.objects.values_list("cause", flat=True)) == {"scanner_unavailable", "infected"}
    clamd.answer = STALL
    judge_again()
    assert HeldMessage.objects.count() == 2, "nobody answers yet"
    clamd.answer = "stream: OK"
    wait_until(lambda: judge_again() == 1, what="ClamAV being asked again")
    ingest_due(limit=5, seconds=30)
    assert Ticket.objects.count() == 1
    assert HeldMessage.objects.get().cause == HoldCause.INFECTED
    assert judge_again() == 0


def test_what_else_is_known_of_a_mail_waits_for_the_scanner_too(
    house: House, clamd: FakeClamd, rspamd: FakeRspamd
) -> None:
    """Held as spam it would never be looked at for a virus, and anybody could let it in."""
    rspamd.body = SPAMMED
    clamd.answer = "stream: something went wrong ERROR"
    row = receive(house)
    make_due(row, age=PATIENCE)
    ingest_due(limit=1, seconds=30)
    held = HeldMessage.objects.get()
    assert held.cause == HoldCause.SCANNER_UNAVAILABLE
    assert any("takes this mail for spam" in one for one in held.details)
    clamd.answer = "stream: Win.Test.Fake FOUND"
    wait_until(lambda: judge_again() == 1, what="ClamAV being asked again")
    ingest_due(limit=1, seconds=30)
    assert HeldMessage.objects.get().cause == HoldCause.INFECTED


def test_what_we_cannot_look_through_waits_for_the_scanner_that_may(
    house: House, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held for our own failure alone it would be final, and anybody could let in what ClamAV never saw."""
    too_long = [Finding(Outcome.UNSCANNABLE, "scan_timed_out", ())]
    monkeypatch.setattr(BuiltinScanner, "_look_through", lambda *_arguments: too_long)
    clamd.answer = "stream: something went wrong ERROR"
    row = receive(house, mail_with(("notes.zip", zipped({"notes.txt": b"harmless"}))))
    make_due(row, age=PATIENCE)
    ingest_due(limit=1, seconds=30)
    assert HeldMessage.objects.get().cause == HoldCause.SCANNER_UNAVAILABLE
    clamd.answer = "stream: Win.Test.Fake FOUND"
    wait_until(lambda: judge_again() == 1, what="ClamAV being asked again")
    ingest_due(limit=1, seconds=30)
    assert HeldMessage.objects.get().cause == HoldCause.INFECTED


def test_a_mail_on_which_a_scanner_fails_each_time_goes_round_ever_less_often(
    house: House, clamd: FakeClamd
) -> None:
    clamd.answer = "stream: INSTREAM size limit exceeded. ERROR"
    row = receive(house)
    make_due(row, age=PATIENCE + timedelta(minutes=3))
    ingest_due(limit=1, seconds=30)
    held = HeldMessage.objects.get()
    assert judge_again() == 0, "everybody answers, and would fail on it again"
    for waited, again in ((timedelta(minutes=2), 0), (timedelta(minutes=4), 1)):
        now = timezone.now()
        HeldMessage.objects.filter(pk=held.pk).update(
            held_at=now - waited, received_at=now - waited - PATIENCE - timedelta(minutes=3)
        )
        assert judge_again() == again


def test_even_an_old_mail_is_judged_again_within_the_time_of_patience(house: House, clamd: FakeClamd) -> None:
    clamd.answer = "stream: something went wrong ERROR"
    row = receive(house)
    make_due(row, age=timedelta(days=3))
    ingest_due(limit=1, seconds=30)
    HeldMessage.objects.update(held_at=timezone.now() - PATIENCE)
    assert judge_again() == 1


def test_a_mail_that_breaks_the_judge_is_held_and_not_let_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **named: object) -> None:
        raise RecursionError

    monkeypatch.setattr(admission, "screen_received", fail)
    row = take(house)
    for attempt in (1, 2, 3):
        assert (row.state, row.attempts) == ("accepted", attempt)
        make_due(row)
        ingest_due(limit=1, seconds=30)
        row.refresh_from_db()
    assert row.state == ReceivedState.HELD
    assert HeldMessage.objects.get().cause == HoldCause.UNSCANNABLE


def test_half_held_mail_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies between the held mail and the row's mark: both are one commit."""

    def finish_not(*args: object, **named: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(ingest, "finishing", finish_not)
        row = take(house, mail_with(("bill.txt", EICAR)))
    assert row.state == ReceivedState.ACCEPTED
    assert not HeldMessage.objects.exists()
    make_due(row)
    ingest_due(limit=1, seconds=30)
    assert HeldMessage.objects.count() == 1


def test_judging_holds_no_transaction_open(
    house: House, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[bool] = []
    look = screen_received

    def watch(*args: object, **named: object) -> object:
        inside.append(connection.in_atomic_block)
        return look(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(admission, "screen_received", watch)
    take(house)
    assert inside == [False]


def test_a_report_on_nothing_of_ours_waits_for_a_scanner_like_any_other_mail(
    house: House, clamd: FakeClamd
) -> None:
    clamd.answer = "stream: something went wrong ERROR"
    row = take(house, raw_mail(headers={"X-Failed-Recipients": "nobody@gone.example"}))
    assert (row.state, row.last_error) == ("accepted", "VerdictTooEarly")

"""Screening on the road out: what is refused goes to nobody, what nobody could look at waits, and a clean mail goes."""

import asyncio
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from apps.mailboxes.models import Folder, MailboxEntry, Side
from apps.outbound import screening
from apps.outbound.causes import Cause
from apps.outbound.draining.drain import Drain
from apps.outbound.explanations import explain
from apps.outbound.figures import queue_figures
from apps.outbound.models import (
    Delivery,
    DeliveryState,
    EncryptedArchives,
    Lane,
    OutgoingScreening,
    ScreeningOutcome,
    SendingPolicy,
)
from apps.outbound.screening import Screened, keep_verdicts
from apps.outbound.services import discard_delivery, resubmit_delivery
from apps.outbound.submission.submit import Submitted, SubmittedAttachment
from apps.screening.findings import Outcome
from apps.screening.screen import screen
from apps.screening.verdict import Verdict
from apps.screening.walk import MAX_PLAIN_BYTES
from tests.outbound.sending import QUICK, drain, make_due, only_delivery, send
from tests.people import House
from tests.remote.server import RemoteServer
from tests.screening.daemons import STALL, FakeClamd, FakeRspamd
from tests.screening.files import EICAR, GTUBE, PDF, PE, locked, zipped


def attached(name: str, data: bytes) -> tuple[SubmittedAttachment, ...]:
    return (SubmittedAttachment(name, "application/octet-stream", data),)


def senders_folder(submitted: Submitted) -> str:
    return MailboxEntry.objects.get(message=submitted.message, side=Side.SENDER).folder


def inboxes(submitted: Submitted) -> list[str]:
    entries = MailboxEntry.objects.filter(message=submitted.message, side=Side.RECIPIENT)
    return sorted(entries.values_list("mailbox__address", flat=True))


def scans(monkeypatch: pytest.MonkeyPatch) -> list[Verdict]:
    """Every verdict that was reached from now on."""
    reached: list[Verdict] = []

    def count(raw: bytes, **more: Any) -> Verdict:
        reached.append(screen(raw, **more))
        return reached[-1]

    monkeypatch.setattr(screening, "screen", count)
    return reached


# refused


@pytest.mark.parametrize(
    ("fields", "cause", "told"),
    [
        ({"text": EICAR.decode()}, Cause.INFECTED, "Not sent: The mail contains the EICAR test virus."),
        (
            {"text": GTUBE.decode()},
            Cause.SPAM,
            "Not sent: The mail contains the test text for spam filters, GTUBE.",
        ),
        (
            {"attachments": attached("invoice.pdf.exe", b"")},
            Cause.POLICY_ATTACHMENT,
            "Not sent: “invoice.pdf.exe” is named like a document and runs when it is opened, "
            "and such files are not sent by mail.",
        ),
        (
            {"attachments": attached("kit.zip", zipped({"setup": PE}))},
            Cause.POLICY_ATTACHMENT,
            "Not sent: “setup” in “kit.zip” is a program, and programs are not sent by mail. "
            "Share it with a link instead.",
        ),
    ],
)
def test_what_is_refused_goes_to_nobody_and_the_sender_is_told_why(
    house: House, relay: RemoteServer, fields: dict[str, Any], cause: Cause, told: str
) -> None:
    submitted = send(house.as_key, "elena@x.example", "jan@x.example", **fields)
    drain()
    assert relay.messages == []
    for delivery in Delivery.objects.all():
        assert (delivery.state, delivery.cause) == (DeliveryState.REJECTED, cause)
        assert explain(delivery, timezone.now()).sentence == told
    submitted.message.refresh_from_db()
    assert submitted.message.state == DeliveryState.REJECTED
    assert senders_folder(submitted) == Folder.OUTBOX  # it was never sent


def test_a_clean_mail_moves_to_sent_and_goes(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_key, "elena@x.example", attachments=attached("report.pdf", PDF))
    assert senders_folder(submitted) == Folder.OUTBOX
    drain()
    assert only_delivery(submitted).state == DeliveryState.SENT
    assert senders_folder(submitted) == Folder.SENT
    row = OutgoingScreening.objects.get(message=submitted.message)
    assert (row.outcome, row.organisation) == (ScreeningOutcome.CLEAN, house.organisation)
    assert row.version.startswith("builtin ")


def test_a_locked_archive_goes_unless_the_organisation_says_no(house: House, relay: RemoteServer) -> None:
    payroll = attached("payroll.zip", locked(zipped({"payroll.csv": b"1,2"})))
    assert send_and_look(house, attachments=payroll).state == DeliveryState.SENT
    SendingPolicy.objects.create(organisation=house.organisation, encrypted_archives=EncryptedArchives.REJECT)
    refused = send_and_look(house, attachments=payroll)
    assert (refused.state, refused.cause) == (DeliveryState.REJECTED, Cause.POLICY_ATTACHMENT)
    assert "has a password" in refused.reason


def send_and_look(house: House, **fields: Any) -> Delivery:
    submitted = send(house.as_key, "elena@x.example", **fields)
    drain()
    return only_delivery(submitted)


def test_a_thousand_recipients_are_one_scan(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = scans(monkeypatch)
    submitted = send(
        house.as_key, *(f"c{n}@x.example" for n in range(1000)), attachments=attached("a.pdf", PDF)
    )
    Delivery.objects.exclude(recipient__startswith="c1").delete()  # 111 conversations are enough
    drain()
    assert len(relay.messages) == 111
    assert len(reached) == 1
    assert OutgoingScreening.objects.get().message_id == submitted.message.pk


def test_a_large_mail_is_one_scan_for_all_and_goes(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = scans(monkeypatch)
    large = attached("plan.pdf", PDF + b"%" * (2 * MAX_PLAIN_BYTES))
    send(
        house.as_key, "elena@x.example", "jan@x.example", "bob@house.test", hold_seconds=1, attachments=large
    )
    Delivery.objects.update(due_at=timezone.now())
    drain()
    assert dict(Delivery.objects.values_list("recipient", "state")) == {
        "elena@x.example": "sent",
        "jan@x.example": "sent",
        "bob@house.test": "delivered",
    }
    assert len(reached) == 1
    assert len({message.content for message in relay.messages}) == 1


def test_one_refused_mail_does_not_hold_up_another(house: House, relay: RemoteServer) -> None:
    bad = send(house.as_key, "elena@x.example", text=EICAR.decode())
    good = send(house.as_key, "elena@x.example")
    drain()
    assert only_delivery(bad).state == DeliveryState.REJECTED
    assert only_delivery(good).state == DeliveryState.SENT


# resubmitted


def test_the_same_mail_is_refused_again_without_another_scan(
    house: House, relay: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = send_and_look(house, text=EICAR.decode())
    reached = scans(monkeypatch)
    resubmit_delivery(house.as_key, refused, timezone.now())
    drain()
    again = Delivery.objects.get(pk=refused.pk)
    assert (again.state, again.reason) == (DeliveryState.REJECTED, refused.reason)
    assert reached == []
    assert relay.messages == []


def test_with_other_rules_it_is_looked_at_again(
    house: House, relay: RemoteServer, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    clamd.answer = "stream: False.Positive FOUND"
    refused = send_and_look(house)
    assert refused.cause == Cause.INFECTED
    clamd.answer = "stream: OK"
    monkeypatch.setattr("apps.screening.builtin.BuiltinScanner.version", lambda _self: "builtin newer")
    resubmit_delivery(house.as_key, refused, timezone.now())
    drain()
    refused.refresh_from_db()
    assert refused.state == DeliveryState.SENT
    assert senders_folder(Submitted(refused.message, [], replayed=False)) == Folder.SENT


def test_another_policy_is_reason_enough_too(house: House, relay: RemoteServer) -> None:
    policy = SendingPolicy.objects.create(
        organisation=house.organisation, encrypted_archives=EncryptedArchives.REJECT
    )
    refused = send_and_look(house, attachments=attached("a.zip", locked(zipped({"a.txt": b"a"}))))
    policy.encrypted_archives = EncryptedArchives.ALLOW
    policy.save()
    resubmit_delivery(house.as_key, refused, timezone.now())
    drain()
    refused.refresh_from_db()
    assert refused.state == DeliveryState.SENT


def test_a_refused_mail_that_is_discarded_leaves_the_outbox(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_key, "elena@x.example", "jan@x.example", text=EICAR.decode())
    drain()
    first, second = Delivery.objects.all()
    discard_delivery(house.as_key, first, timezone.now())
    assert senders_folder(submitted) == Folder.OUTBOX
    discard_delivery(house.as_key, second, timezone.now())
    assert senders_folder(submitted) == Folder.TRASH


# no verdict


def test_a_scanner_that_is_away_holds_the_mail_and_lets_it_go_when_it_is_back(
    house: House, relay: RemoteServer, settings: Settings
) -> None:
    settings.CLAMD_URL = "unix:///nowhere/clamd.ctl"
    submitted = send(house.as_key, "elena@x.example")
    drain()
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.SCANNER_UNAVAILABLE)
    assert delivery.setbacks == 0
    assert delivery.due_at is not None
    assert timedelta() < delivery.due_at - timezone.now() < timedelta(seconds=6)
    assert "The virus scanner (ClamAV) cannot be reached" in explain(delivery, timezone.now()).sentence
    assert senders_folder(submitted) == Folder.OUTBOX
    assert relay.messages == []
    (why,) = queue_figures(house.as_key, timezone.now()).diagnosis
    assert (why.cause, why.affected) == (Cause.SCANNER_UNAVAILABLE, 1)
    assert "CLAMD_URL" in why.action
    settings.CLAMD_URL = ""
    over_with_waiting()
    drain()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.SENT
    assert senders_folder(submitted) == Folder.SENT


def over_with_waiting() -> None:
    OutgoingScreening.objects.filter(outcome="unscannable").update(try_again_at=timezone.now())
    make_due()


def test_the_wait_belongs_to_the_message_and_grows(
    house: House, relay: RemoteServer, settings: Settings
) -> None:
    settings.CLAMD_URL = "unix:///nowhere/clamd.ctl"
    send(house.as_key, *(f"c{n}@x.example" for n in range(5)))
    drain()
    assert Delivery.objects.values("due_at").distinct().count() == 1
    make_due()
    drain()  # some ask too early, and are told the same time again, without another question
    assert OutgoingScreening.objects.get().tries == 1
    waits = []
    for _ in range(9):
        over_with_waiting()
        drain()
        row = OutgoingScreening.objects.get()
        assert row.try_again_at is not None
        waits.append((row.try_again_at - row.screened_at).total_seconds())
    assert OutgoingScreening.objects.get().tries == 10
    assert waits[0] < 11
    assert all(150 <= wait <= 300 for wait in waits[-3:])


def test_a_daemon_that_hangs_holds_up_nobody_whom_it_is_not_asked_about(
    house: House, relay: RemoteServer, clamd: FakeClamd
) -> None:
    """A mail that was screened already goes on while clamd keeps another waiting."""
    screened = send(house.as_key, "elena@x.example")
    clean = Verdict(Outcome.CLEAN)
    keep_verdicts([Screened.of(screened.message.pk, house.organisation.pk, clean, timezone.now())])
    clamd.answer = STALL
    stuck = send(house.as_key, "jan@x.example")
    ended = threading.Event()

    def run() -> None:
        asyncio.run(Drain(Lane.INTERACTIVE, QUICK).run())
        ended.set()

    worker = threading.Thread(target=run)
    worker.start()
    try:
        give_up_at = time.monotonic() + 30
        while not relay.messages and time.monotonic() < give_up_at:
            ended.wait(0.02)
        assert relay.taken_by_recipient == {"elena@x.example": 1}
        assert not ended.is_set()
    finally:
        clamd.close()
        worker.join()
    assert only_delivery(stuck).state == DeliveryState.DEFERRED


def test_spam_by_rspamds_judgement_is_refused_with_its_score(
    house: House, relay: RemoteServer, rspamd: FakeRspamd
) -> None:
    rspamd.body = '{"action": "reject", "score": 21.5, "symbols": {"BULK": {"score": 20}}}'
    delivery = send_and_look(house)
    assert (delivery.state, delivery.cause) == (DeliveryState.REJECTED, Cause.SPAM)
    assert "score 21.5" in delivery.reason
    assert OutgoingScreening.objects.get().details == ["rspamd: reject, score 21.5", "rspamd: BULK +20.0"]


def test_suspicion_alone_lets_a_mail_go_and_is_kept(
    house: House, relay: RemoteServer, rspamd: FakeRspamd
) -> None:
    rspamd.body = '{"action": "add header", "score": 7, "symbols": {}}'
    assert send_and_look(house).state == DeliveryState.SENT
    assert OutgoingScreening.objects.get().details == ["rspamd: add header, score 7.0"]


# colleagues


def test_a_colleague_has_a_clean_mail_at_once_and_it_was_screened(house: House) -> None:
    submitted = send(
        house.as_alice, "bob@house.test", sender="alice@house.test", attachments=attached("a.pdf", PDF)
    )
    assert only_delivery(submitted).state == DeliveryState.DELIVERED
    assert inboxes(submitted) == ["bob@house.test"]
    assert OutgoingScreening.objects.get().outcome == ScreeningOutcome.CLEAN
    assert senders_folder(submitted) == Folder.SENT


def test_an_infected_mail_between_colleagues_reaches_nobody(house: House) -> None:
    submitted = send(
        house.as_alice, "bob@house.test", "elena@x.example", sender="alice@house.test", text=EICAR.decode()
    )
    assert set(Delivery.objects.values_list("state", "cause")) == {("rejected", "infected")}
    assert inboxes(submitted) == []
    assert senders_folder(submitted) == Folder.OUTBOX


def test_a_colleague_waits_for_a_scanner_that_is_away_and_a_worker_files_it_later(
    house: House, relay: RemoteServer, settings: Settings
) -> None:
    settings.CLAMD_URL = "unix:///nowhere/clamd.ctl"
    submitted = send(house.as_alice, "bob@house.test", sender="alice@house.test")
    delivery = only_delivery(submitted)
    assert (delivery.state, delivery.cause) == (DeliveryState.QUEUED, Cause.SCANNER_UNAVAILABLE)
    assert inboxes(submitted) == []
    drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.cause) == (DeliveryState.DEFERRED, Cause.SCANNER_UNAVAILABLE)
    assert inboxes(submitted) == []
    settings.CLAMD_URL = ""
    over_with_waiting()
    drain()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.DELIVERED
    assert inboxes(submitted) == ["bob@house.test"]


def test_a_held_mail_to_a_colleague_is_screened_when_its_time_comes(
    house: House, relay: RemoteServer
) -> None:
    submitted = send(
        house.as_alice, "bob@house.test", sender="alice@house.test", text=EICAR.decode(), hold_seconds=60
    )
    assert not OutgoingScreening.objects.exists()
    Delivery.objects.update(due_at=timezone.now())
    drain()
    assert only_delivery(submitted).state == DeliveryState.REJECTED
    assert inboxes(submitted) == []


def test_the_colleagues_share_a_mail_that_also_goes_out(house: House, relay: RemoteServer) -> None:
    submitted = send(house.as_alice, "bob@house.test", "elena@x.example", sender="alice@house.test")
    assert inboxes(submitted) == ["bob@house.test"]
    assert senders_folder(submitted) == Folder.OUTBOX
    drain()
    assert set(Delivery.objects.values_list("recipient", "state")) == {
        ("bob@house.test", "delivered"),
        ("elena@x.example", "sent"),
    }
    assert senders_folder(submitted) == Folder.SENT

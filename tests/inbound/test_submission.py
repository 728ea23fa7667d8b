"""The submission port: who may send what as whom, what is refused and in which words, and one mail is one message."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.core.cache import cache
from django.utils import timezone

from apps.accounts import request_rate
from apps.accounts.models import Role
from apps.accounts.services import create_api_key
from apps.inbound.submission import SUBMITTED_AT_ONCE
from apps.mailboxes.app_passwords import create_app_password
from apps.mailboxes.models import Folder, MailboxEntry, Message, OwnedAddress, Side
from apps.mailboxes.selectors import raw_of, text_of
from apps.outbound.models import Delivery, RefusedSubmission, SendingPolicy
from apps.screening.findings import Outcome
from tests.inbound.certificate import anybody
from tests.inbound.listening import Listening
from tests.inbound.submitting import MailProgram, listen_for_submissions, mail
from tests.inbound.wire import stuffed
from tests.outbound.sending import drain
from tests.people import House
from tests.polling import wait_until
from tests.remote.server import RemoteServer
from tests.screening.conftest import clamd
from tests.screening.daemons import STALL, FakeClamd

__all__ = ["clamd"]
pytestmark = pytest.mark.django_db(transaction=True)
ELENA = "elena@customer.example"
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@pytest.fixture(autouse=True)
def nobody_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    listening = listen_for_submissions(tmp_path, max_size_bytes=1024 * 1024, max_recipients=1000)
    yield listening
    listening.stop()


@pytest.fixture
def program(listening: Listening, house: House) -> Iterator[smtplib.SMTP]:
    """Python's own client, signed in with an app password of Alice's for the shared mailbox."""
    words = create_app_password(house.as_alice, house.support, name="Laptop", now=timezone.now())[1]
    with smtplib.SMTP("127.0.0.1", listening.port) as program:
        program.starttls(context=anybody())
        program.login("support@house.test", words)
        yield program


@pytest.fixture
def keyed(listening: Listening, house: House) -> Iterator[MailProgram]:
    """A raw client, signed in with the organisation's key."""
    with MailProgram(listening.port) as program:
        program.signs_in("apikey", house.secret)
        yield program


def refused(
    program: smtplib.SMTP, message: EmailMessage, *to: str, sender: str = "support@house.test"
) -> str:
    with pytest.raises(smtplib.SMTPException) as error:
        program.send_message(message, sender, to or (ELENA,))
    told = error.value
    if isinstance(told, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(told.recipients.values()))
    else:
        assert isinstance(told, smtplib.SMTPResponseException)
        code, words = told.smtp_code, told.smtp_error  # type: ignore[assignment]
    program.rset()
    return f"{code} {words.decode() if isinstance(words, bytes) else words}"


def test_a_mail_from_pythons_own_client_leaves_and_lies_in_sent(
    program: smtplib.SMTP, house: House, relay: RemoteServer
) -> None:
    assert (
        program.send_message(mail(Bcc="boss@x.example"), "support@house.test", [ELENA, "boss@x.example"])
        == {}
    )
    message = Message.objects.get()
    assert message.author == house.alice
    drain()
    assert {one.recipients for one in relay.messages} == {(ELENA,), ("boss@x.example",)}
    assert all(b"boss" not in one.content for one in relay.messages)
    assert all(
        one.content.count(b"\r\nMessage-ID: ") + one.content.startswith(b"Message-ID") == 1
        for one in relay.messages
    )
    assert text_of(message) == "Hello Elena,\nit is mended."
    copy = MailboxEntry.objects.get()
    assert (copy.mailbox, copy.side, copy.folder) == (house.support, Side.SENDER, Folder.SENT)


def test_the_250_names_the_message(keyed: MailProgram, house: House) -> None:
    reply = keyed.sends(mail().as_bytes().replace(b"\n", b"\r\n"), ELENA, sender="support@house.test")
    assert reply == f"250 2.0.0 Accepted as {Message.objects.get().pk}"


def test_colleagues_have_it_at_once_and_customers_from_the_queue(program: smtplib.SMTP, house: House) -> None:
    program.send_message(mail(to=f"bob@house.test, {ELENA}"), "support@house.test", ["bob@house.test", ELENA])
    assert Message.objects.count() == 1
    assert {one.recipient: one.state for one in Delivery.objects.all()} == {
        "bob@house.test": "delivered",
        ELENA: "queued",
    }
    assert MailboxEntry.objects.get(mailbox=house.bobs).folder == Folder.INBOX


def test_who_has_one_mailboxs_password_sends_from_that_mailbox_alone(
    program: smtplib.SMTP, house: House
) -> None:
    OwnedAddress.objects.create(
        organisation=house.organisation, address="help@house.test", mailbox=house.support
    )
    no = "550 5.7.1 You may not send from"
    assert refused(program, mail(), sender="alice@house.test") == f"{no} alice@house.test."
    assert refused(program, mail(), sender="ceo@bank.example") == f"{no} ceo@bank.example."
    assert refused(program, mail(sender="Alice <alice@house.test>")).startswith(
        "550 5.7.1 From: You may not send from"
    )
    assert refused(program, mail(Sender="bob@house.test")).startswith("550 5.7.1 Sender: ")
    assert not Message.objects.exists()
    program.send_message(mail(sender="help@house.test"), "support+x@house.test", [ELENA])
    program.send_message(mail(), "<>", [ELENA])
    assert Message.objects.count() == 2


def test_a_key_sends_from_what_it_may_send_from(
    listening: Listening, house: House, stranger: House, keyed: MailProgram
) -> None:
    raw = mail(sender="alice@house.test").as_bytes().replace(b"\n", b"\r\n")
    assert keyed.sends(raw, ELENA, sender="alice@house.test").startswith("250")
    assert keyed.asks(b"MAIL FROM:<support@stranger.test>").startswith("550 5.7.1")
    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1]
    with MailProgram(listening.port) as agent:
        agent.signs_in("apikey", agents)
        assert agent.asks(b"MAIL FROM:<bob@house.test>").startswith("550 5.7.1")
        assert agent.sends(raw, ELENA, sender="alice@house.test").startswith("250")


def test_recipients_are_anybody_but_not_nobody(program: smtplib.SMTP, stranger: House) -> None:
    assert refused(program, mail(), "nobody@house.test").startswith("550 5.1.1 Nobody here has the address")
    assert refused(program, mail(), "a..b@x.example").startswith("553 5.1.3")
    assert refused(program, mail(), "no address").startswith("553 5.1.3")
    program.send_message(mail(), "support@house.test", [ELENA, "support@stranger.test"])
    # Of another organisation, which is reached as everybody is: nobody learns that it is on this platform.
    assert set(Delivery.objects.values_list("route", flat=True)) == {"relay"}


@pytest.mark.parametrize(
    ("change", "reply"),
    [
        (lambda raw: b"no header at all\r\n", "554 5.6.0 Line 1 of it is no header field"),
        (lambda raw: b"From: bob@house.test\r\n" + raw, "554 5.6.0 From: It stands twice"),
        (
            lambda raw: raw.replace(b"House Support", b"bob@house.test,"),
            "554 5.6.0 From: It must hold exactly one",
        ),
        (lambda raw: raw + b"x" * 1200 + b"\r\n", "554 5.6.0 Line 10 of it is longer than the 998"),
        (lambda raw: raw + b"x" * 77 + b"\r\n" + b"long\r\n" * 200_000, "552 5.3.4 "),
    ],
)
def test_what_must_not_be_sent_is_refused_with_its_reason_and_kept_by_nobody(
    keyed: MailProgram, house: House, change: object, reply: str
) -> None:
    raw = change(mail().as_bytes().replace(b"\n", b"\r\n"))  # type: ignore[operator]
    said = keyed.sends(raw, ELENA, sender="support@house.test")
    assert said.startswith(reply), said
    assert said.isascii()
    assert keyed.asks(b"NOOP").startswith("250"), "the connection goes on"
    assert not Message.objects.exists()
    assert not RefusedSubmission.objects.exists()


def test_the_thousand_and_first_recipient_is_for_another_message(keyed: MailProgram, house: House) -> None:
    keyed.asks(b"MAIL FROM:<support@house.test>")
    keyed.says(b"".join(b"RCPT TO:<r%d@x.example>\r\n" % n for n in range(1001)))
    replies = [keyed.hears()[:9] for _ in range(1001)]
    assert replies == ["250 2.1.5"] * 1000 + ["452 4.5.3"]


def test_a_quota_that_is_used_up_says_when_there_is_room_again(program: smtplib.SMTP, house: House) -> None:
    SendingPolicy.objects.create(organisation=house.organisation, recipients_per_day=1)
    program.send_message(mail(), "support@house.test", [ELENA])
    said = refused(program, mail("Another"))
    assert said.startswith(
        "450 4.7.1 The organisation has 1 recipients a day, of which 1 are used; try again after 20"
    )
    assert refused(program, mail(), ELENA, "b@x.example").startswith(
        "550 5.7.1 to: The limit of this organisation is 1"
    )


def test_the_rate_of_a_key_holds_here_too(
    listening: Listening, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_rate, "REQUESTS_PER_MINUTE", 1)
    monkeypatch.setattr(request_rate, "time", lambda: 6000.0 + 18)
    agents = create_api_key(house.organisation, name="agent", role=Role.AGENT, user=house.alice)[1]
    with MailProgram(listening.port) as agent:
        agent.signs_in("apikey", agents)
        assert agent.asks(b"MAIL FROM:<alice@house.test>").startswith("250")
        agent.asks(b"RSET")
        assert agent.asks(b"MAIL FROM:<alice@house.test>").startswith("450 4.7.1")


def test_a_virus_goes_to_nobody(program: smtplib.SMTP, house: House, relay: RemoteServer) -> None:
    message = mail(to=f"bob@house.test, {ELENA}")
    message.add_attachment(
        EICAR.encode(), maintype="application", subtype="octet-stream", filename="eicar.com"
    )
    program.send_message(message, "support@house.test", ["bob@house.test", ELENA])
    drain()
    assert set(Delivery.objects.values_list("state", "cause")) == {("rejected", Outcome.INFECTED.value)}
    assert not relay.messages
    assert not MailboxEntry.objects.filter(mailbox=house.bobs).exists()


def test_eight_bits_and_addresses_beyond_ascii_pass(
    program: smtplib.SMTP, house: House, relay: RemoteServer
) -> None:
    raw = "From: support@house.test\r\nTo: élan@x.example\r\nSubject: Grüße\r\n\r\nJürgen\r\n".encode()
    program.sendmail(
        "support@house.test", ["élan@x.example"], raw, mail_options=["SMTPUTF8", "BODY=8BITMIME"]
    )
    message = Message.objects.get()
    assert (message.subject, message.to[0]["address"]) == ("Grüße", "élan@x.example")
    drain()
    assert relay.messages[0].content.endswith("Jürgen\r\n".encode())


def test_line_ends_of_every_kind_smuggle_nothing(
    keyed: MailProgram, house: House, relay: RemoteServer
) -> None:
    """CVE-2023-51764 and its relatives: what one server takes for an end and the next for content."""
    smuggled = b"MAIL FROM:<ceo@bank.example>\r\nRCPT TO:<x@x.example>\r\nDATA\r\nFrom: ceo@bank.example\r\n\r\nHi\r\n"
    for n, end in enumerate(
        (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n\n.\r\n", b"\r\r\n.\r\r\n")
    ):
        raw = mail(f"Mail {n}").as_bytes().replace(b"\n", b"\r\n") + b"text" + end + smuggled
        assert keyed.sends(raw, ELENA, sender="support@house.test").startswith("250")
    assert keyed.asks(b"NOOP").startswith("250")
    drain()
    assert len(relay.messages) == Message.objects.count() == 8
    for taken in relay.messages:
        assert taken.recipients == (ELENA,)
        bare = taken.content.replace(b"\r\n", b"")
        assert b"\r" not in bare
        assert b"\n" not in bare


def test_messages_that_wait_for_a_scanner_keep_nobody_from_signing_in(
    listening: Listening, house: House, clamd: FakeClamd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.outbound.screening.SUBMISSION_SECONDS", 60.0)
    clamd.answer = STALL
    writers = [MailProgram(listening.port) for _ in range(SUBMITTED_AT_ONCE)]
    for n, writer in enumerate(writers):
        writer.signs_in("apikey", house.secret)
        writer.addresses("alice@house.test", sender="support@house.test")
        writer.asks(b"DATA")
        writer.says(stuffed(mail(str(n)).as_bytes().replace(b"\n", b"\r\n")))
    wait_until(lambda: clamd.calls.count("INSTREAM") == SUBMITTED_AT_ONCE, what="all of them being scanned")
    with MailProgram(listening.port) as other:
        assert other.signs_in("apikey", house.secret).startswith("235")
        assert other.addresses(ELENA, sender="support@house.test") == ["250 2.1.5 Recipient is known"]
        assert Message.objects.count() == 0, "the scanner has not answered yet"
    clamd.close()
    for writer in writers:
        assert writer.hears().startswith("250")
        writer.close()


def test_the_same_again_on_this_connection_is_meant_and_on_another_it_is_a_repetition(
    listening: Listening, house: House, keyed: MailProgram
) -> None:
    raw = mail(Message_ID="<1@laptop.example>").as_bytes().replace(b"\n", b"\r\n")
    first = keyed.sends(raw, ELENA, sender="support@house.test")
    second = keyed.sends(raw, ELENA, sender="support@house.test")
    assert first != second
    with MailProgram(listening.port) as again:
        again.signs_in("apikey", house.secret)
        assert again.sends(raw, ELENA, sender="support@house.test") == first
    assert Message.objects.count() == 2


def test_a_script_that_reports_the_same_twice_is_heard_twice(listening: Listening, house: House) -> None:
    raw = mail("The disk is full").as_bytes().replace(b"\n", b"\r\n")
    for _ in range(2):
        with MailProgram(listening.port) as script:
            script.signs_in("apikey", house.secret)
            assert script.sends(raw, ELENA, sender="support@house.test").startswith("250")
    assert Message.objects.count() == Delivery.objects.count() == 2


def test_commands_sent_ahead_are_answered_in_order(keyed: MailProgram, house: House) -> None:
    raw = mail().as_bytes().replace(b"\n", b"\r\n")
    keyed.says(b"MAIL FROM:<support@house.test>\r\nRCPT TO:<elena@customer.example>\r\nDATA\r\n")
    assert [keyed.hears()[:3] for _ in range(3)] == ["250", "250", "354"]
    keyed.says(stuffed(raw) + b"MAIL FROM:<alice@house.test>\r\nRSET\r\nQUIT\r\n")
    assert [keyed.hears()[:3] for _ in range(4)] == ["250", "250", "250", "221"]
    assert raw_of(Message.objects.get()).endswith(b"it is mended.\r\n")


def test_a_rset_forgets_the_message_and_not_the_caller(keyed: MailProgram, house: House) -> None:
    keyed.asks(b"MAIL FROM:<support@house.test>")
    keyed.asks(b"RSET")
    assert keyed.asks(b"DATA").startswith("503")
    assert keyed.asks(b"MAIL FROM:<support@house.test>").startswith("250")
    keyed.asks(b"EHLO again")
    assert keyed.asks(b"MAIL FROM:<support@house.test>").startswith("250")

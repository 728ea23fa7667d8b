"""Reports, read: by their fields, by their prose, and by nothing that is none."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.mime.parse import parse
from apps.outbound.bounces.delivery_status import address_of, read_delivery_status
from apps.outbound.bounces.dialects import DIALECTS, READ_CHARS, read_prose
from apps.outbound.bounces.feedback import read_feedback
from apps.outbound.bounces.policy import nature_of
from apps.outbound.bounces.reading import read_report
from apps.outbound.bounces.report import Report
from apps.outbound.models import ReportAction
from tests.mail import raw_mail
from tests.reports import block, complaint, dsn, original_of, prose

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "bounces"
ELENA = "elena@customer.example"


def read(raw: bytes, *, envelope_sender: str = "") -> Report | None:
    return read_report(parse(raw), raw, envelope_sender=envelope_sender)


def told(raw: bytes) -> Report:
    report = read(raw)
    assert report is not None
    return report


# fields


def test_a_delivery_status_tells_of_each_recipient() -> None:
    report = told(
        dsn(
            block(original="elena@alias.example"),
            block("ben@x.example", action="delayed", status="4.4.1", diagnostic="smtp; 450 4.4.1 come back"),
            original=original_of("mine@house.test", return_path="bounce+x@house.test"),
        )
    )
    elena, ben = report.told
    assert (elena.action, elena.addresses) == (ReportAction.FAILED, ("elena@alias.example", ELENA))
    assert (elena.status, elena.server) == ("5.1.1", "mx.customer.example")
    assert elena.diagnostic.startswith("550 5.1.1")
    assert (ben.action, ben.status) == (ReportAction.DELAYED, "4.4.1")
    assert report.returned.message_id == "mine@house.test"
    assert report.returned.return_paths == ("bounce+x@house.test",)


@pytest.mark.parametrize(
    ("fields", "action", "status"),
    [
        ("Final-Recipient: rfc822;a@b.example\nAction: failed (x)\nStatus: 5.1.1 (unknown)", "failed", "5.1.1"),
        ("Final-Recipient: rfc822;a@b.example\nStatus: 4.2.2", "delayed", "4.2.2"),
        ("Final-Recipient: rfc822;a@b.example\nStatus: 2.0.0", "delivered", "2.0.0"),
        ("Action: failed\nFinal-Recipient: a@b.example\nDiagnostic-Code: smtp; 550-5.1.1 gone", "failed", "5.1.1"),
        ("Reporting-MTA: dns; x\nFinal-Recipient: a@b.example\nAction: FAILED\nStatus: 5.0.0", "failed", "5.0.0"),
        (
            "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: X; 550 #5.2.2",
            "failed",
            "5.2.2",
        ),
        ("Final-Recipient: rfc822; a@b.example\nAction: deliverable\nStatus: 2.1.5", "noted", "2.1.5"),
    ],
)  # fmt: skip
def test_loose_fields_are_read_as_they_are_meant(fields: str, action: str, status: str) -> None:
    (one,) = read_delivery_status(fields.encode())
    assert (one.recipient, one.action, one.status) == ("a@b.example", action, status)


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("rfc822; Elena@x.example", "Elena@x.example"),
        ("RFC822;<elena@x.example>", "elena@x.example"),
        ("utf-8; \\x{395}\\x{3BB}\\x{3AD}\\x{3BD}\\x{3B7}@x.example", "Ελένη@x.example"),
        ("utf-8; Ελένη@x.example", "Ελένη@x.example"),
        ("utf-8; a\\x{110000}\\x{D800}b@x.example", "ab@x.example"),
        ("elena@x.example", "elena@x.example"),
        ("", ""),
    ],
)
def test_addresses_of_every_type_are_read(field: str, address: str) -> None:
    assert address_of(field) == address


def test_an_international_report_is_read_too() -> None:
    raw = dsn(block("utf-8; Ελένη@x.example".removeprefix("utf-8; ")))
    raw = raw.replace(b"message/delivery-status", b"message/global-delivery-status")
    assert told(raw).told[0].recipient == "Ελένη@x.example"


@pytest.mark.parametrize(
    ("kind", "action"),
    [("abuse", "complained"), ("fraud", "complained"), ("opt-out", "unsubscribed"), ("not-spam", "noted"),
     ("auth-failure", "noted"), ("virus", "noted")],
)  # fmt: skip
def test_only_some_feedback_is_a_complaint(kind: str, action: str) -> None:
    report = told(complaint(kind=kind, sender="bounce+x@house.test", recipient=ELENA))
    assert [one.action for one in report.told] == [action]
    assert report.told[0].recipient == ELENA
    assert "bounce+x@house.test" in report.returned.return_paths


def ses_bounce(kind: str, recipient: str) -> bytes:
    text = (
        f'{{"notificationType":"Bounce","bounce":{{"bounceType":"{kind}","bounceSubType":"General",'
        f'"bouncedRecipients":[{{"emailAddress":"{ELENA}"{recipient}}}]}},'
        '"mail":{"source":"bounce+x@house.test"}}\r\n\r\n--\r\nIf you wish to stop receiving notifications\r\n'
    )
    return raw_mail(sender="SES <no-reply@sns.amazonaws.com>", text=text)


@pytest.mark.parametrize(
    ("kind", "recipient", "action"),
    [
        ("Permanent", "", "failed"),
        ("Undetermined", "", "failed"),
        (
            "Transient",
            ',"action":"failed","status":"5.2.2","diagnosticCode":"smtp; 552 5.2.2 full"',
            "failed",
        ),
        ("Transient", ',"action":"delayed","status":"4.4.1"', "delayed"),
        ("Transient", "", "delayed"),
    ],
)
def test_amazon_gives_up_before_it_tells_of_a_bounce(kind: str, recipient: str, action: str) -> None:
    report = told(ses_bounce(kind, recipient))
    assert [(one.action, one.recipient) for one in report.told] == [(action, ELENA)]
    assert report.returned.return_paths == ("bounce+x@house.test",)


def forwarded(sender: str) -> bytes:
    """Our mail with the field that Microsoft's program adds, sent on by somebody."""
    inner = f"X-HmXmrOriginalRecipient: {ELENA}\n" + original_of(
        "mine@house.test", return_path="bounce+x@house.test"
    )
    text = (
        f"From: {sender}\nTo: support@house.test\nSubject: Is this from you?\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="=_f"\n\n--=_f\n\nPlease call me.\n--=_f\n'
        f"Content-Type: message/rfc822\n\n{inner}\nHello\n--=_f--\n"
    )
    return text.replace("\n", "\r\n").encode()


def test_microsofts_report_is_a_complaint_and_a_customer_who_forwards_our_mail_has_none() -> None:
    (one,) = told(forwarded("staff@hotmail.com")).told
    assert (one.action, one.recipient) == (ReportAction.COMPLAINED, ELENA)
    assert read(forwarded(ELENA), envelope_sender=ELENA) is None


# prose

SAMPLES = {
    "qmail": (
        "Hi. This is the qmail-send program at x.example.\nI'm afraid I wasn't able to deliver your message to the "
        f"following addresses.\n\n<{ELENA}>:\n550 5.1.1 no such user\n\n--- Below this line is a copy of the message.\n"
    ),
    "exim": (
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
        f"delivered to one or more of its\nrecipients. This is a permanent error.\n\n  {ELENA}\n    host mx.x.example "
        "[192.0.2.1]: 550 5.1.1 unknown user\n\n------ This is a copy of the message, including all headers. ------\n"
    ),
    "sendmail": (
        f"   ----- The following addresses had permanent fatal errors -----\n<{ELENA}>\n\n   ----- Transcript "
        "of session follows -----\n550 5.1.1 User unknown\n"
    ),
    "postfix": (
        "I'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients. "
        f"It's attached below.\n\n<{ELENA}>: host mx.x.example[192.0.2.1] said: 550 5.1.1 User unknown\n"
    ),
    "exchange": (
        f"Delivery has failed to these recipients or groups:\n\n{ELENA}<mailto:{ELENA}>\nThe email address you entered "
        "couldn't be found. 550 5.1.1 RESOLVER.ADR.RecipNotFound; not found\n\nOriginal message headers:\n\n"
    ),
    "gmail": (
        f"Delivery to the following recipient failed permanently:\n\n     {ELENA}\n\nTechnical details of permanent "
        "failure: \nThe error was: 550 5.1.1 no such user\n\n----- Original message -----\n\nFrom: x@house.test\n"
    ),
    "yahoo": (
        f"Sorry, we were unable to deliver your message to the following address.\n\n<{ELENA}>:\n554: delivery error: "
        "dd This user doesn't have a yahoo.com account\n\n--- Below this line is a copy of the message.\n"
    ),
    "domino": f"Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  {ELENA}\n\nbecause: 550 5.1.1 no user\n",
    "mdaemon": (
        "The attached message had PERMANENT fatal delivery errors!\n\nAfter one or more unsuccessful delivery attempts "
        f"the\nattached message has been removed.\n\nFailed address: {ELENA}\n\n550 5.1.1 User unknown\n"
    ),
    "opensmtpd": (
        "    Hi!\n\n    An error has occurred while attempting to deliver a message for\n    the following list of "
        f"recipients:\n\n{ELENA}: 550 5.1.1 no user\n\n    Below is a copy of the original message:\n\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("system", SAMPLES)
def test_the_prose_of_known_systems_is_understood(system: str) -> None:
    report = told(prose(SAMPLES[system]))
    (one,) = report.told
    assert (one.action, one.recipient) == (ReportAction.FAILED, ELENA)
    assert nature_of(one.status, one.diagnostic) == "no_such_address"


def test_a_warning_is_not_a_failure() -> None:
    text = (
        "This message was created automatically by mail delivery software.\nA message that you sent has not yet been "
        f"delivered to all of its recipients.\n\n  {ELENA}\n    Delay reason: connection refused\n"
    )
    assert [one.action for one in told(prose(text)).told] == [ReportAction.DELAYED]


def test_several_recipients_have_each_their_own_words() -> None:
    text = (
        "A message that you sent could not be delivered to all of its recipients.\n\n"
        "  anna@x.example\n    550 5.1.1 User unknown\n  ben@x.example\n    552 5.2.2 Mailbox full\n"
    )
    anna, ben = told(prose(text)).told
    assert (anna.recipient, nature_of(anna.status, anna.diagnostic)) == ("anna@x.example", "no_such_address")
    assert (ben.recipient, nature_of(ben.status, ben.diagnostic)) == ("ben@x.example", "mailbox_full")


def test_the_header_that_names_who_failed_is_enough() -> None:
    raw = prose("Es ging leider nicht.\n", headers=[f"X-Failed-Recipients: {ELENA}, ben@x.example"])
    assert [one.recipient for one in told(raw).told] == [ELENA, "ben@x.example"]


def test_the_returned_mail_is_found_in_the_text() -> None:
    text = SAMPLES["qmail"] + "\nReturn-Path: <bounce+y@house.test>\nMessage-ID: <mine@house.test>\n\nHello\n"
    returned = told(prose(text)).returned
    assert (returned.message_id, returned.return_paths) == ("mine@house.test", ("bounce+y@house.test",))


# what is none


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("I am away until May.", {"Auto-Submitted": "auto-replied"}),
        ("To reach me, please confirm that you are human: https://x.example/", {"Auto-Submitted": "auto-replied"}),
        ("Your mail was displayed.", {}),
        (f"Our printer says that mail could not be delivered to one or more recipients, {ELENA} for one.", {}),
    ],
)  # fmt: skip
def test_what_people_and_their_machines_write_is_no_report(text: str, headers: dict[str, str]) -> None:
    assert read(raw_mail(text=text + "\r\n", headers=headers), envelope_sender=ELENA) is None


def test_a_null_sender_alone_makes_no_report() -> None:
    assert read(raw_mail(headers={"Auto-Submitted": "auto-replied"})) is None


# bounds


@given(st.binary(max_size=3000))
@settings(max_examples=200, deadline=None)
def test_no_bytes_whatever_break_the_readers(data: bytes) -> None:
    read_delivery_status(data)
    read_feedback(data)
    read_prose(DIALECTS[0].sentence + "\n" + data.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    "hostile",
    [b"Final-Recipient: rfc822; a@b.example\n\n" * 50_000, b"\n" * 300_000, b"x" * 300_000, b": \n" * 100_000,
     b"Action: failed\n " * 60_000],
    ids=["many", "blank", "one line", "colons", "folded"],
)  # fmt: skip
def test_much_of_anything_is_cut_short(hostile: bytes) -> None:
    assert len(read_delivery_status(hostile)) <= 200


def test_a_text_of_addresses_is_bounded() -> None:
    _system, found = read_prose(
        SAMPLES["exim"].replace(ELENA, "\n".join(f"a{n}@x.example" for n in range(5000)))
    )
    assert 0 < len(found) <= 400


def seconds_for(text: str) -> float:
    started = time.perf_counter()
    read_prose(text)
    return time.perf_counter() - started


def test_no_text_takes_much_longer_than_others_of_its_length() -> None:
    sentence = "Hi. This is the\n"
    harmless = min(seconds_for((sentence + "It is a fine day. " * 4000)[:READ_CHARS]) for _ in range(3))
    for piece in (
        "\n",
        " ",
        ">",
        ">\n",
        "-\n",
        "@",
        "a",
        "a@b.example ",
        "From: <a@b.example ",
        "has      ",
        "(",
        '"',
    ):
        hostile = min(seconds_for(sentence + piece * (READ_CHARS // len(piece))) for _ in range(2))
        assert hostile < 30 * harmless + 0.5, repr(piece)


# real ones


def corpus() -> Iterator[Path]:
    return iter(sorted(CORPUS.glob("*.eml")))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside this checkout")
def test_nine_in_ten_of_a_public_collection_are_understood() -> None:
    """209 mails of 60 mail systems; those that are no bounces (holiday answers, notices of services) must be left."""
    readable, not_reports = 0, []
    for path in corpus():
        report = read(path.read_bytes(), envelope_sender="somebody@x.example")
        if report is None:
            not_reports.append(path.stem)
        else:
            readable += 1
    assert {"rfc3834-01", "rfc3834-04", "lhost-fml-03"} <= set(not_reports)
    assert readable >= 195

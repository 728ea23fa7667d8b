"""What the SMTP listener answers to clients, good and odd."""

import pytest

from apps.blobs.selectors import read
from apps.inbound.models import ReceivedMessage
from tests.inbound.wire import RawClient, send, stuffed
from tests.mail import raw_mail
from tests.people import House

pytestmark = pytest.mark.django_db(transaction=True)


def stored_raw() -> list[bytes]:
    return [read(row.raw) for row in ReceivedMessage.objects.select_related("raw").order_by("received_at")]


def test_ehlo_offers_what_works_and_tells_the_limit(port: int) -> None:
    with RawClient(port, greet=False) as client:
        assert client.greeting == "220 mx.house.test ESMTP"
        offered = [line[4:] for line in client.asks(b"EHLO client.example").split("\n")]
    assert offered == [
        "mx.house.test",
        "SIZE 1048576",
        "8BITMIME",
        "SMTPUTF8",
        "PIPELINING",
        "ENHANCEDSTATUSCODES",
    ]


def test_an_owned_address_takes_mail_and_its_bytes_stay_as_they_came(port: int, house: House) -> None:
    raw = raw_mail(text="Hello,\r\n.\r\n..two dots\r\n.x\r\nbye\r\n")
    assert send(port, raw).startswith("250 2.0.0 ")
    row = ReceivedMessage.objects.get()
    assert (row.envelope_sender, row.recipients) == ("elena@customer.example", ["support@house.test"])
    assert (row.peer, row.helo, row.state) == ("127.0.0.1", "client.example", "accepted")
    assert read(row.raw) == raw


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        ("support@house.test", "250 2.1.5"),
        ("SUPPORT@House.Test", "250 2.1.5"),
        ("support+order7@house.test", "250 2.1.5"),
        ("@relay.example:support@house.test", "250 2.1.5"),
        ("nobody@house.test", "550 5.1.1"),
        ("elena@customer.example", "550 5.7.1"),
        ("support@house.test.", "553 5.1.3"),
        ("support", "553 5.1.3"),
        ("a b@house.test", "553 5.1.3"),
        ("sup\x00port@house.test", "500 5.5.2"),
        ("x" * 65 + "@house.test", "553 5.1.3"),
        ("support@house.test> SIZE=", "501 5.5.4"),
        ("support@house.test> NOTIFY=NEVER", "555 5.5.4"),
    ],
)
def test_rcpt_is_answered_from_the_addresses_we_own(
    port: int, house: House, recipient: str, answer: str
) -> None:
    with RawClient(port) as client:
        assert client.asks(b"MAIL FROM:<elena@customer.example>").startswith("250")
        said = f"RCPT TO:<{recipient}" + ("" if ">" in recipient else ">")
        assert client.asks(said.encode())[:9] == answer


def test_bytes_that_are_no_utf8_in_an_address_are_refused_and_nothing_else(port: int, house: House) -> None:
    with RawClient(port) as client:
        assert client.asks(b"MAIL FROM:<\xff\xfe@customer.example>").startswith("553 5.1.3")
        assert client.addresses("support@house.test")[0].startswith("250")


def test_an_international_sender_is_kept(port: int, house: House) -> None:
    with RawClient(port) as client:
        assert client.asks("MAIL FROM:<jörg@müller.example> SMTPUTF8".encode()).startswith("250")
        assert client.asks(b"RCPT TO:<support@house.test>").startswith("250")
        client.asks(b"DATA")
        client.says(stuffed(raw_mail()))
        assert client.hears().startswith("250")
    assert ReceivedMessage.objects.get().envelope_sender == "jörg@müller.example"


def test_a_bounce_has_no_sender(port: int, house: House) -> None:
    assert send(port, sender="").startswith("250")
    assert ReceivedMessage.objects.get().envelope_sender == ""


def test_mail_to_two_organisations_is_received_by_each(port: int, house: House, stranger: House) -> None:
    recipients = ("support@house.test", "alice@house.test", "support@stranger.test")
    assert send(port, None, *recipients).startswith("250")
    rows = {row.organisation_id: row for row in ReceivedMessage.objects.select_related("raw")}
    assert rows[house.organisation.pk].recipients == ["support@house.test", "alice@house.test"]
    assert rows[stranger.organisation.pk].recipients == ["support@stranger.test"]
    assert rows[house.organisation.pk].raw_id != rows[stranger.organisation.pk].raw_id
    assert {read(row.raw) for row in rows.values()} == {raw_mail()}


def test_a_hundred_recipients_are_taken_and_one_more_is_told_to_come_again(port: int, house: House) -> None:
    with RawClient(port) as client:
        client.asks(b"MAIL FROM:<elena@customer.example>")
        replies = [client.asks(f"RCPT TO:<support+{n}@house.test>".encode()) for n in range(101)]
    assert {reply[:9] for reply in replies[:100]} == {"250 2.1.5"}
    assert replies[100].startswith("452 4.5.3")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"XYZZY", "500 5.5.2"),
        (b"\xff\xfe\x00", "500 5.5.2"),
        (b"", "500 5.5.2"),
        (b"DATA", "503 5.5.1"),
        (b"RCPT TO:<support@house.test>", "503 5.5.1"),
        (b"MAIL FROM:elena customer", "555 5.5.4"),
        (b"MAIL FROM:<elena@customer.example", "553 5.1.3"),
        (b"MAIL FROM:<elena@customer.example> SIZE=9999999999", "552 5.3.4"),
        (b"MAIL FROM:<elena@customer.example> BODY=BINARYMIME", "501 5.5.4"),
        (b"AUTH PLAIN AGEAYg==", "502 5.5.1"),
        (b"STARTTLS", "502 5.5.1"),
        (b"EXPN staff", "502 5.5.1"),
        (b"VRFY alice", "252 2.5.0"),
        (b"EHLO", "501 5.5.4"),
        (b"NOOP\rNOOP", "500 5.5.2"),
        (b"NOOP\0", "500 5.5.2"),
        (b"NOOP", "250 2.0.0"),
        (b"RSET", "250 2.0.0"),
        (b"x" * 5000, "500 5.5.2"),
        (b"MAIL FROM:<" + b"(" * 1500 + b"@customer.example>", "250 2.1.0"),
    ],
)
def test_odd_commands_get_their_own_answer_and_the_conversation_goes_on(
    port: int, house: House, command: bytes, answer: str
) -> None:
    with RawClient(port) as client:
        assert client.asks(command)[:9] == answer
        assert client.asks(b"NOOP").startswith("250")


def test_http_is_hung_up_on(port: int) -> None:
    with RawClient(port, greet=False) as client:
        client.says(b"POST / HTTP/1.1\r\nHost: mx\r\n\r\nMAIL FROM:<a@b.example>\r\n")
        assert client.hears().startswith("421 4.7.0")
        assert "250" not in client.hears()


def test_too_large_mail_is_refused_and_the_next_is_taken(port: int, house: House) -> None:
    with RawClient(port) as client:
        large = raw_mail(text="x" * 76 + "\r\n") + b"y" * (1024 * 1024) + b"\r\n"
        assert client.sends(large, "support@house.test").startswith("552 5.3.4")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert stored_raw() == [raw_mail()]


def test_mail_of_exactly_the_limit_is_taken(port: int, house: House) -> None:
    head = raw_mail(text="")
    raw = head + b"y" * (1024 * 1024 - len(head) - 2) + b"\r\n"
    assert send(port, raw).startswith("250")
    assert stored_raw() == [raw]


def test_lines_longer_than_the_standard_are_taken(port: int, house: House) -> None:
    raw = raw_mail(subject="long " * 400, text="z" * 100_000 + "\r\n")
    assert send(port, raw).startswith("250")
    assert stored_raw() == [raw]


@pytest.mark.parametrize(
    "not_the_end", [b"\n.\r\n", b"\r\n.\n", b"\n.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n.\r\r\n"]
)
def test_only_crlf_dot_crlf_ends_a_message(port: int, house: House, not_the_end: bytes) -> None:
    """A second message hidden behind a half end stays content of the first."""
    smuggled = b"MAIL FROM:<evil@customer.example>\r\nRCPT TO:<alice@house.test>\r\nDATA\r\nFrom: boss\r\n\r\nPay.\r\n"
    raw = raw_mail() + b"text" + not_the_end + smuggled
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(raw + b".\r\n")
        assert client.hears().startswith("250")
        assert client.asks(b"NOOP") == "250 2.0.0 OK"
    row = ReceivedMessage.objects.select_related("raw").get()
    assert row.recipients == ["support@house.test"]
    # A dot after CRLF is the sender's stuffing; every other byte is content, as it came.
    assert read(row.raw) == raw.replace(b"\r\n.", b"\r\n")


def test_bare_line_ends_and_nul_are_stored_as_they_came(port: int, house: House) -> None:
    raw = raw_mail() + b"one\ntwo\rthree\x00four\xff\r\n"
    assert send(port, raw).startswith("250")
    assert stored_raw() == [raw]


def test_an_empty_message_is_taken(port: int, house: House) -> None:
    assert send(port, b"\r\n").startswith("250")
    with RawClient(port) as client:
        assert client.sends(b"", "support@house.test").startswith("250")
    assert stored_raw() == [b"\r\n", b""]


def test_the_end_may_come_in_any_pieces(port: int, house: House) -> None:
    data = stuffed(raw_mail(text="a\r\n.b\r\n"))
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        for position in range(len(data)):
            client.says(data[position : position + 1])
        assert client.hears().startswith("250")
    assert stored_raw() == [raw_mail(text="a\r\n.b\r\n")]


def test_commands_sent_ahead_are_answered_in_order(port: int, house: House) -> None:
    """RFC 2920, and more: the second message is sent ahead of the first one's reply."""
    one, two = raw_mail(message_id="one@c.example"), raw_mail(message_id="two@c.example")
    with RawClient(port) as client:
        head = b"MAIL FROM:<elena@customer.example>\r\n"
        head += b"RCPT TO:<nobody@house.test>\r\nRCPT TO:<support@house.test>\r\nDATA\r\n"
        client.says(head + stuffed(one) + head + stuffed(two) + b"QUIT\r\n")
        codes = [client.hears()[:3] for _ in range(11)]
    assert codes == ["250", "550", "250", "354", "250", "250", "550", "250", "354", "250", "221"]
    assert stored_raw() == [one, two]


def test_a_client_that_says_everything_and_closes_its_side_is_served(port: int, house: House) -> None:
    with RawClient(port, greet=False) as client:
        head = b"EHLO nc\r\nMAIL FROM:<elena@customer.example>\r\nRCPT TO:<support@house.test>\r\nDATA\r\n"
        client.says(head + stuffed(raw_mail()) + b"QUIT\r\n")
        client.socket.shutdown(1)
        replies = [client.hears()[:3] for _ in range(7)]
    assert replies == ["250", "250", "250", "354", "250", "221", ""]
    assert stored_raw() == [raw_mail()]


def test_a_message_cut_off_before_its_end_is_not_kept(port: int, house: House) -> None:
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(raw_mail())
        client.socket.shutdown(1)
        assert client.hears() == ""
    assert not ReceivedMessage.objects.exists()

"""Somebody talks nonsense to the listener: it answers or hangs up, blames itself for nothing, and goes on serving."""

import errno
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.blobs.selectors import read
from apps.inbound.models import ReceivedMessage
from apps.inbound.smtp import OUR_FAILURE
from tests.fuzz.mutations import TOKENS, mutated
from tests.inbound.conftest import listen, port
from tests.inbound.listening import Listening
from tests.inbound.wire import send
from tests.mail import raw_mail
from tests.people import House

__all__ = ["listen", "port"]

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PATIENCE_SECONDS = 60
MEBIBYTE = 1024 * 1024
REPLY = re.compile(rb"[2345]\d\d[ -][\x20-\x7e\x80-\xff]*")

COMMANDS = [
    b"EHLO client.example\r\n", b"HELO x\r\n", b"MAIL FROM:<elena@customer.example>\r\n", b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<elena@customer.example> SIZE=100 BODY=8BITMIME SMTPUTF8\r\n", b"RCPT TO:<support@house.test>\r\n",
    b"RCPT TO:<nobody@house.test>\r\n", b"RCPT TO:<x@elsewhere.example>\r\n", b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n",
    b"HELP\r\n", b"STARTTLS\r\n", b"AUTH PLAIN AGEAYg==\r\n", b"BDAT 10 LAST\r\n", b"QUIT\r\n", b"POST / HTTP/1.1\r\n",
]  # fmt: skip
TRANSACTION = (
    b"EHLO client.example\r\nMAIL FROM:<elena@customer.example>\r\nRCPT TO:<support@house.test>\r\nDATA\r\n"
)

utterances = st.one_of(
    st.sampled_from(COMMANDS),
    mutated(COMMANDS, at_most=3),
    st.sampled_from(TOKENS),
    st.binary(max_size=300),
    st.integers(1, 300_000).map(lambda size: b"x" * size),
    st.binary(max_size=300).map(lambda body: b"DATA\r\n" + body + b"\r\n.\r\n"),
)
conversations = st.one_of(
    st.lists(utterances, max_size=40).map(b"".join),
    mutated([TRANSACTION + raw_mail() + b".\r\nQUIT\r\n"], at_most=4),
    st.lists(st.sampled_from(COMMANDS), max_size=200).map(b"".join),
)


def talk(port: int, said: bytes) -> bytes:
    """Say everything, then nothing more; all that was answered until the other side hung up."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
        line.settimeout(PATIENCE_SECONDS)
        try:
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            while block := line.recv(65536):
                heard += block
        except OSError as error:
            # Hung up on, with words of ours still unread; which of the three depends on the moment.
            if error.errno not in {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}:
                raise
    return heard


def resident_bytes() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_whatever_is_said_gets_an_answer_or_a_goodbye(house: House, port: int) -> None:
    talk(port, TRANSACTION)
    before = resident_bytes()

    @settings(
        max_examples=400,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(conversations)
    def converse(said: bytes) -> None:
        heard = talk(port, said)
        assert heard.startswith((b"220 ", b"421 ")) or not heard
        lines = heard.split(b"\r\n")
        assert lines.pop() == b"", "the last reply was cut off"
        assert all(REPLY.fullmatch(line) for line in lines), lines
        assert OUR_FAILURE.encode() not in heard, "nothing of ours was broken"

    converse()
    assert send(port, raw_mail(message_id="honest@x.example")).startswith("250")
    assert resident_bytes() - before < 300 * MEBIBYTE


def test_what_was_answered_250_is_there_byte_for_byte(house: House, port: int) -> None:
    taken = 0

    @settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(TOKENS)), max_size=20).map(b"".join))
    def deliver(body: bytes) -> None:
        nonlocal taken
        ReceivedMessage.objects.all().delete()
        # Bare line ends are the sender's; dots are doubled where a line begins with one, whatever ends the line before.
        raw = b"Subject: x\r\n\r\n" + body + b"\r\n"
        stuffed = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:]
        heard = talk(port, TRANSACTION + stuffed + b".\r\n")
        accepted = b"250 2.0.0 Accepted" in heard
        kept = [read(row.raw) for row in ReceivedMessage.objects.select_related("raw")]
        assert len(kept) == accepted
        taken += accepted
        if accepted:
            assert kept == [raw]

    deliver()
    assert taken > 50


def test_a_line_without_an_end_takes_no_memory(house: House, listen: Callable[..., Listening]) -> None:
    """100 MB of one command, and 100 MB of one line of DATA, at a listener whose largest message is a megabyte."""
    port = listen(max_size_bytes=MEBIBYTE).port
    talk(port, TRANSACTION)
    before = resident_bytes()
    for opening in (b"MAIL FROM:<", TRANSACTION + b"x"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as line:
            try:
                line.sendall(opening)
                for _ in range(100):
                    line.sendall(b"y" * MEBIBYTE)
            except (ConnectionResetError, BrokenPipeError):
                pass
    assert resident_bytes() - before < 60 * MEBIBYTE
    assert send(port).startswith("250")

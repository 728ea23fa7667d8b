"""How the listener bounds what one sender may take, and how it stops."""

import contextlib
import socket
import time
from collections import Counter
from ipaddress import ip_network

import psutil
import pytest

from apps.inbound import custody
from apps.inbound.limits import Gate, Limits, plain_address
from apps.inbound.models import ReceivedMessage
from apps.inbound.receiving import accept_all
from tests.inbound.conftest import Listen
from tests.inbound.wire import RawClient, send, stuffed
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MEBIBYTE = 1024 * 1024


def test_a_line_that_never_ends_is_refused_with_flat_memory(port: int, house: House) -> None:
    block = b"x" * MEBIBYTE
    process = psutil.Process()
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(block * 2)
        before = process.memory_info().rss
        peak = before
        for _ in range(15):
            client.says(block)
            peak = max(peak, process.memory_info().rss)
        client.says(b"\r\n.\r\n")
        assert client.hears().startswith("552 5.3.4")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert peak - before < 6 * MEBIBYTE


def test_a_message_that_never_ends_is_cut_off(port: int, house: House) -> None:
    sent = 0
    with RawClient(port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        with pytest.raises(ConnectionError):
            while sent < 100 * MEBIBYTE:
                client.says(b"x" * MEBIBYTE)
                sent += MEBIBYTE
    assert sent < 40 * MEBIBYTE
    assert not ReceivedMessage.objects.exists()


def test_a_command_that_never_ends_takes_no_memory(port: int) -> None:
    process = psutil.Process()
    some = b"N" * MEBIBYTE
    with RawClient(port) as client:
        client.says(some)
        before = process.memory_info().rss
        for _ in range(40):
            client.says(some)
        client.says(b"\r\n")
        assert client.hears().startswith("500 5.5.2")
        assert process.memory_info().rss - before < 20 * MEBIBYTE
        assert client.asks(b"NOOP").startswith("250")


def test_all_messages_being_received_share_a_bound(listen: Listen, house: House) -> None:
    port = listen(max_in_flight_bytes=MEBIBYTE).port
    with RawClient(port) as one, RawClient(port) as two:
        one.addresses("support@house.test")
        one.asks(b"DATA")
        one.says(raw_mail(message_id="one@c.example") + b"x" * 900_000)
        assert two.sends(raw_mail() + b"y" * 900_000 + b"\r\n", "support@house.test").startswith("452 4.3.1")
        one.says(b"\r\n.\r\n")
        assert one.hears().startswith("250")
        assert two.sends(raw_mail() + b"y" * 900_000 + b"\r\n", "support@house.test").startswith("250")


def test_one_address_that_sends_slowly_leaves_room_for_others(listen: Listen, house: House) -> None:
    shared = {"max_in_flight_bytes": 2 * MEBIBYTE, "max_in_flight_bytes_per_address": MEBIBYTE}
    port = listen(**shared).port
    raw = raw_mail() + b"y" * 900_000 + b"\r\n"
    with RawClient(port) as slow, RawClient(port) as second, RawClient(port, source="127.0.0.2") as other:
        slow.addresses("support@house.test")
        slow.asks(b"DATA")
        slow.says(raw)
        assert second.sends(raw, "support@house.test").startswith("452 4.3.1")
        assert other.sends(raw, "support@house.test").startswith("250")
    trusting = listen(**shared, trusted_networks=(ip_network("127.0.0.0/8"),))
    with RawClient(trusting.port) as slow, RawClient(trusting.port) as second:
        slow.addresses("support@house.test")
        slow.asks(b"DATA")
        slow.says(raw)
        assert second.sends(raw, "alice@house.test").startswith("250")
    wait_until(lambda: trusting.gate.connections == 0)
    assert (trusting.gate.in_flight_bytes, trusting.gate.in_flight_by_address) == (0, {})


def test_a_client_that_says_nothing_is_told_and_closed(listen: Listen) -> None:
    with RawClient(listen(command_seconds=0.2).port) as client:
        assert client.hears().startswith("421 4.4.2")
        assert client.hears() == ""


def trickle(client: RawClient, words: bytes) -> bytes:
    """Say them again and again, a byte at a time, until there is an answer; what is heard first."""
    client.socket.settimeout(0.01)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for byte in words:
            client.says(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                return client.socket.recv(100)
    return b""


def test_a_command_that_trickles_is_closed(listen: Listen) -> None:
    with RawClient(listen(command_seconds=0.4).port) as client:
        assert trickle(client, b"x").startswith(b"421 4.4.2")


def test_a_client_that_talks_for_ever_and_brings_nothing_is_closed(listen: Listen) -> None:
    with RawClient(listen(session_seconds=0.4, max_idle_commands=100_000).port) as client:
        deadline = time.monotonic() + 20
        while client.asks(b"NOOP").startswith("250"):
            assert time.monotonic() < deadline


def test_clients_have_less_time_to_think_while_room_runs_out() -> None:
    gate = Gate(Limits(max_connections=8))
    for n in range(6):
        gate.enter(f"192.0.2.{n}")
    assert gate.command_seconds == 300
    gate.enter("192.0.2.9")
    assert gate.command_seconds == 20
    gate.leave("192.0.2.9")
    assert gate.command_seconds == 300


def test_five_hundred_connections_of_one_address_leave_room_for_others(listen: Listen, house: House) -> None:
    listening = listen()
    crowd = [socket.create_connection(("127.0.0.1", listening.port), timeout=20) for _ in range(500)]
    try:
        greetings = Counter(connection.recv(3) for connection in crowd)
        assert greetings == {b"220": 20, b"421": 480}
        elsewhere = ("127.0.0.2", 0)
        with socket.create_connection(("127.0.0.1", listening.port), 20, elsewhere) as other:
            assert other.recv(3) == b"220"
    finally:
        for connection in crowd:
            connection.close()
    wait_until(lambda: listening.gate.connections == 0)


def test_a_message_that_stalls_is_closed(listen: Listen, house: House) -> None:
    with RawClient(listen(data_block_seconds=0.2).port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(b"Subject: half")
        assert client.hears().startswith("421 4.4.2")
        assert client.hears() == ""


def test_a_message_that_trickles_is_closed(listen: Listen, house: House) -> None:
    """A byte now and then keeps the block timer running; the whole message has a time too."""
    with RawClient(listen(data_total_seconds=0.5).port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.socket.settimeout(0.02)
        deadline = time.monotonic() + 10
        heard = b""
        while not heard:
            assert time.monotonic() < deadline
            client.says(b"x")
            try:
                heard = client.socket.recv(100)
            except TimeoutError:
                continue
    assert heard.startswith(b"421 4.4.2")


def test_the_timer_stands_still_while_we_commit(
    listen: Listen, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: object, **named: object) -> object:
        time.sleep(0.6)
        return accept_all(*args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(custody, "accept_all", slow)
    assert send(listen(command_seconds=0.2, data_block_seconds=0.2).port).startswith("250")


def test_connections_are_limited_in_all(listen: Listen) -> None:
    port = listen(max_connections=2).port
    with RawClient(port), RawClient(port) as second:
        third = RawClient(port, greet=False)
        assert third.greeting.startswith("421 4.3.2")
        assert third.hears() == ""
        second.close()
        wait_until(lambda: RawClient(port, greet=False).greeting.startswith("220"))


def test_connections_are_limited_per_address_unless_trusted(listen: Listen) -> None:
    port = listen(max_connections_per_address=1).port
    with RawClient(port):
        assert RawClient(port, greet=False).greeting.startswith("421 4.7.0")
    trusting = listen(max_connections_per_address=1, trusted_networks=(ip_network("127.0.0.0/8"),)).port
    with RawClient(trusting):
        assert RawClient(trusting, greet=False).greeting.startswith("220")


def test_one_ipv6_network_counts_as_one_address() -> None:
    gate = Gate(Limits(max_connections_per_address=1))
    assert gate.enter("2001:db8::1") == ""
    assert gate.enter("2001:db8::2").startswith("421 4.7.0")
    assert gate.enter("2001:db8:0:1::1") == ""
    gate.leave("2001:db8::1")
    gate.leave("2001:db8::2")
    assert gate.enter("2001:db8::3") == ""


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.1", 25), "192.0.2.1"),
        (("::ffff:192.0.2.1", 25, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 25, 0, 2), "fe80::1"),
        (None, ""),
    ],
)
def test_a_peer_is_known_by_its_plain_address(peername: object, address: str) -> None:
    assert plain_address(peername) == address


def test_a_client_that_guesses_addresses_is_sent_away(listen: Listen, house: House) -> None:
    with RawClient(listen(max_errors=5).port) as client:
        replies = client.addresses(*(f"guess{n}@house.test" for n in range(6)))
        assert {reply[:9] for reply in replies} == {"550 5.1.1"}
        assert client.hears().startswith("421 4.7.0")
        assert client.hears() == ""


def test_a_message_with_many_more_recipients_than_we_take_reaches_the_first_of_them(
    listen: Listen, house: House
) -> None:
    """A sender that is hung up on instead begins anew with the same ones, until it gives up (RFC 5321 §4.5.3.1.10)."""
    with RawClient(listen(max_recipients=2, max_errors=3, max_excess_recipients=8).port) as client:
        replies = client.addresses(*(f"support+{n}@house.test" for n in range(10)))
        assert [reply[:3] for reply in replies] == ["250"] * 2 + ["452"] * 8
        client.asks(b"DATA")
        client.says(stuffed(raw_mail()))
        assert client.hears().startswith("250")
        replies = client.addresses(*(f"support+{n}@house.test" for n in range(14)))
        assert [reply[:3] for reply in replies] == ["250"] * 2 + ["452"] * 12
        assert client.hears().startswith("421 4.7.0")
    assert ReceivedMessage.objects.get().recipients == ["support+0@house.test", "support+1@house.test"]


def test_a_client_that_only_idles_is_sent_away(listen: Listen) -> None:
    with RawClient(listen(max_idle_commands=5).port) as client:
        replies = [client.asks(b"NOOP")[:3] for _ in range(5)]
        assert [*replies, client.hears()[:3]] == ["250"] * 5 + ["421"]


def test_a_client_that_brings_mail_may_stay(listen: Listen, house: House) -> None:
    with RawClient(listen(max_idle_commands=3, max_errors=1).port) as client:
        for n in range(5):
            assert client.addresses("nobody@house.test")[0].startswith("550")
            assert client.asks(b"RSET").startswith("250")
            raw = raw_mail(message_id=f"{n}@c.example")
            assert client.sends(raw, "support@house.test").startswith("250")


def test_stopping_lets_an_arriving_message_end_and_sends_the_others_away(
    listen: Listen, house: House
) -> None:
    listening = listen()
    with RawClient(listening.port) as idle, RawClient(listening.port) as busy:
        busy.addresses("support@house.test")
        busy.asks(b"DATA")
        data = stuffed(raw_mail())
        busy.says(data[:50])
        stopped = listening.begin_stop()
        assert idle.hears().startswith("421 4.3.2")
        assert not stopped.done()
        with pytest.raises(ConnectionError):
            RawClient(listening.port)
        busy.says(data[50:])
        assert [busy.hears()[:3], busy.hears()[:3], busy.hears()] == ["250", "421", ""]
        stopped.result(5)
    assert ReceivedMessage.objects.count() == 1


def test_stopping_does_not_wait_for_a_message_that_stalls(listen: Listen, house: House) -> None:
    listening = listen()
    with RawClient(listening.port) as client:
        client.addresses("support@house.test")
        client.asks(b"DATA")
        client.says(b"Subject: half\r\n")
        listening.begin_stop(grace_seconds=0.2).result(5)
        assert client.hears() == ""
    assert not ReceivedMessage.objects.exists()

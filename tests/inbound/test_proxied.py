"""The PROXY protocol: believed from configured peers, who must speak it, and from nobody else."""

import contextlib
import socket
import struct
from ipaddress import ip_network

import pytest

from apps.inbound.models import ReceivedMessage
from tests.inbound.conftest import Listen
from tests.inbound.listening import Listening
from tests.inbound.processes import ReceiveProcess
from tests.inbound.wire import RawClient
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def block(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


V4 = socket.inet_aton("198.51.100.9") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 40000, 25)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") * 2 + struct.pack("!HH", 40000, 25)
TLV = b"\x04\x00\x03abc"


class ProxyClient(RawClient):
    """Says a header before it listens."""

    def __init__(self, port: int, header: bytes) -> None:
        self._header = header
        super().__init__(port, greet=False)

    def hears(self) -> str:
        if self._header:
            self.says(self._header)
            self._header = b""
        return super().hears()


@pytest.fixture
def behind(listen: Listen) -> Listening:
    return listen(proxy_networks=(ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 25\r\n", "198.51.100.9"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 40000 25\r\n", "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n", "127.0.0.1"),
        (block(0x21, 0x11, V4), "198.51.100.9"),
        (block(0x21, 0x21, V6 + TLV), "2001:db8::9"),
        (block(0x20, 0x00, b""), "127.0.0.1"),
    ],
)
def test_the_client_is_who_the_proxy_says(
    behind: Listening, house: House, header: bytes, address: str
) -> None:
    with ProxyClient(behind.port, header) as client:
        assert client.greeting.startswith("220")
        client.asks(b"EHLO client.example")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
        assert list(behind.gate.by_address) == [address if ":" not in address else "2001:db8::/64"]
    assert ReceivedMessage.objects.get().peer == address


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO client.example\r\n",
        b"PROXY TCP4 198.51.100.9 192.0.2.1 40000\r\n",
        b"PROXY TCP4 2001:db8::9 2001:db8::1 40000 25\r\n",
        b"PROXY TCP4 999.1.1.1 192.0.2.1 40000 25\r\n",
        b"PROXY UDP4 198.51.100.9 192.0.2.1 40000 25\r\n",
        b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 25\n",
        b"PROXY TCP4 " + b"1" * 5000 + b"\r\n",
        block(0x21, 0x11, V4[:7]),
        block(0x31, 0x11, V4),
        block(0x21, 0x31, V4),
        SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 5000,
    ],
)
def test_a_proxy_that_says_anything_else_is_hung_up_on(behind: Listening, header: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        assert ProxyClient(behind.port, header).greeting == ""
    wait_until(lambda: behind.gate.connections == 0)


def test_a_proxy_that_says_nothing_is_hung_up_on(behind: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.inbound.proxied.HEADER_SECONDS", 0.2)
    assert RawClient(behind.port, greet=False).greeting.startswith("421 4.4.2")


def test_limits_are_those_of_the_client_behind_it(listen: Listen) -> None:
    port = listen(proxy_networks=(ip_network("127.0.0.0/8"),), max_connections_per_address=1).port
    header = b"PROXY TCP4 198.51.100.%d 192.0.2.1 40000 25\r\n"
    with ProxyClient(port, header % 1) as one, ProxyClient(port, header % 2) as two:
        assert one.greeting[:3] == two.greeting[:3] == "220"
        assert ProxyClient(port, header % 1).greeting.startswith("421 4.7.0")


def test_from_others_the_words_are_no_command(port: int, house: House) -> None:
    with RawClient(port) as client:
        assert client.asks(b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 25").startswith("500 5.5.2")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.get().peer == "127.0.0.1"


def test_the_process_is_ready_behind_a_proxy_on_its_own_machine(house: House) -> None:
    header = b"PROXY TCP4 198.51.100.9 192.0.2.1 40000 25\r\n"
    with (
        ReceiveProcess(SMTP_PROXY_NETWORKS="127.0.0.1") as process,
        ProxyClient(process.port, header) as client,
    ):
        client.asks(b"EHLO client.example")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.get().peer == "198.51.100.9"

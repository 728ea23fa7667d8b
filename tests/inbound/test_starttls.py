"""STARTTLS: what is offered, what is forgotten, what is refused, and which certificate is shown."""

import ssl
import threading
from pathlib import Path

import pytest

from apps.inbound.certificates import Certificates
from apps.inbound.models import ReceivedMessage
from tests.inbound.certificate import anybody, certificates_in, encrypt, make_certificate, trusting
from tests.inbound.conftest import Listen
from tests.inbound.listening import Listening
from tests.inbound.processes import ReceiveProcess
from tests.inbound.wire import RawClient, send, stuffed
from tests.mail import raw_mail
from tests.people import House
from tests.polling import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listening(listen: Listen, tmp_path: Path) -> Listening:
    return listen(certificates_in(tmp_path))


def shown(port: int) -> bytes:
    """The certificate that this port shows now, in DER."""
    with RawClient(port) as client:
        client.asks(b"STARTTLS")
        certificate = encrypt(client, anybody()).getpeercert(binary_form=True)
    assert certificate
    return certificate


def test_mail_comes_in_over_tls(listening: Listening, house: House, tmp_path: Path) -> None:
    with RawClient(listening.port) as client:
        assert "250-STARTTLS" in client.asks(b"EHLO again") or "250 STARTTLS" in client.asks(b"EHLO again")
        assert client.asks(b"STARTTLS").startswith("220 2.0.0")
        encrypted = encrypt(client, trusting(make_certificate(tmp_path)))
        assert encrypted.version() == "TLSv1.3"
        assert "STARTTLS" not in client.asks(b"EHLO client.example")
        assert client.asks(b"STARTTLS").startswith("503 5.5.1")
        assert client.sends(raw_mail(), "support@house.test").startswith("250")
    assert ReceivedMessage.objects.count() == 1


def test_large_mail_in_odd_pieces_comes_whole_over_tls(listening: Listening, house: House) -> None:
    raw = raw_mail() + b"z" * 3_000_000 + b"\r\n"
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
        encrypt(client, anybody())
        client.asks(b"EHLO client.example")
        assert client.sends(raw, "support@house.test").startswith("250")
    assert ReceivedMessage.objects.select_related("raw").get().raw.size_bytes == len(raw)


def test_what_was_said_in_the_clear_is_forgotten(listening: Listening, house: House) -> None:
    with RawClient(listening.port) as client:
        client.addresses("support@house.test")
        client.asks(b"STARTTLS")
        encrypt(client, anybody())
        assert client.asks(b"DATA").startswith("503 5.5.1")
        assert client.asks(b"MAIL FROM:<elena@customer.example>").startswith("503 5.5.1")
        assert client.asks(b"EHLO client.example").startswith("250")
        assert client.asks(b"MAIL FROM:<elena@customer.example>").startswith("250")


@pytest.mark.parametrize("size", [30, 300_000])
def test_commands_sent_ahead_of_the_handshake_are_dropped(
    listening: Listening, house: House, size: int
) -> None:
    """CVE-2011-0411: they would be taken for the client's own, said within TLS."""
    injected = b"RSET\r\nMAIL FROM:<evil@customer.example>\r\n" + b"NOOP\r\n" * (size // 6)
    with RawClient(listening.port) as client:
        client.says(b"STARTTLS\r\n" + injected)
        assert client.hears().startswith("220")
        try:
            encrypt(client, anybody())
        except (ssl.SSLError, OSError):
            return  # some of it came after our 220, and is no handshake
        assert client.asks(b"EHLO client.example").startswith("250")
        assert client.asks(b"RCPT TO:<support@house.test>").startswith("503")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_below_1_2_is_refused(listening: Listening) -> None:
    old = anybody()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
        with pytest.raises((ssl.SSLError, OSError)):
            encrypt(client, old)
    assert send_in_the_clear(listening)


def send_in_the_clear(listening: Listening) -> bool:
    with RawClient(listening.port) as client:
        return client.asks(b"NOOP").startswith("250")


@pytest.mark.parametrize("said", [b"garbage\r\n" * 10, b"\x16\x03\x01\xff\xff" + b"x" * 1000, b""])
def test_a_handshake_that_comes_to_nothing_costs_its_connection_only(
    listen: Listen, tmp_path: Path, said: bytes
) -> None:
    listening = listen(certificates_in(tmp_path), handshake_seconds=0.3)
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
        client.says(said)
        client.socket.settimeout(10)
        try:
            while client.socket.recv(100):
                pass
        except ConnectionResetError:
            pass
    wait_until(lambda: listening.gate.connections == 0)
    assert listening.gate.by_address == {}
    assert send_in_the_clear(listening)


def test_a_client_that_hangs_up_in_the_handshake_leaves_nothing(listening: Listening) -> None:
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
    wait_until(lambda: listening.gate.connections == 0)


def test_a_silent_client_is_told_within_tls(listen: Listen, tmp_path: Path) -> None:
    listening = listen(certificates_in(tmp_path), command_seconds=0.3)
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
        encrypt(client, anybody())
        assert client.hears().startswith("421 4.4.2")
        assert client.hears() == ""


def test_stopping_reaches_clients_within_tls(listening: Listening) -> None:
    with RawClient(listening.port) as client:
        client.asks(b"STARTTLS")
        encrypt(client, anybody())
        client.asks(b"EHLO client.example")
        listening.begin_stop().result(10)
        assert client.hears().startswith("421 4.3.2")


def test_a_new_certificate_is_shown_without_a_restart(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "both.pem"
    path.write_bytes(make_certificate(tmp_path / "one").read_bytes())
    port = listen(Certificates(path, path)).port
    first = shown(port)
    path.write_bytes(make_certificate(tmp_path / "two").read_bytes())
    assert shown(port) != first


def test_half_a_renewal_keeps_the_certificate_that_works(listen: Listen, tmp_path: Path) -> None:
    one, two = make_certificate(tmp_path / "one"), make_certificate(tmp_path / "two")
    certificate, key = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    certificate.write_bytes(one.read_bytes())
    key.write_bytes(one.read_bytes())
    port = listen(Certificates(certificate, key)).port
    first = shown(port)
    certificate.write_bytes(two.read_bytes().partition(b"-----BEGIN PRIVATE")[0])
    assert shown(port) == first
    key.write_bytes(b"not a key")
    assert shown(port) == first
    key.unlink()
    assert shown(port) == first
    key.write_bytes(two.read_bytes())
    assert shown(port) != first


def test_without_a_certificate_it_is_not_offered_until_there_is_one(listen: Listen, tmp_path: Path) -> None:
    path = tmp_path / "smtp.pem"
    port = listen(Certificates(path, path)).port
    with RawClient(port) as client:
        assert "STARTTLS" not in client.asks(b"EHLO client.example")
        assert client.asks(b"STARTTLS").startswith("502 5.5.1")
        make_certificate(tmp_path)
        assert "STARTTLS" in client.asks(b"EHLO client.example")
        assert client.asks(b"STARTTLS").startswith("220")


def test_many_handshakes_at_once_all_come_through(listening: Listening, house: House) -> None:
    failures = list[BaseException]()

    def one(number: int) -> None:
        try:
            with RawClient(listening.port) as client:
                client.asks(b"STARTTLS")
                encrypt(client, anybody())
                client.asks(b"EHLO client.example")
                client.says(b"MAIL FROM:<elena@customer.example>\r\nRCPT TO:<support@house.test>\r\nDATA\r\n")
                assert [client.hears()[:3] for _ in range(3)] == ["250", "250", "354"]
                client.says(stuffed(raw_mail(message_id=f"{number}@customer.example")))
                assert client.hears().startswith("250")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=one, args=(number,)) for number in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert ReceivedMessage.objects.count() == 15


def test_the_process_shows_the_certificate_it_is_given(house: House, tmp_path: Path) -> None:
    path = make_certificate(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    with ReceiveProcess(SMTP_TLS_CERTIFICATE=str(path)) as process:
        assert ssl.DER_cert_to_PEM_cert(shown(process.port)).strip() in path.read_text()
        assert send(process.port).startswith("250")


def test_a_certificate_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "bad.pem"
    path.write_text("nothing of the kind")
    process = ReceiveProcess(SMTP_TLS_CERTIFICATE=str(path))
    with pytest.raises(AssertionError, match=r"SMTP_TLS_CERTIFICATE: .*bad\.pem"), process:
        pass

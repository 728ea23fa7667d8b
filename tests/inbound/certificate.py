"""Certificates for tests, made as the embedded stack makes them, and the client's side of STARTTLS."""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from apps.inbound.certificates import Certificates
from mailplatform.embedded.certificate import ensure_certificate
from tests.inbound.wire import REPLY_SECONDS, RawClient


def make_certificate(folder: Path, name: str = "mx.house.test") -> Path:
    folder.mkdir(exist_ok=True)
    return ensure_certificate(folder, name, datetime.now(UTC))


def certificates_in(folder: Path) -> Certificates:
    path = make_certificate(folder)
    return Certificates(path, path)


def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's context that believes this certificate and no other."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


def anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def encrypt(client: RawClient, context: ssl.SSLContext) -> ssl.SSLSocket:
    """The handshake, after the 220; the client goes on in TLS."""
    client.forget_reader()
    encrypted = context.wrap_socket(client.socket, server_hostname="mx.house.test")
    encrypted.settimeout(REPLY_SECONDS)
    client.go_on_over(encrypted)
    return encrypted


def is_open(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1))
    except OSError:
        return False

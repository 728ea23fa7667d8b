"""The receive process: SMTP from the world on one port, submission by those who have an account on another.

With RECEIVE_PROCESSES more than one, it is that many, which serve both ports together (`receivers`).
"""

import asyncio
import signal
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import structlog
import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from apps.inbound.board import Board, Seat
from apps.inbound.certificates import Certificates
from apps.inbound.desk import Desk
from apps.inbound.errors import CannotListen
from apps.inbound.limits import IN_FLIGHT_BYTES, Gate, Limits, plain_address
from apps.inbound.listener import Listener, open_port
from apps.inbound.rates import Rates, connect
from apps.inbound.receivers import Receivers
from apps.inbound.smtp import ListenerKind
from apps.inbound.submission import SubmissionDesk
from apps.inbound.tally import Tally
from apps.monitoring.heartbeat import Heartbeat
from apps.outbound.submission.recipients import MAX_RECIPIENTS
from apps.outbound.submission.validation import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

GRACE_SECONDS = 5.0
CHECK_SECONDS = 2.0


class Command(BaseCommand):
    help = "Receive mail from the world on SMTP_PORT and submissions on SUBMISSION_PORT, both of SMTP_HOST."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ports = _Ports.open()
            certificates = _certificates()
        except CannotListen as error:
            raise CommandError(str(error), returncode=1) from error
        processes = settings.RECEIVE_PROCESSES
        boards = (Board(processes), Board(processes))

        def serve(number: int) -> None:
            seats = [board.seat(number) for board in boards]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_receive(ports, certificates, seats))

        if processes == 1:
            serve(0)
        else:
            Receivers(processes, serve, boards).run()


@dataclass(frozen=True, slots=True)
class _Ports:
    """What is listened on, for the world and for people with an account."""

    world: list[socket.socket]
    submission: list[socket.socket]

    @classmethod
    def open(cls) -> Self:
        """Raises CannotListen."""
        return cls(
            open_port(settings.SMTP_HOST, settings.SMTP_PORT),
            open_port(settings.SMTP_HOST, settings.SUBMISSION_PORT, setting="SUBMISSION_PORT"),
        )


async def _receive(ports: _Ports, certificates: Certificates, seats: Sequence[Seat]) -> None:
    limits = _limits()
    tally = Tally(connect(settings.REDIS_URL))
    world, submission = _kinds(limits, certificates, tally, seats)
    listeners = [Listener(world, ports.world), Listener(submission, ports.submission)]
    for listener in listeners:
        await listener.start()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    heartbeat = Heartbeat("receive", check=lambda: _turns(loop) and _answers(limits))
    heartbeat.start()
    telling = loop.create_task(tally.tell_on())
    if not settings.SMTP_TLS_CERTIFICATE.exists():
        log.warning("smtp_without_tls", missing=str(settings.SMTP_TLS_CERTIFICATE))
    log.info("receive_ready", host=settings.SMTP_HOST, ports=[listener.port for listener in listeners])
    await stopping.wait()
    await asyncio.to_thread(heartbeat.stop)
    await asyncio.gather(*(listener.stop(GRACE_SECONDS) for listener in listeners))
    telling.cancel()
    await tally.close()
    log.info("receive_stopped")


def _limits() -> Limits:
    # However large messages may be here, one address brings two at once, and leaves room for two of others.
    room_bytes = max(IN_FLIGHT_BYTES, 4 * settings.SMTP_MAX_SIZE_BYTES)
    return Limits(
        max_size_bytes=settings.SMTP_MAX_SIZE_BYTES,
        max_in_flight_bytes=room_bytes,
        max_in_flight_bytes_per_address=room_bytes // 2,
        trusted_networks=tuple(settings.SMTP_TRUSTED_NETWORKS),
        proxy_networks=tuple(settings.SMTP_PROXY_NETWORKS),
        max_connections_per_minute=settings.SMTP_CONNECTIONS_PER_MINUTE,
        max_messages_per_minute=settings.SMTP_MESSAGES_PER_MINUTE,
    )


def _kinds(
    limits: Limits, certificates: Certificates, tally: Tally, seats: Sequence[Seat]
) -> tuple[ListenerKind, ListenerKind]:
    """Each counts for itself: strangers who fill the one port do not keep those with an account from the other."""
    hostname = settings.MAIL_HOSTNAME or socket.gethostname()
    seat_of_world, seat_of_submission = seats
    from_the_world = ListenerKind(
        service=Desk(hostname),
        gate=Gate(limits, seat_of_world),
        rates=Rates(limits, connect(settings.REDIS_URL)),
        tally=tally,
        hostname=hostname,
        certificates=certificates,
    )
    # How much is decided by who sends it, not by where they sit: an office has one address.
    of_submissions = replace(
        limits,
        max_size_bytes=min(limits.max_size_bytes, MAX_MESSAGE_BYTES),
        max_recipients=MAX_RECIPIENTS,
        max_messages_per_minute=0,
        max_in_flight_bytes_per_address=limits.max_in_flight_bytes,
    )
    submission = ListenerKind(
        service=SubmissionDesk(of_submissions),
        gate=Gate(of_submissions, seat_of_submission),
        rates=Rates(of_submissions, connect(settings.REDIS_URL), name="submission"),
        tally=tally,
        name="submission",
        hostname=hostname,
        certificates=certificates,
        requires_tls=True,
    )
    return from_the_world, submission


def _certificates() -> Certificates:
    """Raises CannotListen when there is a certificate that cannot be used: mail must not go in the clear by mistake."""
    certificate, key = settings.SMTP_TLS_CERTIFICATE, settings.SMTP_TLS_KEY
    certificates = Certificates(certificate, key)
    if certificates.context() is None and certificate.exists():
        raise CannotListen(f"SMTP_TLS_CERTIFICATE: {certificate} and {key} are no certificate and its key")
    return certificates


def _turns(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this process's own loop goes on: at the ports another one may answer."""
    turned = threading.Event()
    loop.call_soon_threadsafe(turned.set)
    return turned.wait(CHECK_SECONDS)


def _answers(limits: Limits) -> bool:
    """Whether a new connection to either port is greeted: a loop that hangs has open ports too."""
    return all(_greets(port, limits) for port in (settings.SMTP_PORT, settings.SUBMISSION_PORT))


def _greets(port: int, limits: Limits) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.SMTP_HOST, settings.SMTP_HOST)  # noqa: S104
    try:
        with socket.create_connection((host, port), timeout=CHECK_SECONDS) as probe:
            probe.settimeout(CHECK_SECONDS)
            if limits.is_proxy(plain_address(probe.getsockname())):
                probe.sendall(b"PROXY UNKNOWN\r\n")
            greeting = probe.recv(3)
            probe.sendall(b"QUIT\r\n")
    except OSError:
        return False
    return greeting in {b"220", b"421"}

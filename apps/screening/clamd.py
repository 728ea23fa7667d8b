"""ClamAV's daemon, in its own protocol (clamd(8), "COMMANDS"): one connection, one mail, one line of answer.

    z INSTREAM NUL, then chunks of (four bytes of length, bytes), then a length of zero
    answer: "stream: OK", "stream: NAME FOUND", or "... ERROR", with a NUL behind it

clamd opens mail, base64 and archives itself, so it gets the mail as it is. It hangs up in the middle of a mail larger
than its StreamMaxLength, after saying so: what it said is read although sending failed.

A mail that clamd cannot scan has no verdict and waits, with clamd's words in the reason: an operator who sees "INSTREAM
size limit exceeded" knows which number to raise.
"""

import socket
import struct
import time
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.utils.translation import gettext as _

from apps.mime.clean import clean_line
from apps.screening.breaker import Breaker
from apps.screening.errors import ScannerUnavailable
from apps.screening.findings import Outcome
from apps.screening.verdict import Direction, Envelope, Policy, Verdict

NAME = "clamav"
DEFAULT_PORT = 3310
CONNECT_SECONDS = 2.0
QUICK_SECONDS = 1.0
VERSION_SECONDS = 60
_CHUNK = 256 * 1024
_MAX_ANSWER = 4096

# clamd.conf's AlertExceedsMax, AlertEncrypted…: no virus, a mail it did not look through. The operator asked for that.
_NOT_A_VIRUS = {
    "Heuristics.Limits.Exceeded": "archive_too_large",
    "Heuristics.Encrypted": "archive_encrypted",
    "Heuristics.OLE2.ContainsMacros": "macro",
}


@dataclass(frozen=True, slots=True)
class ClamdAddress:
    """Where clamd listens: a path, or a host and port."""

    path: str = ""
    host: str = ""
    port: int = DEFAULT_PORT

    @classmethod
    def of(cls, url: str) -> "ClamdAddress":
        """`unix:///run/clamav/clamd.ctl` or `tcp://host:3310`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path and not parts.netloc:
            return cls(path=unquote(parts.path))
        if parts.scheme == "tcp" and parts.hostname:
            return cls(host=parts.hostname, port=parts.port or DEFAULT_PORT)
        msg = "it is unix:///path or tcp://host:port"
        raise ValueError(msg)


class ClamdScanner:
    """Safe to share between threads."""

    name = NAME

    def __init__(self, url: str) -> None:
        self._address = ClamdAddress.of(url)
        self._breaker = Breaker(NAME, is_alive=self.ping)
        self._version = ""
        self._version_until = 0.0

    def scan(
        self, raw: bytes, direction: Direction, envelope: Envelope, policy: Policy, *, timeout_seconds: float
    ) -> Verdict:
        """Raises ScannerUnavailable when clamd does not answer within the time, or not with a verdict."""
        return _judge(self._breaker.call(lambda: self._ask(raw, timeout_seconds)))

    def version(self) -> str:
        """clamd's version with that of its signatures; "" while it does not answer. Asked once a minute."""
        if time.monotonic() >= self._version_until:
            try:
                self._version = self._breaker.call(lambda: self._command(b"VERSION", QUICK_SECONDS))
            except ScannerUnavailable:
                return ""
            self._version_until = time.monotonic() + VERSION_SECONDS
        return self._version

    def ping(self) -> None:
        """Raises ScannerUnavailable unless clamd lives."""
        if self._command(b"PING", QUICK_SECONDS) != "PONG":
            raise ScannerUnavailable(NAME, _("The virus scanner (ClamAV) does not answer"))

    def close(self) -> None:
        """Nothing is kept open between mails."""

    def _command(self, command: bytes, timeout_seconds: float) -> str:
        deadline = time.monotonic() + timeout_seconds
        try:
            with self._connect(deadline) as line:
                line.sendall(b"z" + command + b"\0")
                return _answer(line, deadline)
        except OSError as error:
            raise _away(error) from error

    def _ask(self, raw: bytes, timeout_seconds: float) -> str:
        deadline = time.monotonic() + timeout_seconds
        try:
            with self._connect(deadline) as line:
                broken = _stream(line, raw, deadline)
                try:
                    answer = _answer(line, deadline)
                except OSError:
                    if broken:
                        raise broken from None
                    raise
                if broken and not answer:
                    raise broken
                return answer
        except OSError as error:
            raise _away(error) from error

    def _connect(self, deadline: float) -> socket.socket:
        seconds = min(CONNECT_SECONDS, _left(deadline))
        if self._address.host:
            return socket.create_connection((self._address.host, self._address.port), timeout=seconds)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(seconds)
            line.connect(self._address.path)
        except OSError:
            line.close()
            raise
        return line


def _stream(line: socket.socket, raw: bytes, deadline: float) -> OSError | None:
    """Send a mail; the error that stopped it, because clamd may have said why before it hung up."""
    view = memoryview(raw)
    try:
        line.settimeout(_left(deadline))
        line.sendall(b"zINSTREAM\0")
        for at in range(0, len(view), _CHUNK):
            chunk = view[at : at + _CHUNK]
            line.settimeout(_left(deadline))
            line.sendall(struct.pack("!I", len(chunk)))
            line.sendall(chunk)
        line.sendall(struct.pack("!I", 0))
    except TimeoutError:
        raise
    except OSError as error:
        return error
    return None


def _answer(line: socket.socket, deadline: float) -> str:
    answer = b""
    while b"\0" not in answer and len(answer) < _MAX_ANSWER:
        line.settimeout(_left(deadline))
        piece = line.recv(_MAX_ANSWER)
        if not piece:
            break
        answer += piece
    return answer.partition(b"\0")[0].decode("utf-8", "replace").strip()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("clamd")
    return left


def _judge(answer: str) -> Verdict:
    """clamd's answer as a verdict. Raises ScannerUnavailable for what is none."""
    said = answer.removeprefix("stream: ")
    if said == "OK":
        return Verdict(Outcome.CLEAN, NAME)
    if not said.endswith(" FOUND"):
        told = clean_line(said, 200) or _("nothing")
        raise ScannerUnavailable(
            NAME, _("The virus scanner (ClamAV) gave no verdict: %(said)s") % {"said": told}
        )
    signature = clean_line(said.removesuffix(" FOUND"), 200)
    for beginning, code in _NOT_A_VIRUS.items():
        if signature.startswith(beginning):
            reason = _("The virus scanner (ClamAV) lets no such file pass: %(signature)s.")
            return Verdict(Outcome.FORBIDDEN, NAME, code, reason % {"signature": signature}, (signature,))
    reason = _("A virus was found (ClamAV: %(signature)s).") % {"signature": signature}
    return Verdict(Outcome.INFECTED, NAME, "virus", reason, (signature,))


def _away(error: OSError) -> ScannerUnavailable:
    if isinstance(error, TimeoutError):
        return ScannerUnavailable(NAME, _("The virus scanner (ClamAV) did not answer in time"))
    return ScannerUnavailable(NAME, _("The virus scanner (ClamAV) cannot be reached"))

"""The certificate we show in TLS: read from files, and read again when they change.

Programs that renew certificates replace the files and cannot restart us, so each handshake looks whether they are the
ones we have read. A pair that does not fit, as while only one of both has been replaced, changes nothing: the old one
serves on, the log says so, and the next handshake looks again.

RFC 8996: nothing below TLS 1.2 is spoken.
"""

import ssl
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_State = tuple[tuple[int, int, int], ...]


class Certificates:
    """A certificate chain and its key, both PEM; `key` may be the same file."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._state: _State = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """What a handshake needs; None as long as there was no usable certificate yet."""
        state = self._look()
        if state != self._state:
            self._state = state
            try:
                self._context = self._read()
            except (OSError, ssl.SSLError) as error:
                log.error(
                    "smtp_certificate_unusable",
                    certificate=str(self._certificate),
                    key=str(self._key),
                    error=type(error).__name__,
                    serving_the_one_before=self._context is not None,
                )
            else:
                log.info("smtp_certificate_read", certificate=str(self._certificate))
        return self._context

    def _look(self) -> _State:
        try:
            states = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return ()
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in states)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Nobody who asks us to negotiate anew has a good reason, and it costs us more than it costs them.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # Without a word for it, OpenSSL would ask the terminal for an encrypted key's.
        context.load_cert_chain(self._certificate, self._key, password=lambda: "")
        return context

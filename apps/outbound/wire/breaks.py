"""How a line breaks, and what to call that in words for a person."""

import ssl

from apps.outbound.wire.smtp_reply import MalformedReply

BREAKS = (OSError, EOFError, MalformedReply)
_ACCOUNTS: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "no answer in time"),
    (ssl.SSLError, "the TLS handshake failed"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "the connection was reset"),
)


def account_of(error: BaseException) -> str:
    """What broke, in words for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    for kind, words in _ACCOUNTS:
        if isinstance(error, kind):
            return words
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

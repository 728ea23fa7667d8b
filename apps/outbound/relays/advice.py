"""What to do about a step that failed, in words for whoever set the relay up. Nothing known, nothing said."""

import socket
import ssl

from django.utils.translation import gettext as _

from apps.outbound.errors import ConversationError, RelayRefused
from apps.outbound.models import RelaySecurity
from apps.outbound.wire.endpoint import Endpoint


def advice_on(error: ConversationError, endpoint: Endpoint) -> str:
    """For a conversation that ended."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _certificate(cause)
    if isinstance(error, RelayRefused):
        return _refusal(error.phase, error.code)
    if error.phase == "connect":
        return _connecting(cause, endpoint)
    return _silence(error, cause, endpoint)


def advice_on_reply(phase: str, code: int) -> str:
    """For an answer to MAIL or RCPT."""
    return _refusal(phase, code) if code >= 400 else ""


def _connecting(cause: BaseException | None, endpoint: Endpoint) -> str:
    if isinstance(cause, socket.gaierror):
        return _("Check the host name for slips. The name servers of this machine must know it.")
    if isinstance(cause, ConnectionRefusedError):
        return _(
            "The machine is there, but nothing listens on port %(port)d. Usual are 587 for STARTTLS, 465 for "
            "implicit TLS, and 25."
        ) % {"port": endpoint.port}
    if isinstance(cause, ssl.SSLError):
        return _("The server does not begin with TLS on this port. Choose STARTTLS, or port 465.")
    if isinstance(cause, TimeoutError):
        return _(
            "Nothing answered. A firewall may be in between: many networks block connections to port 25, then 587 "
            "works."
        )
    return _("Check host and port, and whether this machine may connect there.")


def _silence(error: ConversationError, cause: BaseException | None, endpoint: Endpoint) -> str:
    match error.phase:
        case "greeting" if endpoint.port == 465 and endpoint.security != RelaySecurity.TLS:
            return _("On port 465 a server waits for TLS. Choose implicit TLS.")
        case "greeting":
            return _("The connection was taken and then nothing useful came: is this a mail server?")
        case "starttls" if isinstance(cause, ssl.SSLError):
            return _("Server and we share no version or method of TLS. It should offer TLS 1.2 or newer.")
        case "starttls":
            return _(
                "Choose implicit TLS with port 465, or, on a line you trust, STARTTLS when offered or no TLS at all."
            )
        case "auth" if cause is None:
            return _(
                "Many servers offer signing in over TLS only: choose STARTTLS required. We know PLAIN and LOGIN."
            )
        case _:
            return ""


def _refusal(phase: str, code: int) -> str:
    words = {
        "greeting": _(
            "The server does not talk to our address at all. Ask its operator, and look whether our address is on a "
            "block list."
        ),
        "ehlo": _(
            "It minds the name we greet with. Set the greeting name to the name our address has in DNS."
        ),
        "starttls": _("It offers STARTTLS and refuses it. Try implicit TLS on port 465."),
        "auth": _(
            "User name or password is wrong, or the account may not send. Some providers want a password made for "
            "programs."
        ),
        "mail": _(
            "It does not take mail from this sender. Does the account own the address? Must one sign in first?"
        ),
        "rcpt": _(
            "It does not take mail to this recipient. If it says that relaying is denied, sign in, or have our address "
            "allowed there."
        ),
    }
    if code == 421:
        return _(
            "The server is too busy for us right now, or we have too many lines open. It passes by itself."
        )
    if 400 <= code < 500 and phase in {"mail", "rcpt"}:
        return _("It puts strangers off at first (greylisting), or is busy. Mail waits and is tried again.")
    return words.get(phase, "")


def _certificate(cause: ssl.SSLCertVerificationError) -> str:
    # OpenSSL's X509_V_ERR_* numbers.
    match cause.verify_code:
        case 10:
            return _("The certificate has run out. The server's operator must renew it.")
        case 18 | 19:
            return _(
                "The server vouches for itself. If it is yours, give it a certificate of a known authority, or choose "
                "“Never checked” for it."
            )
        case 20 | 21:
            return _(
                "No authority we know vouches for it, or the server does not show the certificates in between."
            )
        case 62 | 64:
            return _("The certificate is for another name. Enter the host name that it names.")
        case _:
            return _(
                "The certificate does not hold, so we would not know whom we give the password and mail to."
            )

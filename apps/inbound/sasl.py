"""AUTH PLAIN (RFC 4616) and AUTH LOGIN, as mail programs say them (RFC 4954): what is said, and not whether it is true.

LOGIN was never more than a draft; Outlook and some devices still speak nothing else. Both say the secret itself, so
they are only ever offered within TLS.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apps.inbound.errors import CommandRefused

if TYPE_CHECKING:
    from apps.inbound.smtp import SmtpSession

MECHANISMS = ("PLAIN", "LOGIN")
_NOT_BASE64 = "501 5.5.2 This is no base64"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name, and the secret that is to prove it."""

    username: str
    secret: str = field(repr=False)


async def hear_credentials(session: "SmtpSession", argument: str) -> Credentials:
    """What a client says after AUTH, asking for what it left out. Raises CommandRefused, and LineRefused."""
    mechanism, _space, initial = argument.partition(" ")
    initial = initial.strip()
    match mechanism.upper():
        case "PLAIN":
            return _plain(await _response(session, "", initial))
        case "LOGIN":
            username = await _response(session, "VXNlcm5hbWU6", initial)
            secret = await _response(session, "UGFzc3dvcmQ6", "")
            return Credentials(_text(username), _text(secret))
        case _:
            raise CommandRefused("504 5.5.4 PLAIN and LOGIN are offered here")


async def _response(session: "SmtpSession", challenge: str, initial: str) -> bytes:
    """One response, decoded. RFC 4954 §4: "=" stands for an empty initial one, "*" takes everything back."""
    if initial == "=":
        return b""
    said = initial.encode("utf-8", "surrogateescape") if initial else await session.challenge(challenge)
    if said.strip() == b"*":
        raise CommandRefused("501 5.7.0 Taken back")
    try:
        return base64.b64decode(said.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise CommandRefused(_NOT_BASE64) from None


def _plain(message: bytes) -> Credentials:
    """RFC 4616 §2: [authzid] NUL authcid NUL passwd. Nobody may act for another here."""
    pieces = message.split(b"\0")
    if len(pieces) != 3 or pieces[0] not in {b"", pieces[1]}:
        raise CommandRefused("501 5.5.2 PLAIN has a name and a password, and nobody to act for")
    return Credentials(_text(pieces[1]), _text(pieces[2]))


def _text(said: bytes) -> str:
    return said.decode("utf-8", "surrogateescape")

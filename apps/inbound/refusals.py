"""What is wrong with a submission, as an SMTP reply: one line of ASCII that says what to change (RFC 3463)."""

import re

from apps.mime.clean import clean_line
from apps.outbound.errors import Fault, QuotaReached, SubmissionInvalid

# RFC 5321 §4.5.3.1.5: a reply line has 512 octets.
MAX_CHARS = 450

_OTHER = "554 5.6.0"
_CODES: dict[str, str] = {
    Fault.SENDER_NOT_YOURS: "550 5.7.1",
    Fault.NO_SUCH_ADDRESS: "550 5.1.1",
    Fault.TOO_LARGE: "552 5.3.4",
    Fault.NO_RECIPIENTS: "554 5.5.1",
    Fault.QUOTA: "550 5.7.1",
}
_CODES_OF_ADDRESSES = {"mail_from": "553 5.1.7", "rcpt": "553 5.1.3"}
_PLAIN = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "…": "..."})
_INDEX = re.compile(r"\[\d+\]$")


def refusal_of(error: SubmissionInvalid) -> str:
    """The reply to what was refused for good."""
    first = error.faults[0]
    place = _INDEX.sub("", first.field)
    code = _CODES.get(first.fault) or _CODES_OF_ADDRESSES.get(place, _OTHER)
    where = first.field.removeprefix("headers.")
    said = first.reason if place in {*_CODES_OF_ADDRESSES, "message"} else f"{where}: {first.reason}"
    return _line(code, said)


def no_room_yet(error: QuotaReached) -> str:
    """The reply to what would fit later."""
    return _line(
        "450 4.7.1",
        f"The {error.of} has {error.limit:,} recipients a day, of which {error.used:,} are used; "
        f"try again after {error.frees_at:%Y-%m-%d %H:%M} UTC",
    )


def _line(code: str, words: str) -> str:
    plain = clean_line(words, MAX_CHARS).translate(_PLAIN)
    return f"{code} {plain.encode('ascii', 'replace').decode()}"

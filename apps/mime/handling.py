"""The header fields in which a mail says how it wants to be treated: how important it is, who made it, and whether
anything automatic may answer.

They are kept with the message, so that whoever decides about priority or automatic answers later goes by what the mail
said and never has to read the original again. Only their presence and a short value matter; everything else of a
header stays in the raw bytes.
"""

from apps.mime.clean import clean_line
from apps.mime.headers import Headers

MAX_VALUE_CHARS = 200

HANDLING_FIELDS = (
    # how important the sender finds it (RFC 2156 §5.3, RFC 4021 §2.1; the X- ones are customs)
    "importance",
    "priority",
    "x-priority",
    "x-msmail-priority",
    # who made it (RFC 3834 §5; Precedence is older than any standard)
    "auto-submitted",
    "precedence",
    "x-auto-response-suppress",
    "x-loop",
    # a list or a mailing (RFC 2919, RFC 2369, RFC 8058)
    "list-id",
    "list-post",
    "list-unsubscribe",
    "feedback-id",
)


def read_handling(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Those of `HANDLING_FIELDS` that a message has, each once, with the beginning of its first value."""
    return tuple(
        (name, clean_line(headers.get(name), MAX_VALUE_CHARS))
        for name in HANDLING_FIELDS
        if headers.has(name)
    )

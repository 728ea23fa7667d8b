"""Which header fields a caller may write into a message of ours, and why the others are refused.

Everything is allowed that nobody else writes: `X-…`, `Importance`, `Precedence`, `Feedback-ID`, `List-Id`,
`List-Unsubscribe`, whatever a program invents. Refused is what the mail system writes itself, because two of them
contradict each other and every reader believes another one (RFC 5322 §3.6 allows most of these once), and what only
servers on the way may say, because a forged one lends the message a past it never had.
"""

import re

_FIELD_NAME = re.compile(r"[A-Za-z0-9-]{1,76}")

_OURS = "it is written from the message's own fields"
_STRUCTURE = "it describes how the message is built, which is decided when it is built"
_TRACE = "only the servers a message passes may write it"
_VERDICT = "only a server that checked the message may write it"
_RESENT = "only a program that sends a received message on may write it (RFC 5322 §3.6.6)"
_ENVELOPE = "it is part of the envelope, not of the message"

# name → why a caller may not write it. One table, so that the docs, the check and the composer agree.
REFUSED: dict[str, str] = {
    # RFC 5322 §3.6: at most one of each
    "from": _OURS,
    "to": _OURS,
    "cc": _OURS,
    "bcc": "who gets a hidden copy must not stand in the message",
    "reply-to": _OURS,
    "subject": _OURS,
    "date": _OURS,
    "message-id": "it is made here, so that a retry and a bounce can be told",
    "in-reply-to": _OURS,
    "references": _OURS,
    "sender": "who sends it is the key or the person who asks, and From says it",
    # RFC 3834 §5: a claim about how the message came to be, on which other programs decide whether to answer
    "auto-submitted": "it is written where an answer is automatic",
    # RFC 2045
    "mime-version": _STRUCTURE,
    # RFC 8058 §3: a promise that one POST unsubscribes, which is only good together with its https URL
    "list-unsubscribe-post": "ask for it with `list_unsubscribe`, which checks what it promises",
    # RFC 5321 §4.4
    "return-path": _ENVELOPE,
    "envelope-to": _ENVELOPE,
    "delivered-to": _TRACE,
    "x-original-to": _TRACE,
    "received": _TRACE,
    "received-spf": _VERDICT,
    "authentication-results": _VERDICT,
    "dkim-signature": "the mail is signed when it leaves, and for all that it says",
    "domainkey-signature": "the mail is signed when it leaves, and for all that it says",
}
REFUSED_PREFIXES: dict[str, str] = {
    "content-": _STRUCTURE,
    "resent-": _RESENT,
    "arc-": _VERDICT,
    "x-spam-": _VERDICT,
    "x-virus-": _VERDICT,
}


def why_refused(name: str) -> str:
    """Why a caller may not write this field; "" when they may."""
    if not _FIELD_NAME.fullmatch(name):
        return "a header name has 1 to 76 letters, digits and hyphens"
    lower = name.lower()
    if lower in REFUSED:
        return REFUSED[lower]
    return next((why for prefix, why in REFUSED_PREFIXES.items() if lower.startswith(prefix)), "")
